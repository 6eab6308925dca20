"""Goals on real people: reached, missed and by how much, or not run."""

from __future__ import annotations

import math

import pytest

from plus.benchmark import embedding_tables, targets

TAXES, BOWLING = "polis/scoop-hivemind.taxes", "polis/american-assembly.bowling-green"


def report(dataset: str, differences: dict, group: str = "new users") -> dict:
    return {"dataset": dataset, "notes": [], "missing": {}, "groups": {group: {"rows": {}, "differences": differences}}}


def verdicts(found: dict) -> dict[tuple[str, str], float | None]:
    return {(row["difference"], row["group"]): row["short"] for row in targets.judged(found)}


def test_a_goal_is_reached_missed_or_not_run():
    found = verdicts(report(TAXES, {
        "in_context - bradley_terry": {"all": [0.0, 0, 0, 9, 9], "controversial": [0.03, -0.1, 0.2, 9, 9]},
        "extractive_4 - random_4": {"controversial": [0.0391, 0.003, 0.077, 9, 9]},
        "in_context, shuffled - bradley_terry": {"controversial": [0.025, -0.07, 0.02, 9, 9]},
        "extractive_4 - in_context": {"all": [0.0, 0.0, 0.0, 9, 9]},
    }))  # fmt: skip
    assert found["in_context - bradley_terry", "new users"] == 0
    assert found["extractive_4 - random_4", "new users"] == pytest.approx(0.0009)
    assert found["in_context, shuffled - bradley_terry", "new users"] == pytest.approx(0.015)
    assert found["extractive_4 - in_context", "new users"] is None, "another slice is no answer"
    assert found["in_context - bradley_terry", "new answers"] is None


@pytest.mark.parametrize(("low", "short"), [(0.001, 0.0), (-0.002, 0.002), (None, float("inf"))])
def test_an_interval_above_zero_must_lie_there_whole(low, short):
    made = report("llmfao", {"in_context - bradley_terry": {"all": [0.05, low, 0.1, 9, 9]}}, "same users")
    assert verdicts(made)["in_context - bradley_terry", "same users"] == pytest.approx(short)


def test_bowling_green_asks_for_more_and_other_data_for_nothing():
    differences = {"in_context - bradley_terry": {"controversial": [0.05, 0.04, 0.06, 9, 9]}}
    assert verdicts(report(BOWLING, differences))["in_context - bradley_terry", "new users"] == pytest.approx(0.03)
    assert targets.judged(report("polis/brexit-consensus", differences)) == []
    assert targets.table(report("polis/brexit-consensus", differences)) == ""


def test_the_page_says_by_how_much():
    made = report(TAXES, {"extractive_4 - random_4": {"controversial": [0.0391, 0.0031, 0.0771, 9, 9]}})
    made["groups"]["new users"]["rows"] = {"constant": {"all": [0.5, None, None, 1, 9], "per_user": 0.5}}
    text = embedding_tables.markdown(made)
    assert "| extractive_4 - random_4 | new users, controversial | at least +0.04 | +0.039 [+0.003, +0.077] | **missed** by 0.001 |" in text  # fmt: skip
    assert "| in_context, shuffled - bradley_terry | new users, controversial | at most +0.01 | - | not run |" in text
    assert "| constant | 0.500 | - | 0.500 | - |" in text, "one user: a mean without an interval"


def test_every_goal_is_a_difference_that_the_report_has():
    known = {f"{a} - {b}" for a, b in embedding_tables.DIFFERENCES}
    names = {row["difference"] for data in (TAXES, BOWLING, "llmfao") for row in targets.judged(report(data, {}))}
    assert names <= known


def test_a_missed_promise_is_named_and_nan_is_a_miss():
    good = {
        "accuracy": {"plus": 0.99, "bradley_terry": 0.5, "untrained": 0.6, "oracle": 1.0},
        "controls": {"shuffled": 0.5, "empty": 0.5},
    }
    good |= {"faithfulness": {"precision": 1.0, "recall": 1.0}, "null": {"accuracy": 0.5}}
    assert targets.missed(good) == []
    assert set(targets.promised()) >= {"accuracy.plus", "null.accuracy"}
    assert targets.missed(good | {"null": {"accuracy": math.nan}}) == ["null.accuracy is nan, promised 0.45 to 0.55"]
