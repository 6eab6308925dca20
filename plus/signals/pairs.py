"""Preference pairs from feedback (WildFeedback, steps 2 and 3): an answer that a user rejected against a better one.

    revised      an answer that drew dissatisfaction, against the later one that the user called good
    written      the same answer, against a new one written under the user's stated preferences (`Rewriter`)
    thumbs       the answer with a thumb up against the one with a thumb down, to one prompt
    regenerated, edited    the kept branch of a tree against an abandoned one: weak
    stated       a choice that the log itself holds

Each pair carries its evidence and a weight in (0, 1]. Silence is no evidence: an answer without feedback is neither
chosen nor rejected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from plus.judge.checklist import ChecklistJudge, improves
from plus.prompts import guided_messages, preference_messages
from plus.signals.asked_signals import read_list
from plus.signals.rules import Signal
from plus.sources.rows import as_row, content_id
from plus.types import Event, Message, Preference, Reaction, Split, Turn, Writer

EARLIER = 20  # turns before a prompt that a pair keeps, the latest
# By hand: the trust in a pair beside a choice that the user was asked for.
WEIGHTS = {"stated": 1.0, "thumbs": 0.8, "regenerated": 0.5, "edited": 0.3}
PARTLY = 0.5  # of a revised pair whose answer was accepted as "getting there"
SHOWN, LONGEST = 8, 1200  # turns before a complaint that the writer is shown, and characters of each
MOST = 6  # preferences from one complaint
_EVIDENCE = {"regenerated": "asked for another answer", "edited": "asked in other words"}


@dataclass(frozen=True)
class Talk:
    """Conversation of one user, in order."""

    user_id: str
    session_id: str
    turns: tuple[Turn, ...]
    time: float | None = None


@dataclass(frozen=True)
class Pair:
    """Choice found in feedback. `evidence` are the user's words, `preferences` those about what answers should be."""

    user_id: str
    session_id: str
    event: Event
    weight: float
    evidence: tuple[str, ...] = ()
    preferences: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of the pair, or the source of a choice that the log holds."""
        return self.event.source.rpartition(":")[2] or "stated"

    def row(self, split: Split | None = None) -> dict[str, Any]:
        """Convert the pair to a row that `plus train` and `trl reward` read; it has a column `split` if one is set."""
        row = as_row(self.user_id, self.event, split, self.session_id)
        row |= {"weight": round(self.weight, 4), "evidence": list(self.evidence), "preferences": list(self.preferences)}
        return row if split else {name: value for name, value in row.items() if name != "split"}


@dataclass(frozen=True)
class Complaint:
    """Dissatisfaction with an answer, at `turn`, that no accepted answer followed.

    asked: the prompt with the answer as `rejected`; its `chosen` is empty.
    """

    talk: Talk
    turn: int
    asked: Preference
    weight: float
    evidence: tuple[str, ...]


def from_talk(talk: Talk, signals: Sequence[Signal]) -> tuple[list[Pair], list[Complaint]]:
    """Pair rejected answers with the one accepted in their place; returns (pairs, complaints that none followed)."""
    by_turn = {signal.turn: signal for signal in signals}
    pairs: list[Pair] = []
    unresolved: list[Complaint] = []
    waiting: list[Complaint] = []
    for number, turn in enumerate(talk.turns):
        if turn.role != "user":
            continue
        signal = by_turn.get(number, Signal(number, "none", 1.0))
        # Complaints in a row wait for an answer that is accepted; any other turn ends the wait.
        if signal.label == "dissatisfied" and (complaint := _complaint(talk, number, signal, waiting)) is not None:
            waiting.append(complaint)
            continue
        if signal.label == "satisfied" and waiting:
            pairs += _revised(talk, number, signal, waiting)
        else:
            unresolved += waiting
        waiting = []
    return pairs, [*unresolved, *waiting]


def from_events(user_id: str, events: Iterable[tuple[str, Event]]) -> Iterator[Pair]:
    """Yield the pairs that a user's (session, event)s hold: choices, abandoned branches, thumbs to one prompt."""
    thumbs: dict[tuple[str, tuple[Turn, ...]], dict[bool, tuple[str, Event, str]]] = {}
    for session, event in events:
        if isinstance(event.content, Preference):
            kind = event.source.rpartition(":")[2]
            kind = kind if kind in WEIGHTS else "stated"
            yield Pair(user_id, session, event, WEIGHTS[kind], (_EVIDENCE.get(kind, "chose"),))
        elif isinstance(event.content, Reaction):
            reaction = event.content
            by_label = thumbs.setdefault((reaction.prompt, reaction.earlier), {})
            by_label[reaction.label] = (session, event, reaction.completion)
    # A thumb up and a thumb down on different answers to one prompt.
    for (prompt, earlier), by_label in thumbs.items():
        if len(by_label) == 2 and by_label[True][2] != by_label[False][2]:
            session, up, chosen = by_label[True]
            pair = Preference(prompt, chosen, by_label[False][2], earlier)
            event = _event(user_id, pair, up.time, "thumbs")
            yield Pair(user_id, session, event, WEIGHTS["thumbs"], ("thumb up", "thumb down"))


def deduplicate(pairs: Iterable[Pair]) -> list[Pair]:
    """Keep each comparison of a user once: of two equal ones the one with more weight."""
    kept: dict[tuple[str, Any], Pair] = {}
    for pair in pairs:
        key = (pair.user_id, pair.event.content)
        if key not in kept or kept[key].weight < pair.weight:
            kept[key] = pair
    return list(kept.values())


class Rewriter:
    """Writer of new answers under a user's preferences, kept only where a checklist judge prefers them.

    A complaint takes at most four requests: state the preferences, write, check both answers. `dropped` counts the
    complaints without a new answer, by reason.
    """

    def __init__(
        self, writer_of: Callable[[str], Writer], judge_of: Callable[[str], Writer] | None = None, workers: int = 4
    ) -> None:
        self.writer_of, self.judge_of, self.workers = writer_of, judge_of or writer_of, workers
        self.dropped: Counter[str] = Counter()

    def pairs(self, complaints: Sequence[Complaint]) -> list[Pair]:
        """Make a pair for each complaint that gets a better answer. Raises the errors of the writers."""
        with ThreadPoolExecutor(self.workers) as pool:
            found = list(pool.map(self._one, complaints))
        for reason, _ in found:
            if reason:
                self.dropped[reason] += 1
        return [pair for _, pair in found if pair is not None]

    def _one(self, complaint: Complaint) -> tuple[str, Pair | None]:
        """Make ("", a pair) or (the reason why there is none, None)."""
        # 1. The preferences behind the complaint.
        user_id, asked = complaint.talk.user_id, complaint.asked
        writer = self.writer_of(user_id)
        preferences = read_preferences(writer.complete(preference_request(complaint)))
        if not preferences:
            return "complaints that state no preference", None
        # 2. A new answer under them.
        answer = writer.complete(guided_messages(preferences, asked.conversation)).strip()
        if not answer or answer == asked.rejected:
            return "complaints for which nothing new was written", None
        # 3. The judge has to prefer it to the rejected one.
        judge = ChecklistJudge(self.judge_of(user_id), workers=1)
        questions = [(preferences, asked.conversation, text) for text in (answer, asked.rejected)]
        new, old = judge.check_all(questions)
        if new.score is None or not improves(new, old):
            return "new answers that the checklist judge did not prefer", None
        pair = replace(asked, chosen=answer)
        event = _event(user_id, pair, complaint.talk.time, "written")
        weight, session_id = complaint.weight * new.score, complaint.talk.session_id
        return "", Pair(user_id, session_id, event, weight, complaint.evidence, preferences)


def preference_request(complaint: Complaint) -> list[Message]:
    """Write the request for the preferences behind a complaint: the turns up to it, and its words."""
    turns = complaint.talk.turns[max(0, complaint.turn - SHOWN) : complaint.turn + 1]
    shown = ((f"Turn {number}, {turn.role}", turn.content[:LONGEST]) for number, turn in enumerate(turns))
    words = " / ".join(complaint.evidence) or complaint.talk.turns[complaint.turn].content[:300]
    return preference_messages(shown, words)


def read_preferences(reply: str) -> tuple[str, ...]:
    """Read the statements in a reply, at most 6 of one line each; () when it holds no JSON list of texts."""
    found = read_list(reply) or []
    lines = (" ".join(one.split())[:300] for one in found if isinstance(one, str))
    return tuple(dict.fromkeys(line for line in lines if line))[:MOST]


def _revised(talk: Talk, number: int, signal: Signal, waiting: Sequence[Complaint]) -> Iterator[Pair]:
    """Pair the answer before turn `number`, which was accepted, with each answer that drew a complaint before."""
    accepted = _answer_before(talk.turns, number)
    is_partial = all(rubric == "getting there" for *_, rubric in signal.evidence)
    acceptance = signal.probability * (PARTLY if is_partial else 1.0)
    for complaint in waiting:
        if accepted and accepted != complaint.asked.rejected:
            event = _event(talk.user_id, replace(complaint.asked, chosen=accepted), talk.time, "revised")
            words = (*complaint.evidence, *_sentences(talk.turns[number], signal))
            weight = complaint.weight * acceptance
            yield Pair(talk.user_id, talk.session_id, event, weight, words, complaint.evidence)


def _complaint(talk: Talk, number: int, signal: Signal, waiting: Sequence[Complaint]) -> Complaint | None:
    """Find the answer that drew the dissatisfaction at `number`; its prompt is the one of the first in a row."""
    rejected = _answer_before(talk.turns, number)
    asked = next((n for n in range(number - 1, -1, -1) if talk.turns[n].role == "user"), None)
    if not rejected or asked is None:
        return None
    if waiting:
        question = replace(waiting[0].asked, rejected=rejected)
    else:
        earlier = talk.turns[max(0, asked - EARLIER) : asked]
        question = Preference(talk.turns[asked].content, "", rejected, earlier)
    return Complaint(talk, number, question, signal.probability, _sentences(talk.turns[number], signal))


def _answer_before(turns: Sequence[Turn], number: int) -> str:
    return turns[number - 1].content if number and turns[number - 1].role == "assistant" else ""


def _sentences(turn: Turn, signal: Signal) -> tuple[str, ...]:
    """List the sentences that hold a signal's evidence, each once."""
    found: dict[str, None] = {}
    for start, end, _ in signal.evidence:
        begin = max((turn.content.rfind(mark, 0, start) for mark in ".!?\n"), default=-1) + 1
        stop = min((at for mark in ".!?\n" if (at := turn.content.find(mark, end)) >= 0), default=len(turn.content))
        found[" ".join(turn.content[begin : stop + 1].split())[:300]] = None
    return tuple(found)


def _event(user_id: str, pair: Preference, time: float | None, kind: str) -> Event:
    """Make the choice's event; its id is a hash of its content."""
    event = Event("", "choice", pair, time, f"feedback:{kind}")
    return replace(event, id=f"{kind}-{content_id(user_id, event)}")
