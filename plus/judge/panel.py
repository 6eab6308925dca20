"""Judges of two answers for one user: a panel of functions from questions to verdicts, and a judge as a `Scorer`.

A prompted model is asked in both orders, in several wordings: a judge favours a place as readily as an answer (arXiv
2305.17926), and one that always says "A" is left undecided on every pair instead of right on half of them. A checklist
is read against one answer at a time. A reward model knows no order. All give a `Verdict`; ties and unclear replies are
kept apart.
"""

from __future__ import annotations

import math
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
_VERDICT = re.compile(r"\b([AB])\b")
_NAMED = re.compile(r"\b([AB]|TIE|Tie)\b")
TOLD = ("summary", "history", "nothing")  # texts about a user that a judge may be told
WORKERS = 8


class Question(NamedTuple):
    """Two answers to one conversation, and a text about the user (or none): the input of a judge."""

    user_id: str
    about: str
    conversation: Prompt
    one: str
    two: str


@dataclass(frozen=True)
class Verdict:
    """Verdicts of a judge with `one` shown first (`straight`), and with `two` shown first (`turned`)."""

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


# Points of the answer shown first.
_POINTS = {"first": 1.0, "second": 0.0, "tie": 0.5, "unclear": 0.5}
_TURNED: dict[Said, Said] = {"first": "second", "second": "first", "tie": "tie", "unclear": "unclear"}
_SAID: dict[str, Said] = {"A": "first", "B": "second", "TIE": "tie"}
PairJudge = Callable[[Sequence[Question]], list[Verdict]]
WriterOf = Callable[[str], Writer]  # user id -> the model to ask about that user


class Seat(NamedTuple):
    """A judge, the texts it may be told when it predicts choices, and the one it is told when it compares answers."""

    judge: PairJudge
    told: tuple[str, ...] = TOLD
    compares_by: str = "history"


@dataclass(frozen=True)
class Judgment:
    """One verdict: the judge, the text it was told, and the two texts compared, named "chosen", "default", ...

    longer: 1 where `one` is the longer, 0 where `two` is, None where neither.
    """

    judge: str
    told: str
    user_id: str
    example: str
    one: str
    two: str
    verdict: Verdict
    longer: int | None


def prompted(writer_of: WriterOf, instruction: str = JUDGE, workers: int = WORKERS) -> PairJudge:
    """Make a judge that asks a model in both orders, in the words of `instruction`. The writer's errors pass."""

    def judge(questions: Sequence[Question]) -> list[Verdict]:
        # The same questions with the answers in the other order.
        turned = [question._replace(one=question.two, two=question.one) for question in questions]
        with ThreadPoolExecutor(workers) as pool:
            said = list(pool.map(partial(_ask, writer_of, instruction), [*questions, *turned]))
        return [Verdict(one, two) for one, two in zip(said[: len(turned)], said[len(turned) :], strict=True)]

    return judge


def by_checklist(writer_of: WriterOf, workers: int = WORKERS) -> PairJudge:
    """Make a judge that checks each answer against the sentences about the user; the one that meets more wins.

    Without a sentence it is a tie.
    """

    def judge(questions: Sequence[Question]) -> list[Verdict]:
        def one(question: Question) -> Verdict:
            points = tuple(question.about[start:end] for start, end in split(question.about))
            checking = ChecklistJudge(writer_of(question.user_id), workers=1)
            found = checking.check_all([(points, question.conversation, text) for text in (question.one, question.two)])
            # One unreadable verdict makes the comparison unclear.
            if checking.unclear:
                return _both("unclear")
            return _both("first" if improves(*found) else "second" if improves(*found[::-1]) else "tie")

        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(one, questions))

    return judge


def by_scorer(scorer: Scorer) -> PairJudge:
    """Make a judge of a reward model that reads the text about the user, such as plus.load(run).reward_model."""

    def judge(questions: Sequence[Question]) -> list[Verdict]:
        pairs = [_pair(question) for question in questions]
        texts = [question.about for question in questions]
        straight = scorer.log_likelihood(texts, pairs)
        turned = scorer.log_likelihood(texts, [pair.swapped() for pair in pairs])
        return [
            _both("tie" if a == b else "first" if a > b else "second") for a, b in zip(straight, turned, strict=True)
        ]

    return judge


class Judge:
    """Prompted model as a `Scorer`: it predicts which of two answers the user prefers.

    `first_shares` holds, for each pair judged, the share of its two requests in which the answer shown first was taken
    (1/2 for a judge without a habit, and where a verdict was unclear); `unclear` counts the replies that named neither
    A nor B, or both.
    """

    def __init__(self, writer: Writer, workers: int = 8) -> None:
        self.writer, self.workers = writer, workers
        self.first_shares: list[float] = []
        self.unclear = 0

    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """Estimate log P(chosen preferred to rejected | text) as (wins + 1/2) of (requests + 1), two requests a pair.

        Equal questions are asked once. The writer's errors pass through.
        """
        # Each pair in both orders.
        asked = list(dict.fromkeys(q for t, p in zip(texts, pairs, strict=True) for q in ((t, p), (t, p.swapped()))))
        with ThreadPoolExecutor(self.workers) as pool:
            answered = dict(zip(asked, pool.map(self._first, asked), strict=True))
        found = []
        for text, pair in zip(texts, pairs, strict=True):
            straight, turned = answered[text, pair], answered[text, pair.swapped()]
            self.first_shares.append((straight + turned) / 2)
            # `turned` is the share of the rejected answer, which stood first there.
            found.append(math.log((straight + (1 - turned) + 0.5) / 3))
        self.unclear += sum(value == 0.5 for value in answered.values())
        return found

    def _first(self, question: tuple[str, Preference]) -> float:
        """Return 1 when the answer shown first is taken, 0 for the second, 1/2 when the reply names neither or both."""
        text, pair = question
        reply = self.writer.complete(judge_messages(text, pair.conversation, pair.chosen, pair.rejected))
        named = set(_VERDICT.findall(reply))
        return 0.5 if len(named) != 1 else float(named == {"A"})


def read_verdict(reply: str) -> Said:
    """Read which answer a reply names: A is the one shown first. Neither or several is unclear."""
    said = reply.rsplit("</think>", 1)[-1]  # Thoughts name both.
    named = {name.upper() for name in _NAMED.findall(said)}
    if len(named) != 1:
        return "unclear"
    return _SAID[named.pop()]


def _ask(writer_of: WriterOf, instruction: str, question: Question) -> Said:
    messages = judge_messages(question.about, question.conversation, question.one, question.two, instruction)
    return read_verdict(writer_of(question.user_id).complete(messages))


def _both(said: Said) -> Verdict:
    """Make the verdict of a judge that knows no order."""
    return Verdict(said, _TURNED[said])


def _pair(question: Question) -> Preference:
    # The last turn is the prompt, those before it are the earlier conversation.
    turns = question.conversation
    if isinstance(turns, str):
        turns = (Turn("user", turns),)
    return Preference(turns[-1].content, question.one, question.two, tuple(turns[:-1]))
