"""Accuracy by the number of past events, with a summarizer that needs two."""

from __future__ import annotations

import math

from plus.evaluate.counterfactuals import Stated
from plus.evaluate.learning_curve import curve, learning_curve
from plus.types import Event, Example, Preference, UserHistory


class Knows:
    def log_likelihood(self, texts, pairs):
        return [math.log(0.9 if text == "known" else 0.5) for text in texts]


def test_what_two_events_reveal_is_known_from_two_on():
    examples = [
        Example(UserHistory(user, tuple(Event(str(n), "message", str(n)) for n in range(count))), Preference("p", "a", "b"), "test")
        for user, count in (("a", 5), ("b", 5), ("c", 1))
    ]  # fmt: skip
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
