"""From feedback to preference pairs (WildFeedback, steps 2 and 3): what a user left against what they took instead.

    revised      an answer that drew dissatisfaction, against the later one that the user said was good
    written      the same answer, against a new one written under the user's stated preferences (see `rewrite.py`)
    thumbs       the answer with a thumb up against the one with a thumb down, to one prompt
    regenerated, edited    the branch of a tree that the talk went on with, against the one left: weak
    stated       a choice that the log itself holds

Each pair carries the words it rests on and a weight in (0, 1]. Silence is no evidence: an answer that nothing was said
about is neither chosen nor rejected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plus.profiles import schema
from plus.profiles.store import Store
from plus.signals.rules import Signal
from plus.sources.export import as_row
from plus.sources.rows import content_id
from plus.types import Event, Preference, Reaction, Split, Turn

EARLIER = 20  # turns before a prompt that a pair keeps, the latest
# By hand: how far a pair is to be trusted beside a choice that the user was asked for.
WEIGHTS = {"stated": 1.0, "thumbs": 0.8, "regenerated": 0.5, "edited": 0.3}
PARTLY = 0.5  # of a revised pair whose answer was accepted as "getting there"


@dataclass(frozen=True)
class Talk:
    """One conversation of a user's, in order."""

    user_id: str
    session_id: str
    turns: tuple[Turn, ...]
    time: float | None = None


@dataclass(frozen=True)
class Pair:
    """A choice found in feedback. `evidence` are the user's words, `preferences` what they say about answers."""

    user_id: str
    session_id: str
    event: Event
    weight: float
    evidence: tuple[str, ...] = ()
    preferences: tuple[str, ...] = ()

    def row(self, split: Split | None = None) -> dict[str, Any]:
        """As a row that `plus train` and `trl reward` read; without a split where none was dealt."""
        row = as_row(self.user_id, self.event, split, self.session_id)
        row |= {"weight": round(self.weight, 4), "evidence": list(self.evidence), "preferences": list(self.preferences)}
        return row if split else {name: value for name, value in row.items() if name != "split"}


@dataclass(frozen=True)
class Left:
    """An answer that the user was not content with and got no better one for: `turn` says so."""

    talk: Talk
    turn: int
    asked: Preference  # the prompt with the answer as `rejected`; `chosen` is empty
    weight: float
    evidence: tuple[str, ...]


def talks(store: Store, user_id: str) -> list[Talk]:
    """A user's conversations; what belongs to none is left out, since nothing is known to follow it."""
    found = store.rows(
        "SELECT session_id, content, time FROM events WHERE user = ? AND kind = 'message' AND session_id <> '' ORDER BY number",
        (store.user(user_id).number,),
    )
    turns: dict[str, list[Turn]] = {}
    times: dict[str, float | None] = {}
    for session, content, time in found:
        said = schema.decode_content(content)
        if isinstance(said, tuple):
            turns.setdefault(session, []).extend(said)
            times[session] = time
    return [Talk(user_id, session, tuple(said), times[session]) for session, said in turns.items()]


def from_talk(talk: Talk, signals: Sequence[Signal]) -> tuple[list[Pair], list[Left]]:
    """(pairs of answers that were rejected and the one accepted in their place, answers that were only rejected)."""
    by_turn = {signal.turn: signal for signal in signals}
    pairs: list[Pair] = []
    left: list[Left] = []
    waiting: list[Left] = []
    for number, turn in enumerate(talk.turns):
        if turn.role != "user":
            continue
        signal = by_turn.get(number, Signal(number, "none", 1.0))
        if signal.label == "dissatisfied" and (drew := _left(talk, number, signal, waiting)) is not None:
            waiting.append(drew)
            continue
        if signal.label == "satisfied" and waiting:
            pairs += _revised(talk, number, signal, waiting)
        else:
            left += waiting
        waiting = []
    return pairs, [*left, *waiting]


def from_events(user_id: str, events: Iterable[tuple[str, Event]]) -> Iterator[Pair]:
    """The pairs that (session, event)s of a user hold already: stated choices, left branches, thumbs on answers to one prompt."""
    thumbs: dict[tuple[str, tuple[Turn, ...]], dict[bool, tuple[str, Event, str]]] = {}
    for session, event in events:
        if isinstance(event.content, Preference):
            kind = event.source.rpartition(":")[2]
            kind = kind if kind in WEIGHTS else "stated"
            said = {"regenerated": "asked for another answer", "edited": "asked in other words"}.get(kind, "chose")
            yield Pair(user_id, session, event, WEIGHTS[kind], (said,))
        elif isinstance(event.content, Reaction):
            of = thumbs.setdefault((event.content.prompt, event.content.earlier), {})
            of[event.content.label] = (session, event, event.content.completion)
    for (prompt, earlier), of in thumbs.items():
        if len(of) == 2 and of[True][2] != of[False][2]:
            session, up, chosen = of[True]
            pair = Preference(prompt, chosen, of[False][2], earlier)
            yield _pair(user_id, session, pair, up.time, "thumbs", WEIGHTS["thumbs"], ("thumb up", "thumb down"))


def events_of(store: Store, user_id: str) -> Iterator[tuple[str, Event]]:
    """(session, event) of a user's choices and reactions, in order of arrival."""
    found = store.rows(
        "SELECT session_id, event_id, kind, content, time, source FROM events WHERE user = ? AND kind IN ('choice', 'reaction') ORDER BY number",
        (store.user(user_id).number,),
    )
    for session, event_id, kind, content, time, source in found:
        yield session, Event(event_id, kind, schema.decode_content(content), time, source)


def once(pairs: Iterable[Pair]) -> list[Pair]:
    """Each comparison of a user's once: of two alike the one with more weight."""
    kept: dict[tuple[str, Any], Pair] = {}
    for pair in pairs:
        key = (pair.user_id, pair.event.content)
        if key not in kept or kept[key].weight < pair.weight:
            kept[key] = pair
    return list(kept.values())


def stated(store: Store, user_id: str, pairs: Iterable[Pair] = ()) -> tuple[str, ...]:
    """What a user said they want of answers: the remarks in the store, then the preferences behind their pairs.

    This is the checklist of a user-guided evaluation (WildFeedback, step 4).
    """
    found = store.rows(
        "SELECT content FROM events WHERE user = ? AND kind = 'remark' ORDER BY number", (store.user(user_id).number,)
    )
    remarks = [schema.decode_content(content) for (content,) in found]
    said = [one for one in remarks if isinstance(one, str)]
    said += [point for pair in pairs if pair.user_id == user_id for point in pair.preferences]
    return tuple(dict.fromkeys(one.strip() for one in said if one.strip()))


def written(left: Left, answer: str, preferences: tuple[str, ...], share: float) -> Pair:
    """A pair with a new answer, of which a judge said that it meets `share` of the preferences."""
    pair = replace(left.asked, chosen=answer)
    talk = left.talk
    return _pair(talk.user_id, talk.session_id, pair, talk.time, "written", left.weight * share, left.evidence, preferences)  # fmt: skip


def _revised(talk: Talk, number: int, signal: Signal, waiting: Sequence[Left]) -> Iterator[Pair]:
    """The answer before `number` was accepted: it stands against each answer that drew the complaints before."""
    accepted = _answer(talk.turns, number)
    good = signal.probability * (PARTLY if all(rubric == "getting there" for *_, rubric in signal.evidence) else 1.0)
    for one in waiting:
        if accepted and accepted != one.asked.rejected:
            pair = replace(one.asked, chosen=accepted)
            words = (*one.evidence, *_words(talk.turns[number], signal))
            yield _pair(talk.user_id, talk.session_id, pair, talk.time, "revised", one.weight * good, words, one.evidence)  # fmt: skip


def _left(talk: Talk, number: int, signal: Signal, waiting: Sequence[Left]) -> Left | None:
    """The answer that drew the dissatisfaction at `number`, under the prompt that the user first asked."""
    rejected = _answer(talk.turns, number)
    asked = next((n for n in range(number - 1, -1, -1) if talk.turns[n].role == "user"), None)
    if not rejected or asked is None:
        return None
    first = waiting[0].asked if waiting else None
    prompt, earlier = (
        (first.prompt, first.earlier)
        if first is not None
        else (talk.turns[asked].content, talk.turns[max(0, asked - EARLIER) : asked])
    )
    return Left(talk, number, Preference(prompt, "", rejected, earlier), signal.probability, _words(talk.turns[number], signal))  # fmt: skip


def _answer(turns: Sequence[Turn], number: int) -> str:
    return turns[number - 1].content if number and turns[number - 1].role == "assistant" else ""


def _words(turn: Turn, signal: Signal) -> tuple[str, ...]:
    """The sentences that a signal's evidence stands in, each once."""
    found: dict[str, None] = {}
    for start, end, _ in signal.evidence:
        begin = max((turn.content.rfind(mark, 0, start) for mark in ".!?\n"), default=-1) + 1
        stop = min((at for mark in ".!?\n" if (at := turn.content.find(mark, end)) >= 0), default=len(turn.content))
        found[" ".join(turn.content[begin : stop + 1].split())[:300]] = None
    return tuple(found)


def _pair(
    user_id: str, session_id: str, pair: Preference, time: float | None, kind: str, weight: float,
    evidence: tuple[str, ...], preferences: tuple[str, ...] = (),
) -> Pair:  # fmt: skip
    event = Event("", "choice", pair, time, f"feedback:{kind}")
    event = replace(event, id=f"{kind}-{content_id(user_id, event)}")
    return Pair(user_id, session_id, event, weight, evidence, preferences)
