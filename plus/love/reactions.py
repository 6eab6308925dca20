"""Reactions by user, from a Polis folder, a profile store or rows of one's own: what P[Love] learns from.

Nothing is mended in silence. Of several reactions of one user to one message (the same prompt, earlier
turns and answer) that contradict each other the last one counts; repeats that agree are left to the
guards (`guards.py`). Time is what orders a user's past, so in a log that has times a reaction without one,
or with one that cannot be, is left out.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from plus.errors import SourceError
from plus.sources import generic, polis
from plus.sources.rows import content_id
from plus.types import Dropped, Event, Reaction

Events = dict[str, list[Event]]
CONTRADICTED = "reactions that a later one of the same user to the same message contradicts (the last one counts)"
UNTIMED = "reactions without a time in a log that has times"
IMPOSSIBLE = "reactions at an impossible time (before 2000, or in the future)"
BACKWARDS = "reactions whose clock runs backwards (older than the one before; put in order of time)"
OTHER = "rows that are no reaction"
EARLIEST = 946_684_800.0  # 2000-01-01
A_DAY = 86_400.0
UNORDERED = 0.05  # a file with more steps back in time than this share is sorted otherwise


def load(
    sources: Sequence[str | Path], dropped: Dropped, mended: Dropped, user_id_column: str = "user_id", now: float | None = None
) -> Events:  # fmt: skip
    """Each user's reactions, oldest first; what is left out is counted in `dropped`, what is put right in
    `mended`. Raises SourceError when nothing is left."""
    found: Events = defaultdict(list)
    for source in sources:
        for user, event in _read(Path(source), source, dropped, user_id_column):
            found[user].append(event)
    if not found:
        left_out = f" ({dropped.lines()[0]})" if dropped else ""
        raise SourceError(
            f"{', '.join(map(str, sources))}: no reaction of a known user{left_out}; P[Love] needs rows of user_id, prompt, completion, label"
        )
    return clean(found, dropped, mended, now)


def clean(events: Mapping[str, Sequence[Event]], dropped: Dropped, mended: Dropped, now: float | None = None) -> Events:
    """Times that can be relied on, one order, and the last word on every message. Raises SourceError."""
    latest = (time.time() if now is None else now) + A_DAY
    rows = [(user, event) for user, past in events.items() for event in past]
    timed = 2 * sum(event.time is not None for _, event in rows) >= len(rows)
    kept: Events = defaultdict(list)
    for user, event in rows:
        if not timed:
            kept[user].append(replace(event, time=None))
        elif event.time is None:
            dropped.add(UNTIMED, f"user {user}")
        elif not EARLIEST <= event.time <= latest:
            dropped.add(IMPOSSIBLE, f"user {user}, {event.time:.0f}")
        else:
            kept[user].append(event)
    _count_backwards(kept, mended)
    done = {user: _last_wins(user, past, dropped) for user, past in kept.items() if past}
    if not done:
        raise SourceError(
            f"no reaction is left ({'; '.join(dropped.lines()[:2])}); mend the times, or give rows without any"
        )
    return done


def is_timed(events: Mapping[str, Sequence[Event]]) -> bool:
    """Whether these reactions can be told older from newer; `clean` leaves all of them a time, or none."""
    return all(event.time is not None for past in events.values() for event in past)


def labels_of(events: Mapping[str, Sequence[Event]]) -> list[bool]:
    """Every label."""
    return [event.content.label for past in events.values() for event in past if isinstance(event.content, Reaction)]


def message_of(event: Event) -> tuple:
    """What was reacted to: the prompt, the turns before it and the answer."""
    assert isinstance(event.content, Reaction)
    return event.content.prompt, event.content.completion, event.content.earlier


def _count_backwards(events: Mapping[str, Sequence[Event]], mended: Dropped) -> None:
    """Steps back in time, in a log that is otherwise written in order; one that is not tells nothing of clocks."""
    steps = sum(len(past) - 1 for past in events.values())
    back = [
        user
        for user, past in events.items()
        for one, other in pairwise(past)
        if (other.time or 0.0) < (one.time or 0.0)
    ]
    if back and len(back) <= UNORDERED * steps:
        mended.add(BACKWARDS, f"user {back[0]}", len(back))


def _last_wins(user: str, past: Sequence[Event], dropped: Dropped) -> list[Event]:
    """The user's events in order, those left out that the last reaction to their message contradicts."""
    ordered = sorted(past, key=lambda event: event.time or 0.0)  # Stable: without times as they came.
    last = {message_of(event): event.content.label for event in ordered if isinstance(event.content, Reaction)}
    kept = [e for e in ordered if isinstance(e.content, Reaction) and e.content.label == last[message_of(e)]]
    if len(kept) < len(ordered):
        dropped.add(CONTRADICTED, f"user {user}", len(ordered) - len(kept))
    return kept


def _read(path: Path, source: str | Path, dropped: Dropped, user_id_column: str) -> Iterable[tuple[str, Event]]:
    if path.is_dir() and any((path / name).exists() for name in ("votes.csv", "participants-votes.csv")):
        yield from ((user, event) for user, past in polis.votes_of(path, dropped).items() for event in past)
    elif path.is_file() and _begins(path, b"SQLite format 3"):
        yield from _stored(path, dropped)
    else:
        for row in generic.read(source, dropped, user_id_column):
            if isinstance(row.event.content, Reaction):
                name = row.event.id or content_id(row.user_id, row.event)
                yield row.user_id, replace(row.event, id=name)
            else:
                dropped.add(OTHER, f"user {row.user_id}")


def _begins(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


def _stored(path: Path, dropped: Dropped) -> Iterable[tuple[str, Event]]:
    """The reactions of every user of a profile store, as `plus ingest` put them there."""
    from plus.profiles.store import Store

    with Store(path, create=False) as store:
        for user in store.users():
            for event in store.events(user):
                if isinstance(event.content, Reaction):
                    yield user, event
