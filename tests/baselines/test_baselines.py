"""The baselines that only count or only choose what is read."""

from __future__ import annotations

import math
from random import Random

import pytest

from plus.baselines import in_context, last_k, surprise_k
from plus.baselines.constant import Constant
from plus.baselines.longer_wins import LongerWins
from plus.baselines.majority import Majority
from plus.measures import accuracy
from plus.models.extractive import random_selection
from plus.prompts import event_lines
from plus.types import Event, Preference, Reaction, UserHistory


def vote(text: str, label: bool = True) -> Event:
    return Event(text, "reaction", Reaction("p", text, label))


HISTORY = UserHistory("u", (vote("one"), vote("two", False), vote("three"), vote("four")))


def test_a_constant_scores_one_half_and_the_longer_answer_wins():
    pairs = [Preference("p", "three short words", "two words"), Preference("p", "", "one")]
    assert accuracy(Constant().log_likelihood(["", ""], pairs)) == 0.5
    assert LongerWins().log_likelihood(["", ""], pairs) == pytest.approx([math.log(3 / 5), math.log(1 / 2)])


def test_in_context_reads_every_event():
    assert in_context.texts([HISTORY]) == ["Agreed: one\nDisagreed: two\nAgreed: three\nAgreed: four"]


def test_the_newest_k_and_no_more_than_there_are():
    assert last_k.texts([HISTORY, UserHistory("v")], 2) == ["Agreed: three\nAgreed: four", ""]
    assert last_k.texts([HISTORY], 9) == in_context.texts([HISTORY])


def test_random_k_draws_every_event_equally_often():
    texts = random_selection([HISTORY] * 4000, 2, Random(0))
    for word in ("one", "two", "three", "four"):
        assert sum(word in text for text in texts) == pytest.approx(2000, abs=4 * math.sqrt(1000))


def test_the_most_surprising_votes_are_those_that_few_others_gave():
    """Of 8 voters 7 agreed to "two" and 4 to "one": disagreeing with "two" has P = 1 - 8/10, agreeing to "one" 1/2."""
    others = [vote("two", n < 7) for n in range(8)] + [vote("one", n < 4) for n in range(8)]
    majority = Majority((), others)
    assert surprise_k.surprisal(vote("two", False), majority) == pytest.approx(-math.log(2 / 10))
    assert surprise_k.surprisal(vote("one"), majority) == pytest.approx(-math.log(1 / 2))
    assert surprise_k.texts([HISTORY], 1, majority) == ["Disagreed: two"]
    choice = Event("c", "choice", Preference("p", "one", "two"))
    assert surprise_k.surprisal(choice, majority) == pytest.approx(-math.log(0.5 / (0.5 + 0.8)))
    assert surprise_k.surprisal(Event("m", "message", "hello"), majority) == 0.0


def test_the_newest_events_that_fit_are_kept_in_order():
    past = [Event(str(n), "reaction", Reaction("", f"{'abcd' * n}", True)) for n in (1, 2, 3)]
    lines = [event_lines(event) for event in past]
    assert lines[0] == "Agreed: abcd"
    history = UserHistory("u", tuple(past))
    # 12, 16 and 20 characters with line breaks between them: 5 tokens, 10 (37 / 4), 13 (50 / 4).
    texts = {limit: in_context.newest_within([history], [limit])[0] for limit in (4, 5, 9, 10, 12, 13)}
    assert texts == {
        4: "", 5: lines[2], 9: lines[2], 10: "\n".join(lines[1:]), 12: "\n".join(lines[1:]), 13: "\n".join(lines),
    }  # fmt: skip
