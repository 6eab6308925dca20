"""Raters who take what stands first are counted, and those who do not are left in peace."""

from __future__ import annotations

import json
import random

from plus.benchmark.position_bias import habit
from plus.resources import shipped
from plus.sources import llmfao, ukpconvarg1


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
    (tmp_path / "judgments.jsonl").write_text("".join(json.dumps({"user_id": u, "value": v, "crowdsample": c}) + "\n" for u, v, c in rows))  # fmt: skip
    assert ukpconvarg1.first_won(tmp_path) == {"u": [True, False]}, "of the published rows alone"
    assert 0.3 < sum(map(sum, (found := llmfao.first_won(shipped("llmfao_sample"))).values())) / sum(map(len, found.values())) < 0.7  # fmt: skip
