"""Events into a store: an event that the user already has changes nothing, and what was forgotten is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from plus.profiles import schema
from plus.profiles.identity import EqualEvents, Identity, is_held_out, tombstones
from plus.profiles.users import Users
from plus.types import Entry

HELD_OUT = 0.2  # of the choices that do not say themselves whether they are held out
BATCH = 2000  # events a transaction: other writers wait for one


@dataclass(frozen=True)
class Added:
    """Counts of events that were added: new, already in the store, refused since forgotten, changed in a later log."""

    added: int = 0
    known: int = 0
    refused: int = 0
    changed: int = 0


def add_events(store: Users, entries: Iterable[Entry], share: float = HELD_OUT) -> Added:
    """Add events, `BATCH` a transaction; an event that the user already has changes nothing.

    One that `revises` is put in the place of an event with its id that says something else. Of the choices that do
    not say whether they are held out, `share` are; equal choices are on the same side. Raises ProfileError for
    invalid Unicode.
    """
    entries, counts = iter(entries), Counter[str]()
    with EqualEvents() as equal:
        while chunk := list(islice(entries, BATCH)):
            with store.transaction():
                store.hold(entry.user_id for entry in chunk)
                counts.update(_add(store, chunk, share, equal))
    return Added(**counts)


def _add(store: Users, chunk: Sequence[Entry], share: float, equal: EqualEvents) -> Counter[str]:
    """Add the events of one transaction; returns how many had which end."""
    fenced = store.forgotten() > 0  # Without a tombstone none is looked for.
    before = store.number(store.sql.newest_event)
    numbers: dict[str, int] = {}
    counts, new = Counter[str](), _New(store)
    # 1. Insert those that are not forgotten and that the users do not have yet.
    for entry in chunk:
        identity = equal.identify(entry)
        if fenced and _is_fenced(store, entry, identity):
            counts["refused"] += 1
            continue
        user = numbers.get(entry.user_id)
        if user is None:
            user = numbers[entry.user_id] = store.enrol(entry.user_id)
        counts[_insert(store, user, entry, identity, share, new)] += 1
    new.write()
    # 2. Note each user's newest readable event: it tells whose summary is out of date.
    store.do(store.sql.note_events, (before,))
    return counts


class _New:
    """Events that are new and are written together, which is quicker than one by one."""

    def __init__(self, store: Users) -> None:
        self.store = store
        self.rows: list[tuple[Any, ...]] = []
        self._marks: set[tuple[int, int | str]] = set()

    def add(self, row: tuple[Any, ...]) -> None:
        """Add a row of the table `events`, to be written later."""
        self.rows.append(row)
        self._marks.add((row[0], row[1]))
        self._marks.add((row[0], row[-1]))

    def holds(self, user: int, name: str, likeness: int) -> bool:
        """Tell whether an event of that name, or an equal one, is still to be written."""
        return (user, name) in self._marks or (user, likeness) in self._marks

    def write(self) -> None:
        """Write the rows."""
        self.store.do_many(self.store.sql.add_event, self.rows)
        self.rows.clear()
        self._marks.clear()


def _insert(store: Users, user: int, entry: Entry, identity: Identity, share: float, new: _New) -> str:
    """Insert an event that the user does not have; returns what became of it: added, known or changed."""
    event, held_out, content = entry.event, entry.held_out, schema.encode_event(entry.event)
    sql, end = store.sql, "added"
    name = schema.checked(identity.name, "an event's id")
    if new.holds(user, name, identity.likeness):
        new.write()
    # Most events are like none that is there.
    if store.row(sql.event_like, (user, identity.likeness, name)) is not None:
        # 1. Compare with the equal events that are there.
        equal = list(store.rows(sql.equal_events, (user, identity.likeness)))
        if identity.is_known(event, [other for other, time, _, _ in equal if time == event.time]):
            return "known"
        # 2. An equal choice was put on a side before, and a summary may have read it.
        if event.kind == "choice":
            held_out = next((bool(side) for _, _, kind, side in equal if kind == "choice"), held_out)
        # 3. Its id may be that of what it revises, or of another event.
        old = store.row(sql.event_named, (user, name))
        if old is not None and entry.revises:
            # A question that lost its answer, as in a log that was cut, says nothing new.
            if event.kind == "message" and old[1].startswith(content[:-1] + ","):
                return "known"
            store.do(sql.drop_event, (user, name))
            end = "changed"
        elif old is not None:
            name = identity.other_name
    if event.kind == "choice" and held_out is None:
        held_out = is_held_out(identity.likeness, share)
    where, side = entry.session_id, bool(held_out)
    new.add((user, name, where, event.kind, event.time, event.source, content, side, identity.likeness))
    return end


def _is_fenced(store: Users, entry: Entry, identity: Identity) -> bool:
    user_id, session = entry.user_id, entry.session_id
    names = tombstones(identity.name, user_id, entry.event)
    return (
        store.is_forgotten("user", user_id)
        or any(store.is_forgotten("event", user_id, name) for name in names)
        or (session != "" and store.is_forgotten("conversation", user_id, session))
        or (session != "" and store.is_forgotten("conversation", session))  # Before it belonged to a user.
    )
