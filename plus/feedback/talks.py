"""Talks and traces that rows belong to and do not name: what earlier rows said, what others tell of a trace.

Both lie in temporary SQLite tables, so that memory stays bounded.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple

from plus.profiles.store import Known

_STORED = "\0"  # in the place of the id of a row that an earlier reading had


class Talks:
    """Talks that were read so far, by what was said in them.

    `known` finds the talks of an exchange that an earlier reading left in the store, the newest first.
    """

    def __init__(self, known: Callable[[str, str], Sequence[Known]]) -> None:
        self.known = known
        self.table = sqlite3.connect("", isolation_level=None)
        self.table.execute("CREATE TABLE exchanges(name TEXT, talk TEXT, own TEXT, UNIQUE(name, talk))")
        self.table.execute("CREATE TABLE talks(talk TEXT PRIMARY KEY, length INTEGER) WITHOUT ROWID")
        self.table.execute("BEGIN")

    def names(self, prefixes: Sequence[str], user_id: str, session: str, own: str) -> list[str]:
        """List the talk of each exchange of a row; `prefixes` are hashes of all that was said up to each.

        A row of one exchange with an id or a time of its own is that exchange, whatever else has the same words.
        """
        if own and len(prefixes) == 1:
            return [self._single(prefixes[0], session, own)]
        if session:
            talk = digest(session)
            # What a row repeats has the talk that it was first read with.
            talks = [self._find(user_id, name, number) for number, name in enumerate(prefixes, 1)] if own else []
            found = [known.talk if known else talk for known in talks] or [talk] * len(prefixes)
            old = sum(known is not None for known in talks)
        else:
            talk, old = self._gone_on(prefixes, user_id)
            found = [talk] * len(prefixes)
        if own or not session:
            self._remember(prefixes, found, old, own)
        return found

    def _single(self, name: str, session: str, own: str) -> str:
        # A longer row may have had it as what came before.
        query = "SELECT talk FROM exchanges WHERE name = ? AND own IN ('', ?) ORDER BY own DESC LIMIT 1"
        row = self.table.execute(query, (name, own)).fetchone()
        talk = row[0] if row is not None else digest(session, own)
        self.table.execute("REPLACE INTO exchanges VALUES (?, ?, ?)", (name, talk, own))
        self._lengthen(talk, 1)
        return str(talk)

    def _gone_on(self, prefixes: Sequence[str], user_id: str) -> tuple[str, int]:
        """Find the talk that a row repeats or goes on with, else name a new one; with how much of it is known."""
        for length in range(len(prefixes), 0, -1):
            known = self._find(user_id, prefixes[length - 1], length)
            if known is not None:
                # A talk that went on otherwise is another one.
                goes_on = length in (len(prefixes), known.length)
                return known.talk if goes_on else digest(prefixes[-1]), length
        return digest(prefixes[-1]), 0

    def _find(self, user_id: str, name: str, length: int) -> Known | None:
        """Find the newest talk that has an exchange, if one is there one that ends with it."""
        query = (
            "SELECT talk, length FROM exchanges JOIN talks USING (talk) WHERE name = ?"
            " ORDER BY length = ? DESC, exchanges.rowid DESC LIMIT 1"
        )
        row = self.table.execute(query, (name, length)).fetchone()
        if row is not None and row[1] == length:
            return Known(*row)
        stored = [known for known in self.known(user_id, name) if not self._is_read(known.talk)]
        ending = next((known for known in stored if known.length == length), None)
        return ending or (Known(*row) if row is not None else next(iter(stored), None))

    def _is_read(self, talk: str) -> bool:
        return self.table.execute("SELECT 1 FROM talks WHERE talk = ?", (talk,)).fetchone() is not None

    def _remember(self, prefixes: Sequence[str], talks: Sequence[str], old: int, own: str) -> None:
        for number, (name, talk) in enumerate(zip(prefixes, talks, strict=True), start=1):
            # What is new and came before may have a row of its own later; what the store has had one.
            whose = own if number == len(prefixes) else _STORED if number <= old else ""
            self.table.execute("INSERT OR IGNORE INTO exchanges VALUES (?, ?, ?)", (name, talk, whose))
            self._lengthen(talk, number)

    def _lengthen(self, talk: str, length: int) -> None:
        self.table.execute(
            "INSERT INTO talks VALUES (?, ?) ON CONFLICT DO UPDATE SET length = max(length, excluded.length)",
            (talk, length),
        )


class Trace(NamedTuple):
    """Trace as all of its rows tell it: user, session, and the row that is its exchange."""

    user_id: str | None
    session: str
    exchange: str


class Traces:
    """Traces of all files, collected before their exchanges are read."""

    def __init__(self) -> None:
        self.table = sqlite3.connect("", isolation_level=None)
        self.table.execute(
            "CREATE TABLE traces(trace TEXT PRIMARY KEY, user TEXT, session TEXT, exchange TEXT, rank REAL, time REAL)"
        )
        self.table.execute("BEGIN")

    def add(
        self, trace: str, user_id: str | None, session: str | None, exchange: str, rank: float, time: float
    ) -> None:
        """Add a row's part; the exchange is the row of the highest rank, of several the latest."""
        self.table.execute(
            "INSERT INTO traces VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET"
            " user = coalesce(user, excluded.user), session = coalesce(session, excluded.session),"
            " exchange = CASE WHEN (?5, ?6) >= (rank, time) THEN ?4 ELSE exchange END,"
            " time = CASE WHEN (?5, ?6) >= (rank, time) THEN ?6 ELSE time END, rank = max(rank, ?5)",
            (trace, user_id, session, exchange, rank, time),
        )

    def find(self, trace: str) -> Trace | None:
        """Return what is known of a trace."""
        query = "SELECT user, session, exchange FROM traces WHERE trace = ?"
        found = self.table.execute(query, (trace,)).fetchone()
        return None if found is None else Trace(found[0], found[1] or "", found[2])


def digest(*parts: str) -> str:
    """Hash texts into 12 hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
