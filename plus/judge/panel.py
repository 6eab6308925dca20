"""A panel of judges: which of two answers does this user get more from? Each judge is a function of questions.

A prompted model is asked in both orders, in several wordings. A checklist is read against one answer at a
time. A reward model knows no order. All give a `Verdict`, ties and unclear replies as what they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from plus.judge.checklist import ChecklistJudge, improves
from plus.profiles.sentences import split
from plus.prompts import JUDGE, judge_messages
from plus.types import Preference, Prompt, Scorer, Turn, Writer

Said = Literal["first", "second", "tie", "unclear"]
_NAMED = re.compile(r"\b([AB]|TIE|Tie)\b")
WORKERS = 8


class Question(NamedTuple):
    """What a judge decides: two answers to one conversation, given a text about the user (or none)."""

    user_id: str
    about: str
    conversation: Prompt
    one: str
    two: str


@dataclass(frozen=True)
class Verdict:
    """What a judge said with `one` shown first (`straight`), and with `two` shown first (`turned`)."""

    straight: Said
    turned: Said

    @property
    def score(self) -> float:
        """1 where `one` won in both orders, 0 where `two` did, one half where the judge did not decide."""
        return (_POINTS[self.straight] + 1 - _POINTS[self.turned]) / 2

    @property
    def decided(self) -> tuple[bool, ...]:
        """For each order in which an answer was taken, whether it was the one shown first."""
        return tuple(said == "first" for said in (self.straight, self.turned) if said in ("first", "second"))


_POINTS = {"first": 1.0, "second": 0.0, "tie": 0.5, "unclear": 0.5}
_TURNED: dict[Said, Said] = {"first": "second", "second": "first", "tie": "tie", "unclear": "unclear"}
PairJudge = Callable[[Sequence[Question]], list[Verdict]]
WriterOf = Callable[[str], Writer]  # user id -> who is asked about that user


def prompted(writer_of: WriterOf, instruction: str = JUDGE, workers: int = WORKERS) -> PairJudge:
    """A model asked in both orders, in the words of `instruction`. Raises whatever the writer raises."""

    def judge(questions: Sequence[Question]) -> list[Verdict]:
        turned = [question._replace(one=question.two, two=question.one) for question in questions]
        with ThreadPoolExecutor(workers) as pool:
            said = list(pool.map(partial(_ask, writer_of, instruction), [*questions, *turned]))
        return [Verdict(one, two) for one, two in zip(said[: len(turned)], said[len(turned) :], strict=True)]

    return judge


def by_checklist(writer_of: WriterOf, workers: int = WORKERS) -> PairJudge:
    """The sentences about the user as a checklist: the answer that meets more of them wins. Nobody without
    sentences is decided."""

    def judge(questions: Sequence[Question]) -> list[Verdict]:
        def one(question: Question) -> Verdict:
            points = tuple(question.about[start:end] for start, end in split(question.about))
            checking = ChecklistJudge(writer_of(question.user_id), workers=1)
            found = checking.check_all([(points, question.conversation, text) for text in (question.one, question.two)])
            if checking.unclear:
                return _both("unclear")
            return _both("first" if improves(*found) else "second" if improves(*found[::-1]) else "tie")

        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(one, questions))

    return judge


def by_scorer(scorer: Scorer) -> PairJudge:
    """A reward model that reads the text about the user, such as plus.load(run).reward_model."""

    def judge(questions: Sequence[Question]) -> list[Verdict]:
        pairs = [_pair(question) for question in questions]
        texts = [question.about for question in questions]
        straight = scorer.log_likelihood(texts, pairs)
        turned = scorer.log_likelihood(texts, [pair.swapped() for pair in pairs])
        return [
            _both("tie" if a == b else "first" if a > b else "second") for a, b in zip(straight, turned, strict=True)
        ]

    return judge


def read_verdict(reply: str) -> Said:
    """What a reply names: A is the answer shown first. Neither or several is unclear."""
    said = reply.rsplit("</think>", 1)[-1]  # What a model thinks aloud names both.
    named = {name.upper() for name in _NAMED.findall(said)}
    if len(named) != 1:
        return "unclear"
    return {"A": "first", "B": "second", "TIE": "tie"}[named.pop()]  # type: ignore[return-value]


def _ask(writer_of: WriterOf, instruction: str, question: Question) -> Said:
    messages = judge_messages(question.about, question.conversation, question.one, question.two, instruction)
    return read_verdict(writer_of(question.user_id).complete(messages))


def _both(said: Said) -> Verdict:
    """The verdict of who knows no order."""
    return Verdict(said, _TURNED[said])


def _pair(question: Question) -> Preference:
    turns = question.conversation
    if isinstance(turns, str):
        turns = (Turn("user", turns),)
    return Preference(turns[-1].content, question.one, question.two, tuple(turns[:-1]))
