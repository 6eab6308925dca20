"""Real people: position habits, and goals that are reached, missed and by how much, or not run."""

from __future__ import annotations

import json
import random

import pytest

from plus.benchmark import embedding_tables
from plus.benchmark.real_people import compare_targets, habit, targets_table
from plus.resources import shipped
from plus.sources import llmfao, ukpconvarg1

TAXES, BOWLING = "polis/scoop-hivemind.taxes", "polis/american-assembly.bowling-green"


def report(dataset: str, differences: dict, group: str = "new users") -> dict:
    return {"dataset": dataset, "notes": [], "missing": {}, "groups": {group: {"rows": {}, "differences": differences}}}


def verdicts(found: dict) -> dict[tuple[str, str], float | None]:
    return {(row["difference"], row["group"]): row["short"] for row in compare_targets(found)}


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
    assert compare_targets(report("polis/brexit-consensus", differences)) == []
    assert targets_table(report("polis/brexit-consensus", differences)) == ""


def test_the_page_says_by_how_much():
    made = report(TAXES, {"extractive_4 - random_4": {"controversial": [0.0391, 0.0031, 0.0771, 9, 9]}})
    made["groups"]["new users"]["rows"] = {"constant": {"all": [0.5, None, None, 1, 9], "per_user": 0.5}}
    text = embedding_tables.page(made)
    missed = "at least +0.04 | +0.039 [+0.003, +0.077] | **missed** by 0.001 |"
    assert f"| extractive_4 - random_4 | new users, controversial | {missed}" in text
    assert "| in_context, shuffled - bradley_terry | new users, controversial | at most +0.01 | - | not run |" in text
    assert "| constant | 0.500 | - | 0.500 | - |" in text, "one user: a mean without an interval"


def test_every_goal_is_a_difference_that_the_report_has():
    known = {f"{a} - {b}" for a, b in embedding_tables.DIFFERENCES}
    names = {
        row["difference"] for data in (TAXES, BOWLING, "llmfao", "spi") for row in compare_targets(report(data, {}))
    }
    assert names <= known


def test_a_planted_habit_is_counted_and_chance_is_not():
    rng = random.Random(0)
    fair = {f"fair-{n}": [rng.random() < 0.5 for _ in range(40)] for n in range(60)}
    few = {f"few-{n}": [True] * 5 for n in range(4)}
    line = habit(fair | few)
    assert line.startswith("position habit: raters took what stood first in 0.5")
    assert " of 2,420 choices; 0 of 60 raters with 20 or more lean" in line
    assert line.endswith("(by chance 0.6)")
    left = {f"left-{n}": [rng.random() < 0.9 for _ in range(40)] for n in range(5)}
    right = {f"right-{n}": [rng.random() < 0.1 for _ in range(40)] for n in range(5)}
    assert "; 10 of 70 raters" in habit(fair | left | right), "two habits that cancel out are ten habits"


def test_a_share_by_hand():
    # Two of three choices of either rater: nobody differs, so the interval is the point.
    assert "in 0.667 [0.667, 0.667] of 6 choices" in habit({"a": [True, True, False], "b": [False, True, True]})


def test_what_stood_first_is_read_from_the_judgments_and_ties_are_none(tmp_path):
    (tmp_path / "crowd-comparisons.csv").write_text("id,worker,winner\n0,w,left\n1,w,right\n2,w,tie\n0,v,left\n")
    assert llmfao.first_won(tmp_path) == {"w": [True, False], "v": [True]}
    rows = [("u", "a1", True), ("u", "equal", True), ("u", "a2", True), ("v", "a1", False)]
    lines = [json.dumps({"user_id": user, "value": value, "crowdsample": sample}) for user, value, sample in rows]
    (tmp_path / "judgments.jsonl").write_text("\n".join(lines) + "\n")
    assert ukpconvarg1.first_won(tmp_path) == {"u": [True, False]}, "of the published rows alone"
    found = llmfao.first_won(shipped("llmfao_sample")).values()
    assert 0.3 < sum(map(sum, found)) / sum(map(len, found)) < 0.7
