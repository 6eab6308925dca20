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
from typing import NamedTuple, Self

from plus.sources.rows import content_hash, content_id, encode_content
from plus.types import Entry, Event, Preference, Reaction


class Identity(NamedTuple):
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
        self._table.execute("CREATE TABLE first(hash INTEGER PRIMARY KEY, given INTEGER)")
        self._table.execute("CREATE TABLE later(hash INTEGER, nth INTEGER, given INTEGER, PRIMARY KEY(hash, nth))")
        self._table.execute("CREATE INDEX later_given ON later(hash, given)")
        self._table.execute("BEGIN")
        self._origin = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._table.close()

    def identify(self, entry: Entry) -> Identity:
        """Return the identity of an event; the events of one origin come one after the other."""
        if entry.origin != self._origin:
            self._table.execute("DELETE FROM first")
            self._table.execute("DELETE FROM later")
            self._origin = entry.origin
        user_id, event = entry.user_id, entry.event
        content = encode_content(event)
        first = content_hash(user_id, event.time, content)
        timeless = first if event.time is None else content_hash(user_id, None, content)
        nth = self._count(_as_integer(first), hash(event.id) if event.id else None)
        name = event.id or (first if nth == 1 else content_hash(user_id, event.time, content, nth))
        return Identity(first, _as_integer(timeless), nth, name)

    def _count(self, key: int, given: int | None) -> int:
        """Count the equal events up to this one; `given` is a hash of its stated id. The same id is counted once."""
        values = (key, given)
        # Most are the first of their kind, which one statement notes.
        if self._table.execute("INSERT OR IGNORE INTO first VALUES (?, ?)", values).rowcount:
            return 1
        if self._table.execute("SELECT 1 FROM first WHERE hash = ? AND given = ?", values).fetchone():
            return 1
        if found := self._table.execute("SELECT nth FROM later WHERE hash = ? AND given = ?", values).fetchone():
            return int(found[0])
        (last,) = self._table.execute("SELECT coalesce(max(nth), 1) FROM later WHERE hash = ?", (key,)).fetchone()
        self._table.execute("INSERT INTO later VALUES (?, ?, ?)", (key, last + 1, given))
        return int(last) + 1


def tombstones(name: str, user_id: str, event: Event) -> tuple[str, ...]:
    """List the names under which a forgotten event is refused: a choice or a reaction under any id."""
    return (name, content_id(user_id, event)) if isinstance(event.content, Preference | Reaction) else (name,)


def fingerprint(secret: bytes, kind: str, *names: str) -> str:
    """Hash names with a secret: the form in which a tombstone holds them."""
    return hmac.new(secret, "\0".join((kind, *names)).encode(), hashlib.sha256).hexdigest()


def likeness(user_id: str, event: Event) -> int:
    """Hash user and content without the time."""
    return _as_integer(content_hash(user_id, None, encode_content(event)))


def is_held_out(likeness: int, share: float) -> bool:
    """Decide by a choice's likeness whether it is in the held-out `share`: the same on every machine, in any order."""
    return likeness + 2**63 < share * 2**64


def _as_integer(digest: str) -> int:
    """Convert 16 hexadecimal digits to the signed integer that SQLite holds in eight bytes."""
    return int(digest, 16) - 2**63


def _is_hash(name: str) -> bool:
    return len(name) == 16 and not set(name) - set("0123456789abcdef")
