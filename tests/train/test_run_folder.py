"""Complaints about a run whose training goes nowhere."""

from __future__ import annotations

from plus.train.run_folder import complaints


def test_a_run_that_goes_nowhere_says_so_and_names_the_knobs():
    def window(**metrics):
        return [{"reward_model_loss": 0.4, "summary_gain": 0.3, "distinct_summaries": 0.5} | metrics] * 10

    assert complaints(40, window(), 128) == {}
    assert complaints(39, window(reward_model_loss=0.69), 128) == {}, "too early to say"
    assert "--reward_learning_rate" in complaints(40, window(reward_model_loss=0.69), 128)["loss"]
    assert "ignores the text" in complaints(60, window(summary_gain=0.001), 128)["gain"]
    assert "--beta" in complaints(60, window(distinct_summaries=1 / 128), 128)["collapse"]
