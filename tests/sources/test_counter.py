"""Counting in little memory gives the numbers that a Counter gives."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from plus.sources.counter import Tally


@given(st.lists(st.integers(0, 40)))
def test_it_counts_like_a_counter(keys):
    tally, truth = Tally(), Counter()
    for key in keys:
        assert tally.add(("user", key)) == truth[key]
        truth[key] += 1
    assert len(tally) == len(truth)
    assert tally.counts() == sorted(truth.values())


def test_it_grows_and_a_key_that_hashes_to_zero_is_a_key():
    tally = Tally()
    for round_ in range(2):
        assert [tally.add(number) for number in range(5000)] == [round_] * 5000
    assert len(tally) == 5000
    # 0 marks a free slot, so the keys 0 and 1 may not share one by accident of that.
    assert tally.counts() == [2] * 5000
