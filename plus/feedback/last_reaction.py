"""Reactions that stand apart from the messages they are about: of several to one message the last one counts.

They are gathered before the messages are read, on disk where they are many, so memory stays bounded.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from plus.types import Dropped

OVERRULED, UNKNOWN = "reactions that a later one overrules", "reactions to unknown messages"


class Given(NamedTuple):
    """A reaction: what it is about, up or down, when, and the words beside it."""

    message: str
    label: bool
    time: float | None = None
    comment: str = ""


class LastWins:
    """The last reaction to each message, and where it stands."""

    def __init__(self, dropped: Dropped) -> None:
        self.dropped = dropped
        self.table = sqlite3.connect("", isolation_level=None)  # A file of SQLite's own that nobody else sees.
        self.table.execute(
            "CREATE TABLE given(message TEXT PRIMARY KEY, label INTEGER, time REAL, comment TEXT, place TEXT, used INTEGER)"
        )
        self.table.execute("BEGIN")

    def add(self, given: Given, place: str) -> None:
        """Remember a reaction; of two without a time the one that is read later is the last."""
        found = self._find(given.message)
        if found is not None:
            earlier = None not in (found[1], given.time) and given.time < found[1]  # type: ignore[operator]
            self.dropped.add(OVERRULED, place if earlier else found[3])
            if earlier:
                return
        self.table.execute("REPLACE INTO given VALUES (?, ?, ?, ?, ?, 0)", (*given, place))

    def is_last(self, message: str, place: str) -> bool:
        """Whether the reaction at `place` is the one that counts; it is then given out."""
        found = self._find(message)
        if found is None or found[3] != place:
            return False
        self._use(message)
        return True

    def take(self, message: str) -> Given | None:
        """The reaction to a message, given out once."""
        found = self._find(message)
        if found is None or found[4]:
            return None
        self._use(message)
        return Given(message, bool(found[0]), found[1], found[2])

    def unused(self) -> Iterator[str]:
        """Where the reactions stand that no message was found for."""
        yield from (place for (place,) in self.table.execute("SELECT place FROM given WHERE NOT used ORDER BY rowid"))

    def _use(self, message: str) -> None:
        self.table.execute("UPDATE given SET used = 1 WHERE message = ?", (message,))

    def _find(self, message: str) -> tuple[bool, float | None, str, str, int] | None:
        found = self.table.execute("SELECT label, time, comment, place, used FROM given WHERE message = ?", (message,))
        return found.fetchone()
