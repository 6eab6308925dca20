"""What is put before a panel of judges: people's held-out choices, and answers written with and without them in mind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from plus.errors import EvidenceError
from plus.evaluate.controls import PastedHistory
from plus.judge.panel import WORKERS, PairJudge, Question, Verdict, WriterOf
from plus.profiles.store import Store
from plus.serve.personalize import personalize
from plus.types import Message, Preference, Turn

TOLD = ("summary", "history", "nothing")  # what a judge may be told about a user
SIDES = (("personalized", "default"), ("history", "default"), ("personalized", "history"))
HISTORY_TOKENS = 2048  # of a pasted past in a request


class Person(NamedTuple):
    """One user: the summary, the newest past events pasted as text, and choices that no summarizer has read."""

    user_id: str
    summary: str
    history: str
    choices: tuple[Preference, ...]

    def told(self, what: str) -> str:
        """The text about them that `what` of TOLD names."""
        return {"summary": self.summary, "history": self.history, "nothing": ""}[what]


class Seat(NamedTuple):
    """A judge, what it may be told when it predicts choices, and what it is told when it compares answers."""

    judge: PairJudge
    told: tuple[str, ...] = TOLD
    compares_by: str = "history"


@dataclass(frozen=True)
class Judgment:
    """One verdict: who judged, told what, about which two texts; `longer` is 1 where `one` is the longer, 0
    where `two` is, None where neither."""

    judge: str
    told: str
    user_id: str
    example: str
    one: str
    two: str
    verdict: Verdict
    longer: int | None


def people(store: Store, events: int = 8, max_users: int | None = None, max_choices: int = 4) -> list[Person]:
    """Those in the store who have a summary and held-out choices. Raises EvidenceError where there are fewer than two."""
    found: list[Person] = []
    pasted = PastedHistory(events)
    for user_id in store.users():
        if max_users is not None and len(found) == max_users:
            break
        summary = store.summary(user_id)
        choices = [e.content for e in store.events(user_id, held_out=True) if isinstance(e.content, Preference)]
        if summary is not None and summary.text.strip() and choices:
            past = pasted.summarize([store.read(user_id).history])[0]
            found.append(Person(user_id, summary.text, past, tuple(choices[:max_choices])))
    if len(found) < 2:
        raise EvidenceError(
            f"{len(found)} users of {store.path} have a summary and a held-out choice, and an interval takes two; "
            "plus summarize --update writes summaries and holds choices out"
        )
    return found


def choices_judged(persons: Sequence[Person], panel: Mapping[str, Seat]) -> list[Judgment]:
    """Every judge's word on every held-out choice, given each text about the user: one is the chosen answer."""
    found: list[Judgment] = []
    for name, seat in panel.items():
        for told in seat.told:
            questions = [
                Question(p.user_id, p.told(told), c.conversation, c.chosen, c.rejected) for p in persons for c in p.choices
            ]  # fmt: skip
            found += _judgments(name, told, ("chosen", "rejected"), seat, questions)
    return found


def answers(persons: Sequence[Person], writer_of: WriterOf, workers: int = WORKERS) -> list[dict[str, str]]:
    """For each held-out choice's prompt, in order, the model's answers: personalized, history (the past in
    the place of the summary) and default."""

    def written(request: tuple[Person, list[Message]]) -> str:
        return writer_of(request[0].user_id).complete(request[1])

    wanted = [(person, messages) for person in persons for choice in person.choices for messages in asked_for(person, choice).values()]  # fmt: skip
    names = ("personalized", "history", "default")
    with ThreadPoolExecutor(workers) as pool:
        texts = iter(list(pool.map(written, wanted)))
    return [dict(zip(names, (next(texts), next(texts), next(texts)), strict=True)) for p in persons for _ in p.choices]


def asked_for(person: Person, choice: Preference) -> dict[str, list[Message]]:
    """What the model is sent for the three answers to one prompt."""
    turns = (*choice.earlier, Turn("user", choice.prompt))
    plain: list[Message] = [{"role": turn.role, "content": turn.content} for turn in turns]
    return {
        "personalized": personalize(plain, person.summary),
        "history": personalize(plain, person.history, max_tokens=HISTORY_TOKENS),
        "default": plain,
    }


def answers_judged(
    persons: Sequence[Person], panel: Mapping[str, Seat], written: Sequence[Mapping[str, str]]
) -> list[Judgment]:
    """Every judge's word on every two of the answers. Equal answers are a tie that nobody is asked about."""
    asked = [(person, choice) for person in persons for choice in person.choices]
    found: list[Judgment] = []
    for name, seat in panel.items():
        for sides in SIDES:
            questions = [
                Question(p.user_id, p.told(seat.compares_by), c.conversation, made[sides[0]], made[sides[1]])
                for (p, c), made in zip(asked, written, strict=True)
            ]
            found += _judgments(name, seat.compares_by, sides, seat, questions)
    return found


def _judgments(
    name: str, told: str, sides: tuple[str, str], seat: Seat, questions: Sequence[Question]
) -> list[Judgment]:
    open_ones = [number for number, question in enumerate(questions) if question.one != question.two]
    said = dict(zip(open_ones, seat.judge([questions[number] for number in open_ones]), strict=True))
    tie = Verdict("tie", "tie")
    return [
        Judgment(name, told, q.user_id, str(number), *sides, said.get(number, tie), _longer(q))
        for number, q in enumerate(questions)
    ]


def _longer(question: Question) -> int | None:
    one, two = len(question.one), len(question.two)
    return None if one == two else int(one > two)
