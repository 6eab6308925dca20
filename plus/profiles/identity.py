"""Identity of an event: what happened, to whom, when, and the how-manieth equal one it is; no file and no line.

Every door into the store (`plus ingest`, `plus summarize --update`, a run folder, an import) comes through here, so
that the same event through two of them is one. Ids that logs state tell equal events apart, and nothing else: two logs
may number their rows alike.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from plus.sources.rows import content_id
from plus.types import Entry, Event, Preference, Reaction


@dataclass(frozen=True)
class Identity:
    """Identity of an event on its way into the store.

    first: hash of user, content and time. likeness: hash of user and content, for equal choices are all held out, or
    none is. nth: the how-manieth equal one of its file. name: the stated id, or a hash of what it says.
    """

    first: str
    likeness: int
    nth: int
    name: str

    def is_known(self, event: Event, equal: Sequence[str]) -> bool:
        """Compare with the names of the user's equal events of the same time."""
        if self.name in equal or self.other_name in equal:
            return True
        # Two different ids are two events; one without an id is one of those that are there.
        if event.id:
            return self.nth <= sum(_is_hash(name) for name in equal)
        return self.nth <= len(equal)

    @property
    def other_name(self) -> str:
        """The name where another event of the user has the stated id."""
        return f"{self.name}~{self.first[:8]}"


class EqualEvents:
    """Counter of equal events of a file: how many of the user, with the same content and time, came before.

    The same id again is the same event, logged twice. Counts lie in a private file, so that memory stays bounded.
    """

    def __init__(self) -> None:
        self._table = sqlite3.connect("", isolation_level=None)  # "": a private file, deleted when it is closed.
        self._table.execute(
            "CREATE TABLE equal(first INTEGER, given TEXT, nth INTEGER, PRIMARY KEY(first, given)) WITHOUT ROWID"
        )
        self._table.execute("BEGIN")
        self._origin = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._table.close()

    def identify(self, entry: Entry) -> Identity:
        """Return the identity of an event; the events of one origin come one after the other."""
        if entry.origin != self._origin:
            self._table.execute("DELETE FROM equal")
            self._origin = entry.origin
        user_id, event = entry.user_id, entry.event
        first, given = content_id(user_id, event), event.id.encode("utf-8", "replace").decode()
        key = _as_integer(first)
        known = dict(self._table.execute("SELECT given, nth FROM equal WHERE first = ?", (key,)).fetchall())
        nth = known.get(given, 0)
        if not given or not nth:
            nth = len(known) + 1
            self._table.execute("INSERT INTO equal VALUES (?, ?, ?)", (key, given or f"\0{nth}", nth))
        name = event.id or (first if nth == 1 else content_id(user_id, event, nth))
        return Identity(first, likeness(user_id, event), nth, name)


def tombstones(name: str, user_id: str, event: Event) -> tuple[str, ...]:
    """List the names under which a forgotten event is refused: a choice or a reaction under any id."""
    return (name, content_id(user_id, event)) if isinstance(event.content, Preference | Reaction) else (name,)


def fingerprint(secret: bytes, kind: str, *names: str) -> str:
    """Hash names with a secret: the form in which a tombstone holds them."""
    return hmac.new(secret, "\0".join((kind, *names)).encode(), hashlib.sha256).hexdigest()


def likeness(user_id: str, event: Event) -> int:
    """Hash user and content without the time."""
    return _as_integer(content_id(user_id, replace(event, time=None)))


def is_held_out(likeness: int, share: float) -> bool:
    """Decide by a choice's likeness whether it is in the held-out `share`: the same on every machine, in any order."""
    return likeness + 2**63 < share * 2**64


def _as_integer(digest: str) -> int:
    """Convert 16 hexadecimal digits to the signed integer that SQLite holds in eight bytes."""
    return int(digest, 16) - 2**63


def _is_hash(name: str) -> bool:
    return len(name) == 16 and not set(name) - set("0123456789abcdef")
