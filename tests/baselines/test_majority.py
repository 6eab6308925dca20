"""The majority baseline on worked counts."""

from __future__ import annotations

import math

import pytest

from plus.baselines.majority import Majority
from plus.types import Event, Preference, Reaction


def test_majority_on_worked_counts():
    """`a` chosen twice of two, `b` never of one, `c` liked once of two: shares 3/4, 1/3 and 1/2."""
    events = [
        Event("1", "reaction", Reaction("p", "c", True)),
        Event("2", "reaction", Reaction("p", "c", False)),
        Event("3", "choice", Preference("p", "a", "x")),
    ]
    scorer = Majority([Preference("p", "a", "b")], events)
    pairs = [Preference("p", "a", "b"), Preference("p", "c", "a"), Preference("p", "new", "newer")]
    expected = [math.log((3 / 4) / (3 / 4 + 1 / 3)), math.log((1 / 2) / (1 / 2 + 3 / 4)), math.log(0.5)]
    assert scorer.log_likelihood([""] * 3, pairs) == pytest.approx(expected)
