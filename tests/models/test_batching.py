"""Batches with little padding: within the budget, complete, and as cheap as can be."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plus.models.batching import by_length, tight

lengths = st.lists(st.integers(1, 300), min_size=1, max_size=40)


def cost(groups, of, overhead) -> float:
    return sum(max(of[row] for row in rows) * len(rows) + overhead for rows in groups)


@given(lengths, st.integers(1, 2000))
def test_every_row_once_within_the_budget_shortest_first(of, budget):
    batches = list(by_length(of, budget))
    assert sorted(row for rows in batches for row in rows) == list(range(len(of)))
    for rows in batches:
        assert len(rows) == 1 or max(of[row] for row in rows) * len(rows) <= budget
    flat = [of[row] for rows in batches for row in rows]
    assert flat == sorted(flat)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 100))
def test_no_other_cut_of_the_sorted_rows_is_cheaper(of, overhead):
    order = sorted(range(len(of)), key=lambda row: (of[row], row))
    cuts = itertools.chain.from_iterable(itertools.combinations(range(1, len(of)), n) for n in range(len(of)))
    every = [[order[a:b] for a, b in itertools.pairwise([0, *cut, len(of)])] for cut in cuts]
    groups = tight(of, overhead)
    assert [row for rows in groups for row in rows] == order
    assert cost(groups, of, overhead) == min(cost(one, of, overhead) for one in every)


def test_worked_groups():
    assert tight([100, 10, 11, 100], overhead=20) == [[1, 2], [0, 3]]
    assert tight([100, 10, 11, 100], overhead=200) == [[1, 2, 0, 3]]
    assert tight([], overhead=20) == []


def test_rewards_do_not_depend_on_who_shares_a_batch(reward_model):
    texts = ["likes cats", "", "talks about " + "music and " * 30]
    triples = [(text, f"Tell me {n}.", "Cats. " * n) for n in (1, 5, 20) for text in texts]
    sequences = reward_model.encode(triples)
    together = reward_model.forward(sequences)
    assert len(tight([len(ids) for ids in sequences])) > 1
    for ids, reward in zip(sequences, together.tolist(), strict=True):
        assert reward_model.forward([ids]).item() == pytest.approx(reward, abs=1e-5)
