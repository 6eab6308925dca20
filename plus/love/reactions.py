"""Reactions by user, the data of P[Love], read from a Polis folder, a profile store or rows.

Every row that is left out or corrected is counted. Of reactions of one user to one message (the same prompt,
earlier turns and answer) that contradict each other the last one counts; repeats that agree are left to the
guards (`guards.py`). A user's past is ordered by time, so in a log with times a reaction without a time, or
with an impossible one, is left out.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from plus.errors import SourceError
from plus.profiles.address import is_address
from plus.sources import generic, polis
from plus.sources.columns import ColumnMap, Renaming
from plus.sources.rows import content_id
from plus.types import Dropped, Event, Reaction, Turn

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
    sources: Sequence[str | Path],
    dropped: Dropped,
    corrected: Dropped,
    user_id_column: str = "user_id",
    now: float | None = None,
    columns: ColumnMap = None,
) -> Events:
    """Read each user's reactions, oldest first.

    Rows that are left out are counted in `dropped`, rows that are put right in `corrected`. columns: which columns of
    the rows are which of ours. Raises SourceError when nothing is left, SettingError where no row has a column named.
    """
    # All sources together: a user's reactions may come from several.
    found: Events = defaultdict(list)
    for source in sources:
        for user, event in _read(Path(source), source, dropped, Renaming(columns, user_id_column)):
            found[user].append(event)
    if not found:
        left_out = f" ({dropped.lines()[0]})" if dropped else ""
        raise SourceError(
            f"{', '.join(map(str, sources))}: no reaction of a known user{left_out}; "
            "P[Love] needs rows of user_id, prompt, completion, label"
        )
    return clean(found, dropped, corrected, now)


def clean(
    events: Mapping[str, Sequence[Event]], dropped: Dropped, corrected: Dropped, now: float | None = None
) -> Events:
    """Order each user's reactions by time and keep the last one to each message.

    A log in which most reactions have no time loses all its times. Raises SourceError when nothing is left.
    """
    # Keep reactions at a possible time, or all of them without times.
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
    _count_backwards(kept, corrected)
    # Of reactions that contradict each other the last one counts.
    done = {user: _last_wins(user, past, dropped) for user, past in kept.items() if past}
    if not done:
        raise SourceError(
            f"no reaction is left ({'; '.join(dropped.lines()[:2])}); mend the times, or give rows without any"
        )
    return done


def labels_of(events: Mapping[str, Sequence[Event]]) -> list[bool]:
    """List the labels of all reactions, user by user."""
    return [label_of(event) for past in events.values() for event in past]


def reaction_of(event: Event) -> Reaction:
    """Give the reaction that an event holds; an event of `load` always holds one."""
    assert isinstance(event.content, Reaction)
    return event.content


def label_of(event: Event) -> bool:
    """Tell whether the event is a positive reaction."""
    return reaction_of(event).label


def message_of(event: Event) -> tuple[str, str, tuple[Turn, ...]]:
    """Give the message that was reacted to: (prompt, answer, earlier turns)."""
    reaction = reaction_of(event)
    return reaction.prompt, reaction.completion, reaction.earlier


def _count_backwards(events: Mapping[str, Sequence[Event]], corrected: Dropped) -> None:
    """Count steps back in time in a log that is otherwise in order; a log in another order tells nothing of clocks."""
    # Steps back of a few users are broken clocks; of many, the file is sorted in another way.
    steps = sum(len(past) - 1 for past in events.values())
    back = [
        user
        for user, past in events.items()
        for one, other in pairwise(past)
        if (other.time or 0.0) < (one.time or 0.0)
    ]
    if back and len(back) <= UNORDERED * steps:
        corrected.add(BACKWARDS, f"user {back[0]}", len(back))


def _last_wins(user: str, past: Sequence[Event], dropped: Dropped) -> list[Event]:
    """Sort a user's events by time and leave out those that the last reaction to their message contradicts."""
    ordered = sorted(past, key=lambda event: event.time or 0.0)  # Stable: without times as they came.
    last = {message_of(event): event.content.label for event in ordered if isinstance(event.content, Reaction)}
    kept = [e for e in ordered if isinstance(e.content, Reaction) and e.content.label == last[message_of(e)]]
    if len(kept) < len(ordered):
        dropped.add(CONTRADICTED, f"user {user}", len(ordered) - len(kept))
    return kept


def _read(path: Path, source: str | Path, dropped: Dropped, renaming: Renaming) -> Iterable[tuple[str, Event]]:
    """Yield (user_id, reaction) of one source, whose kind is told by its content."""
    if is_address(source):
        yield from _stored(source)
    elif path.is_dir() and any((path / name).exists() for name in ("votes.csv", "participants-votes.csv")):
        yield from ((user, event) for user, past in polis.votes_of(path, dropped).items() for event in past)
    elif path.is_file() and _begins(path, b"SQLite format 3"):
        yield from _stored(path)
    else:
        for row in generic.read(source, dropped, renaming=renaming):
            if isinstance(row.event.content, Reaction):
                name = row.event.id or content_id(row.user_id, row.event)
                yield row.user_id, replace(row.event, id=name)
            else:
                dropped.add(OTHER, f"user {row.user_id}")


def _begins(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


def _stored(path: str | Path) -> Iterable[tuple[str, Event]]:
    """Yield the reactions of every user of a profile store (`plus ingest` puts them there)."""
    from plus.profiles.store import Store

    with Store(path, create=False) as store:
        for user in store.users():
            for event in store.events(user):
                if isinstance(event.content, Reaction):
                    yield user, event
