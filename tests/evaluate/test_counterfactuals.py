"""Flipped pasts and shorter ones, on worked rows."""

from __future__ import annotations

import math

import pytest

from plus.evaluate.counterfactuals import Stated, curve, flipped, label_flip, learning_curve, texts_of, turned
from plus.evaluate.predictions import Prediction
from plus.types import Event, Example, Preference, Reaction, UserHistory

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
