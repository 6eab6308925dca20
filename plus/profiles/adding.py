"""Events into a store: an event that the user already has changes nothing, and what was forgotten is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

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

    def __add__(self, other: Added) -> Added:
        return Added(
            self.added + other.added, self.known + other.known, self.refused + other.refused,
            self.changed + other.changed,
        )  # fmt: skip


def add_events(store: Users, entries: Iterable[Entry], share: float = HELD_OUT) -> Added:
    """Add events, `BATCH` a transaction; an event that the user already has changes nothing.

    One that `revises` is put in the place of an event with its id that says something else. Of the choices that do
    not say whether they are held out, `share` are; equal choices are on the same side. Raises ProfileError for
    invalid Unicode.
    """
    entries, total = iter(entries), Added()
    with EqualEvents() as equal:
        while chunk := list(islice(entries, BATCH)):
            with store.transaction():
                store.hold(entry.user_id for entry in chunk)
                total += _add(store, chunk, share, equal)
    return total


def _add(store: Users, chunk: Sequence[Entry], share: float, equal: EqualEvents) -> Added:
    fenced = store.forgotten() > 0  # Without a tombstone none is looked for.
    numbers: dict[str, int] = {}
    newest: dict[int, int] = {}
    total = Added()
    # 1. Insert those that are not forgotten and that the users do not have yet.
    for entry in chunk:
        identity = equal.identify(entry)
        if fenced and _is_fenced(store, entry, identity):
            total += Added(refused=1)
            continue
        if entry.user_id not in numbers:
            numbers[entry.user_id] = store.enrol(entry.user_id)
        total += _insert(store, numbers[entry.user_id], entry, identity, share, newest)
    # 2. Note each user's newest readable event: it tells whose summary is out of date.
    store.do_many(store.sql.note_event, [(event, user, event) for user, event in newest.items()])
    return total


def _insert(store: Users, user: int, entry: Entry, identity: Identity, share: float, newest: dict[int, int]) -> Added:
    """Insert an event that the user does not have; returns what became of it, and notes the newest readable one."""
    event, held_out, content = entry.event, entry.held_out, schema.encode_event(entry.event)
    sql = store.sql
    # 1. Compare with the equal events that are there.
    equal = list(store.rows(sql.equal_events, (user, identity.likeness)))
    if identity.is_known(event, [name for name, time, _, _ in equal if time == event.time]):
        return Added(known=1)
    # 2. An equal choice was put on a side before, and a summary may have read it.
    if event.kind == "choice":
        side = next((bool(side) for _, _, kind, side in equal if kind == "choice"), None)
        drawn = is_held_out(identity.likeness, share) if held_out is None else held_out
        held_out = drawn if side is None else side
    # 3. Its id may be that of what it revises, or of another event.
    name = schema.checked(identity.name, "an event's id")
    old = store.row(sql.event_named, (user, name))
    if old is not None and entry.revises:
        # A question that lost its answer, as in a log that was cut, says nothing new.
        if event.kind == "message" and old[1].startswith(content[:-1] + ","):
            return Added(known=1)
        store.do(sql.drop_event, (user, name))
    elif old is not None:
        name = identity.other_name
    where = entry.session_id
    values = (user, name, where, event.kind, event.time, event.source, content, bool(held_out), identity.likeness)
    number = store.number(sql.add_event, values)
    if not held_out:
        newest[user] = number
    return Added(changed=1) if old is not None and entry.revises else Added(added=1)


def _is_fenced(store: Users, entry: Entry, identity: Identity) -> bool:
    user_id, session = entry.user_id, entry.session_id
    names = tombstones(identity.name, user_id, entry.event)
    return (
        store.is_forgotten("user", user_id)
        or any(store.is_forgotten("event", user_id, name) for name in names)
        or (session != "" and store.is_forgotten("conversation", user_id, session))
        or (session != "" and store.is_forgotten("conversation", session))  # Before it belonged to a user.
    )
