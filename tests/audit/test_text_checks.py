"""Checks of the texts: a reader fitted afresh learns words and codes alike, and true claims are counted."""

from __future__ import annotations

import random

import pytest

from plus.audit.text_checks import FreshReader, faithfulness, read
from plus.types import UserHistory
from plus.worlds import pets


@pytest.fixture(scope="module")
def users():
    return pets.load(0, train_users=300, test_pairs=100)


def fitted(users, texts):
    training = users.split("train")
    return FreshReader([texts[e.history.user_id] for e in training], [e.target for e in training])


@pytest.mark.parametrize("code", [False, True])
def test_it_learns_a_code_as_easily_as_words(users, code):
    """Which is why it measures information and never portability."""
    texts = {u: t[::-1] if code else t for u, t in users.personas.items()}
    found = read(fitted(users, texts), users.split("test"), texts)
    assert found.own.mean > 0.95
    assert abs(found.shuffled.mean - 0.5) < 0.12
    assert found.gain.low > 0.3


def test_it_finds_nothing_in_texts_of_somebody_else(users):
    """Each user's text is drawn from another's: what was fitted does not carry over to new users."""
    rng = random.Random(0)
    texts = dict(zip(users.personas, rng.sample(list(users.personas.values()), len(users.personas)), strict=True))
    found = read(fitted(users, texts), users.split("test"), texts)
    assert found.own.low <= 0.5 <= found.own.high
    assert found.gain.low <= 0 <= found.gain.high


def test_it_has_no_taste_for_a_side(users):
    pair = users.split("test")[0].target
    reader = fitted(users, users.personas)
    one, other = reader.log_likelihood(["The user likes cats best."] * 2, [pair, pair.swapped()])
    assert 2.718281828**one + 2.718281828**other == pytest.approx(1)
    assert reader.log_likelihood([], []) == []


def test_faithfulness_on_worked_summaries():
    """Three users: a true claim, a false one beside a true one, and silence."""
    histories = [
        UserHistory(name, pets.load(0, 1, 1, 3).split("test")[n].history.events) for n, name in enumerate("abc")
    ]
    liked = [animal for history in histories for _, animal in pets.favourite_of(history)]
    wrong = next(
        animal
        for animal in pets.ANIMALS
        if ("passed over", animal) not in pets.traits(histories[1]) and animal != liked[1]
    )
    summaries = {
        "a": f"The user likes {liked[0]} best.",
        "b": f"The user likes {liked[1]} best. The user passed over {wrong}.",
        "c": "The user talked about work.",
    }
    found = faithfulness(summaries, histories, pets.claims, pets.traits, pets.favourite_of)
    assert (found.precision, found.recall, found.claimed, found.wanted) == (2 / 3, 2 / 3, 3, 3)
    silent = faithfulness(dict.fromkeys("abc", "Nothing."), histories, pets.claims, pets.traits, pets.favourite_of)
    assert (silent.precision, silent.recall) == (0.0, 0.0), "silence is not faithful"
