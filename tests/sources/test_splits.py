"""Splits by a keyed hash: the shares on average, the same user in the same split however the data grow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plus.sources.splits import hashed_split

USERS = st.sets(st.text(min_size=1, max_size=8), min_size=60, max_size=120)


def test_shares_hold_on_average_and_the_key_is_the_seed():
    users = [f"user-{number}" for number in range(10_000)]
    splits = hashed_split(users, 0, 0.1, 0.3)
    assert splits == hashed_split(reversed(users), 0, 0.1, 0.3)
    count = {name: list(splits.values()).count(name) for name in ("train", "validation", "test")}
    # Three standard deviations of a binomial with 10,000 draws are 146 for 0.4, 138 for 0.3, 90 for 0.1.
    assert count["test"] == pytest.approx(3000, abs=138) and count["validation"] == pytest.approx(1000, abs=90)
    other = hashed_split(users, 1, 0.1, 0.3)
    assert sum(splits[user] == other[user] for user in users) == pytest.approx(4600, abs=150), "0.6^2 + 0.1^2 + 0.3^2"


@given(USERS, USERS)
def test_a_user_keeps_the_split_when_the_data_grow(users, more):
    before, after = hashed_split(users, 0), hashed_split(users | more, 0)
    assert {user: after[user] for user in users} == before


@pytest.mark.parametrize("count", range(3, 12))
def test_of_few_users_no_split_is_empty(count):
    for seed in range(30):
        splits = hashed_split([f"u{number}" for number in range(count)], seed)
        assert {"train", "test"} <= set(splits.values())
        assert count < 5 or "validation" in splits.values()


def test_one_user_is_somewhere_and_none_is_nothing():
    assert len(hashed_split(["ann"], 0)) == 1 and hashed_split([], 0) == {}
