"""Controls on scorers with known faults: other summaries, the pasted past, flipped and shorter pasts."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from support.controls import accuracies

from plus.errors import WindowError
from plus.evaluate.controls import (
    Stated,
    curve,
    flipped,
    label_flip,
    learning_curve,
    other_users,
    read_raw_history,
    texts_of,
    turned,
)
from plus.evaluate.predictions import Prediction
from plus.types import Event, Example, Population, Preference, Reaction, UserHistory
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


PAST = UserHistory(
    "u",
    (
        Event("1", "choice", Preference("p", "a", "b")),
        Event("2", "reaction", Reaction("p", "c", True)),
        Event("3", "message", "hello"),
    ),
)


def test_a_flipped_past_is_the_other_way_round_and_flips_back():
    other = flipped(PAST)
    assert [event.content for event in other.events] == [Preference("p", "b", "a"), Reaction("p", "c", False), "hello"]
    assert flipped(other) == PAST


def test_only_what_was_right_can_turn():
    """Right, right, right and wrong before; wrong, right and undecided after: 1.5 of 3."""
    before = [Prediction("m", 0, str(n), "0", margin) for n, margin in enumerate((2.0, 1.0, 3.0, -1.0))]
    after = [p.of("flipped", margin) for p, margin in zip(before, (-1.0, 1.0, 0.0, -2.0), strict=True)]
    found = turned(before, after)
    assert (found.mean, found.targets) == (pytest.approx(0.5), 3)


def test_a_past_without_labels_is_left_out():
    """Of three users one only chatted; the reader turns with what the text says was chosen."""

    class Chosen:
        def log_likelihood(self, texts, pairs):
            return [-0.1 if text == pair.chosen else -2.3 for text, pair in zip(texts, pairs, strict=True)]

    pasts = [UserHistory(name, PAST.events[:1]) for name in "ab"] + [UserHistory("c", PAST.events[2:])]
    examples = [Example(past, Preference("q", "a", "b"), "test") for past in pasts]
    newest = Stated(lambda history: getattr(history.events[-1].content, "chosen", "a"))
    before = [Prediction("own", 0, e.history.user_id, str(n), 2.0) for n, e in enumerate(examples)]
    found = label_flip(newest, Chosen(), examples, before)
    assert (found.mean, found.targets) == (1.0, 2)
    assert texts_of(newest, [examples[0], examples[0], examples[2]]) == ["a", "a", "a"]


def test_a_flipped_past_is_summarized_once_for_all_choices_of_its_user():
    class Counting(Stated):
        def summarize(self, histories):
            asked.extend(history.user_id for history in histories)
            return super().summarize(histories)

    asked: list[str] = []
    examples = [Example(replace(PAST, user_id=name), Preference("q", "a", "b"), "test") for name in "aab"]
    before = [Prediction("own", 0, e.history.user_id, str(n), 2.0) for n, e in enumerate(examples)]
    found = label_flip(Counting(lambda history: ""), Deaf(), examples, before)
    assert asked == ["a", "b"] and found.targets == 3


class Knows:
    """A scorer that is right where the text says that the user is known."""

    def log_likelihood(self, texts, pairs):
        return [math.log(0.9 if text == "known" else 0.5) for text in texts]


def test_what_two_events_reveal_is_known_from_two_on():
    pasts = [
        UserHistory(user, tuple(Event(str(n), "message", str(n)) for n in range(count)))
        for user, count in (("a", 5), ("b", 5), ("c", 1))
    ]
    examples = [Example(past, Preference("p", "a", "b"), "test") for past in pasts]
    needs_two = Stated(lambda history: "known" if len(history.events) >= 2 else "")
    found = curve(learning_curve(needs_two, Knows(), examples))
    assert {count: round(at.mean, 3) for count, at in found.items()} == {0: 0.5, 1: 0.5, 2: 0.833, 4: 0.833, 5: 0.833}
    assert found[2].targets == 3


def test_the_newest_events_are_the_ones_that_are_read():
    past = UserHistory("a", tuple(Event(str(n), "message", str(n)) for n in range(3)))
    read: list[str] = []
    reader = Stated(lambda history: read.append(" ".join(str(e.content) for e in history.events)) or "")
    learning_curve(reader, Knows(), [Example(past, Preference("p", "a", "b"), "test")])
    assert read == ["2", "1 2", "0 1 2"]
