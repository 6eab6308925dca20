"""Synthetic users: mirrored, leak-free, and reproducible."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plus.errors import SourceError
from plus.measures import UNDECIDED, accuracy
from plus.worlds import pets


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_every_population_is_sound(seed):
    users = pets.load(seed, train_users=12, pairs_per_user=3, test_pairs=8)
    pets.mirrored(users.split("test"))
    assert not set(users.users("train")) & set(users.users("test"))
    for example in users.examples:
        past = [event.content for event in example.history.events]
        assert len(past) == 3
        assert example.target not in past
        assert example.target.swapped() not in past
        favourite = pets.PERSONA.format(animal=pets.animal_of(example.target.chosen))
        assert users.personas[example.history.user_id] == favourite, "the target is the user's own taste"
        assert pets.favourite_of(example.history) == pets.claims(favourite), "and the context reveals it"
    assert pets.load(seed, 12, 3, 8) == users


def test_the_default_test_set_has_a_thousand_pairs_each_twice():
    test = pets.load(0, train_users=1).split("test")
    assert len(test) == 2000
    assert len({frozenset((e.target.chosen, e.target.rejected, e.target.prompt)) for e in test}) > 900


@pytest.mark.parametrize("seed", range(3))
def test_whatever_ignores_the_user_scores_exactly_one_half(seed):
    """Length, the alphabet, noise that depends on the text alone: all exactly 0.500, ties counted."""
    test = pets.load(seed, train_users=1, test_pairs=300).split("test")
    scores = {
        "longer": len,
        "alphabet": lambda text: sum(map(ord, text)),
        "constant": lambda text: 0.0,
        "noise": lambda text: random.Random(text).random(),
    }
    for score in scores.values():
        margins = [score(e.target.chosen) - score(e.target.rejected) for e in test]
        assert accuracy([UNDECIDED + margin for margin in margins]) == 0.5


def test_a_leak_is_caught():
    """One twin missing, or relabelled, and the layout no longer promises 0.500."""
    test = pets.load(0, train_users=1, test_pairs=5).split("test")
    with pytest.raises(SourceError, match=r"appears [+-]1 times more in one order"):
        pets.mirrored(test[:-1])
    with pytest.raises(SourceError, match="mirror it"):
        pets.mirrored([replace(test[0], target=test[0].target.swapped()), *test[1:]])


def test_dealing_targets_to_others_keeps_users_and_cuts_the_link():
    users = pets.load(0, train_users=200, test_pairs=200)
    null = pets.permuted(users, 0)
    assert [e.history for e in null.examples] == [e.history for e in users.examples]
    assert sorted(map(repr, (e.target for e in null.examples))) == sorted(map(repr, (e.target for e in users.examples)))
    pets.mirrored(null.split("test"))
    agreed = sum(pets.animal_of(e.target.chosen) in users.personas[e.history.user_id] for e in null.examples)
    assert agreed / len(null.examples) < 0.25  # one in eight by chance


def test_claims_are_parsed_and_a_made_up_animal_counts():
    assert pets.claims("The user likes cats best.") == {("likes", "cats")}
    assert pets.claims("The user passed over dogs. The user likes unicorns best.") == {
        ("passed over", "dogs"),
        ("likes", "unicorns"),
    }
    assert pets.claims("The user talked about cats.") == set()
