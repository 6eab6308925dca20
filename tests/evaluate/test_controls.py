"""Controls on scorers with known faults: own, shuffled, empty and opposite summaries, and the pasted past."""

from __future__ import annotations

import math

import pytest
from support.controls import accuracies

from plus.errors import WindowError
from plus.evaluate.controls import other_users, read_raw_history
from plus.types import Population
from plus.worlds import pets


class Reader:
    """A scorer that reads perfectly: prefers the answer with the animal that the text says is liked."""

    def log_likelihood(self, texts, pairs):
        return [self.one(text, pair) for text, pair in zip(texts, pairs, strict=True)]

    def one(self, text, pair):
        liked = {animal for _, animal in pets.claims(text)}
        right, wrong = pets.animal_of(pair.chosen) in liked, pets.animal_of(pair.rejected) in liked
        return math.log(0.9 if right and not wrong else 0.1 if wrong and not right else 0.5)


class Deaf(Reader):
    """The planted fault that independent re-runs of PLUS found: the summary is ignored."""

    def one(self, text, pair):
        return math.log(0.8 if pair.chosen > pair.rejected else 0.2)


@pytest.fixture
def users() -> Population:
    return pets.load(0, train_users=4, test_pairs=200)


def test_a_reader_passes_every_control(users):
    found, counts = accuracies(Reader(), users.split("test"), users.personas)
    assert (found["own"], found["empty"], found["opposite"]) == (1.0, 0.5, 0.0)
    assert counts["opposite"] == counts["own"] == len(users.split("test")) == 400
    assert len({example.history.user_id for example in users.split("test")}) == 400
    assert abs(found["shuffled"] - 0.5) < 0.05


def test_a_reward_model_that_ignores_the_summary_is_caught(users):
    found, _ = accuracies(Deaf(), users.split("test"), users.personas)
    assert found["own"] == found["shuffled"] == found["empty"] == found["opposite"] == 0.5


def test_the_other_user_is_never_the_user_nor_one_who_chose_the_opposite(users):
    examples = users.split("test")
    target = {example.history.user_id: example.target for example in examples}
    for example, other in zip(examples, other_users(examples), strict=True):
        assert other != example.history.user_id
        assert target[other] != example.target.swapped()
    with pytest.raises(ValueError, match="needs a second user"):
        other_users(examples[:1])


def test_a_window_too_small_for_the_past_is_halved_and_then_given_up(users):
    """The reader takes four lines (one event) and then none."""

    class Narrow(Reader):
        def __init__(self, lines):
            self.lines = lines

        def one(self, text, pair):
            if text.count("\n") + 1 > self.lines:
                raise WindowError("too long")
            return super().one(text, pair)

    test = users.split("test")[:20]
    pasted, rows = read_raw_history(Narrow(4), test)
    assert (pasted.events, len(rows)) == (1, 20)
    assert pasted.summarize([test[0].history])[0].startswith("Asked: ")
    pasted, rows = read_raw_history(Narrow(1), test)
    assert (pasted.events, rows) == (0, [])
