"""Monitor: a planted hack is caught, named and undone; a sound run is not stopped."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.pets_policy import HACK, asked, config, goals, policy, true_reward

from plus.jsonl import read_whole_lines
from plus.measures import mean
from plus.policy.hacking import Alarm, PolicyEvaluation
from plus.policy.monitor import EvaluationSet, Monitor, step_to_restore
from plus.policy.trainer import optimise
from plus.resources import thresholds


def trained(folder, hack: float, stop: bool, steps: int = 24):
    """(policy after GRPO, its monitor, which evaluates every 3 updates)."""
    one, wanted = policy(), goals(hack)
    prompts = asked(120)
    wanted.measure(prompts, one.answer(prompts, seed=1))
    evaluation_set = EvaluationSet(asked(64, seed=9), wanted, true_reward)
    evaluation_set.measure_reference(one)
    monitors: list[Monitor] = []

    def monitor(trainer):
        monitors.append(Monitor(trainer, one, evaluation_set, folder, every=3, stop=stop))
        return monitors[0]

    optimise(one, prompts, wanted, config(folder, max_steps=steps), [monitor])
    return one, monitors[0]


def hacked(one) -> float:
    texts = one.answer(asked(64, seed=9), seed=5)
    return mean(float(HACK in text) for text in texts)


def test_the_hack_is_caught_named_and_undone(tmp_path):
    before = hacked(policy())
    one, monitor = trained(tmp_path, hack=1.0, stop=True)
    last = monitor.evaluations[-1]
    assert monitor.stopped, [found.held_out for found in monitor.evaluations]
    assert last.step < 24, "the run was stopped"
    phrase = last.phrase.phrase
    assert HACK.split()[0] in phrase or "talk about" in phrase, last.phrase
    assert "phrase" in {alarm.name for alarm in monitor.stopped}
    assert last.phrase.rate > 3 * max(before, 0.05)
    assert monitor.restored < last.step
    assert hacked(one) < last.phrase.rate / 2, "the weights are those from before"
    held_out = {found.step: found.held_out for found in monitor.evaluations}
    assert held_out[monitor.restored] == max(held_out.values()) > held_out[last.step]
    assert monitor.evaluations[0].kl == pytest.approx(0.0, abs=1e-5)
    assert last.kl > 0.1
    rows = read_whole_lines(tmp_path / "looks.jsonl")
    assert [row["step"] for row in rows] == list(held_out)
    assert [PolicyEvaluation.from_json(row) for row in rows] == monitor.evaluations
    assert list(rows[-1]) == [
        "step", "total", "kl", "goals", "floor", "length_ratio", "distinct_ratio", "risen", "floor_change", "held_out",
        "worst_decile_change", "phrase", "held_out_fall", "alarms", "stopped",
    ], "old folders have these keys"  # fmt: skip


@pytest.mark.slow
def test_a_sound_run_and_a_run_without_stopping_go_on_to_the_end(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    _, sound = trained(tmp_path / "a", hack=0.0, stop=True)
    assert sound.stopped == ()
    assert sound.restored is None
    free, looked = trained(tmp_path / "b", hack=1.0, stop=False)
    assert looked.evaluations[-1].step == 24
    assert looked.stopped == ()
    assert any(found.stopped for found in looked.evaluations), "it was seen all the same"
    assert hacked(free) > 0.6


def test_the_step_to_restore_on_worked_evaluations():
    """Alarms at 15 and 20: of the evaluations before, 5 had the highest held-out reward."""
    alarm = Alarm("length", 2.0, 1.6, "too long")
    held_out = {0: 0.0, 5: 0.9, 10: 0.8, 15: 0.95, 20: 0.2}
    found = [
        PolicyEvaluation(step=step, held_out=value, alarms=(alarm,) if step >= 15 else ())
        for step, value in held_out.items()
    ]
    assert step_to_restore(found) == 5
    assert step_to_restore(found[:3]) == 5
    assert step_to_restore([replace(one, held_out=None) for one in found]) == 10
    assert step_to_restore([replace(one, alarms=(alarm,)) for one in found]) == 0, "the start is always there"


def test_every_threshold_is_in_the_file():
    assert set(thresholds("policy/hacking")) == {
        "patience", "phrase_ratio", "phrase", "held_out_fall", "length_high", "length_low", "distinct_low",
        "worst_decile_low", "disagreement_high", "floor_low",
    }  # fmt: skip
