"""The store: users, what happened to them, and every version of the summary about them, in one SQLite file.

Many processes may read while one writes. Every method that writes is one transaction: it is done
when it returns, and leaves nothing when it does not. What was forgotten is refused by a tombstone that is
read inside that same transaction, so no job that began earlier can write it back.

    with Store("profiles.db") as store:
        store.add_events([Entry("ann", event)])
        store.summary("ann")
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from plus.errors import ForgottenError, UnknownUserError
from plus.profiles import database, encoding, versions
from plus.profiles.rules import Rules
from plus.profiles.versions import Version
from plus.types import Entry, Event, Summary, UserHistory

HELD_OUT = 0.2  # of the choices that do not say it themselves
BATCH = 2000  # events a transaction: what a writer makes the others wait for


@dataclass(frozen=True)
class Added:
    """Events by what became of them: new, in the store already, refused since they were forgotten."""

    added: int = 0
    known: int = 0
    refused: int = 0

    def __add__(self, other: Added) -> Added:
        return Added(self.added + other.added, self.known + other.known, self.refused + other.refused)


@dataclass(frozen=True)
class Reading:
    """What a job knew when it began: who (`number` is never given twice), what it read, and up to where."""

    number: int
    history: UserHistory
    upto: int
    current: Version | None


class User(NamedTuple):
    """A row of `users`."""

    number: int
    current: int
    newest: int
    next_sentence: int
    last_event: int
    read_upto: int


class Store:
    """The profile store at `path`; `create` makes it where there is none. Raises ProfileError."""

    def __init__(self, path: str | Path, create: bool = True) -> None:
        self.path = Path(path)
        self.connection, self.writable = database.connect(self.path, create)
        self._depth = 0
        self._salt: bytes | None = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; whoever closes last leaves one file without a log beside it."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing of what is done inside; inside another transaction, a part of that which can fail alone."""
        depth, self._depth = self._depth, self._depth + 1
        with database.explained(self.path):
            try:
                self.connection.execute(f"SAVEPOINT part{depth}" if depth else "BEGIN IMMEDIATE")
                yield self.connection
                self.connection.execute(f"RELEASE part{depth}" if depth else "COMMIT")
            except BaseException:
                if not depth:
                    database.rollback(self.connection)
                elif self.connection.in_transaction:  # A full disk undoes everything at once.
                    self.connection.execute(f"ROLLBACK TO part{depth}")
                raise
            finally:
                self._depth = depth

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows of a query, as they come."""
        with database.explained(self.path):
            for row in self.connection.execute(sql, values):  # noqa: UP028 - `yield from` would close the cursor late
                yield row

    def row(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row of a query, or None."""
        with database.explained(self.path):
            return self.connection.execute(sql, values).fetchone()

    # Users

    def users(self) -> Iterator[str]:
        """Every user's id, in order of appearance."""
        return (user_id for (user_id,) in self.rows("SELECT user_id FROM users ORDER BY number"))

    def user(self, user_id: str) -> User:
        """A user's row. Raises UnknownUserError with the nearest ids, or ForgottenError."""
        found = self.row(
            "SELECT number, current, newest, next_sentence, last_event, read_upto FROM users WHERE user_id = ?",
            (user_id,),
        )
        if found is not None:
            return User(*found)
        self.refuse_forgotten("user", user_id)
        near = self._nearest(user_id)
        raise UnknownUserError(
            f"the store holds no user {user_id!r}"
            + (f"; did you mean {', '.join(near)}?" if near else "; plus profile list shows who it holds")
        )

    def _nearest(self, user_id: str) -> list[str]:
        size = len(user_id)
        alike = self.rows(
            "SELECT user_id FROM users WHERE length(user_id) BETWEEN ? AND ? LIMIT 20000", (size - 3, size + 3)
        )
        return get_close_matches(user_id, [found for (found,) in alike], 3)

    # Forgetting: see forget.py

    def fingerprint(self, kind: str, *names: str) -> str:
        """The salted hash under which something is known to be forgotten."""
        if self._salt is None:
            found = self.row("SELECT value FROM meta WHERE key = 'salt'")
            self._salt = found[0] if found else b""
        return hmac.new(self._salt, "\0".join((kind, *names)).encode(), hashlib.sha256).hexdigest()

    def is_forgotten(self, kind: str, *names: str) -> bool:
        """Whether a tombstone stands for it."""
        found = self.row("SELECT 1 FROM tombstones WHERE kind = ? AND hash = ?", (kind, self.fingerprint(kind, *names)))
        return found is not None

    def refuse_forgotten(self, kind: str, *names: str) -> None:
        """Raises ForgottenError if a tombstone stands for it."""
        if self.is_forgotten(kind, *names):
            raise ForgottenError(
                f"this {kind} was forgotten and nothing of it may be written again: {names[-1]!r}; if they came back, plus forget --lift"
            )

    def forgotten(self) -> int:
        """How many tombstones stand."""
        found = self.row("SELECT count(*) FROM tombstones")
        return found[0] if found else 0

    # Events

    def add_events(self, entries: Iterable[Entry], share: float = HELD_OUT) -> Added:
        """Add what happened, `BATCH` events a transaction; an event that the user already has changes nothing.

        `share` of the choices that do not say whether they are held out are. Raises ProfileError.
        """
        entries, total = iter(entries), Added()
        while chunk := list(islice(entries, BATCH)):
            with self.transaction() as connection:
                total += self._add(connection, chunk, share)
        return total

    def _add(self, connection: sqlite3.Connection, chunk: Sequence[Entry], share: float) -> Added:
        fenced = self.forgotten() > 0
        numbers: dict[str, int] = {}
        rows, refused = [], 0
        for user_id, event, session_id, held_out in chunk:
            content = encoding.to_json(event)
            event_id = encoding.identified(event, content)
            if fenced and self._is_fenced(user_id, event_id, session_id):
                refused += 1
                continue
            if user_id not in numbers:
                numbers[user_id] = self.enrol(connection, user_id)
            if held_out is None:
                held_out = event.kind == "choice" and encoding.is_held_out(event_id, share)
            rows.append(
                (numbers[user_id], encoding.valid(event_id, "an event's id"), session_id, event.kind, event.time, event.source, content, held_out)
            )  # fmt: skip
        (before,) = connection.execute(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'"
        ).fetchone()
        added = connection.executemany(
            "INSERT INTO events(user, event_id, session_id, kind, time, source, content, held_out) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            rows,
        ).rowcount  # fmt: skip
        added = max(0, added)  # -1 where there was no row at all
        connection.execute(
            "UPDATE users SET last_event = new.last FROM (SELECT user, max(number) AS last FROM events "
            "WHERE number > ? AND NOT held_out GROUP BY user) AS new WHERE users.number = new.user",
            (before,),
        )
        return Added(added, len(rows) - added, refused)

    def _is_fenced(self, user_id: str, event_id: str, session_id: str) -> bool:
        return (
            self.is_forgotten("user", user_id)
            or self.is_forgotten("event", user_id, event_id)
            or (session_id != "" and self.is_forgotten("conversation", session_id))
        )

    def enrol(self, connection: sqlite3.Connection, user_id: str) -> int:
        """The number of a user, who is made known if need be; whoever calls this has looked for a tombstone."""
        found = connection.execute("SELECT number FROM users WHERE user_id = ?", (user_id,)).fetchone()
        if found:
            return found[0]
        name = encoding.valid(user_id, "a user's id")
        return connection.execute("INSERT INTO users(user_id) VALUES (?)", (name,)).lastrowid or 0

    def events(self, user_id: str, held_out: bool | None = None) -> list[Event]:
        """A user's events, oldest first (in order of arrival where one has no time)."""
        where = "" if held_out is None else f" AND held_out = {int(held_out)}"
        found = self.rows(
            f"SELECT event_id, kind, content, time, source FROM events WHERE user = ?{where} ORDER BY number",
            (self.user(user_id).number,),
        )
        events = [
            Event(event_id, kind, encoding.from_json(content), time, source)
            for event_id, kind, content, time, source in found
        ]
        return events if any(e.time is None for e in events) else sorted(events, key=lambda e: e.time or 0.0)

    def read(self, user_id: str) -> Reading:
        """What a summarizer may read of a user, and what is needed to save what it writes."""
        with self._snapshot():
            user = self.user(user_id)
            events = self.events(user_id, held_out=False)
            return Reading(user.number, UserHistory(user_id, tuple(events)), user.last_event, self.current(user_id))

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Several queries that see one state."""
        if self.connection.in_transaction:
            yield
            return
        with database.explained(self.path):
            self.connection.execute("BEGIN")
            try:
                yield
            finally:
                database.rollback(self.connection)

    # Summaries

    def summary(self, user_id: str) -> Summary | None:
        """The summary that is shown, or None where the user is unknown or has none: one query."""
        found = self.row(
            "SELECT v.text, v.sentences, v.origin, v.model, v.created, v.evidence FROM users u JOIN versions v "
            "ON v.user = u.number AND v.version = u.current WHERE u.user_id = ?", (user_id,),
        )  # fmt: skip
        if found is None:
            return None
        text, spans, origin, model, created, evidence = found
        sentences = tuple(text[start:end] for _, start, end, _, _ in json.loads(spans))
        return Summary(user_id, text, origin, model, created, sentences, tuple(json.loads(evidence)))

    def current(self, user_id: str) -> Version | None:
        """The version that is shown, or None where there is none yet. Raises UnknownUserError."""
        user = self.user(user_id)
        return self.version(user_id, user.current) if user.current else None

    def version(self, user_id: str, number: int) -> Version:
        """One version. Raises UnknownUserError for a number that the user does not have."""
        user = self.user(user_id)
        found = self.row(
            f"SELECT {versions.COLUMNS} FROM versions WHERE user = ? AND version = ?", (user.number, number)
        )
        if found is None:
            raise UnknownUserError(
                f"{user_id!r} has no version {number}; plus profile history {user_id} shows those there are"
            )
        return versions.from_row(user_id, found)

    def history(self, user_id: str) -> list[Version]:
        """Every version, oldest first."""
        found = self.rows(
            f"SELECT {versions.COLUMNS} FROM versions WHERE user = ? ORDER BY version", (self.user(user_id).number,)
        )
        return [versions.from_row(user_id, row) for row in found]

    def evidence(self, version: Version) -> dict[int, tuple[str, ...]]:
        """version number -> ids of the events it was written from, for each version that a sentence is from."""
        since = {sentence.since for sentence in version.sentences} | {version.version}
        found = self.rows("SELECT version, evidence FROM versions WHERE user = ?", (self.user(version.user_id).number,))
        return {number: tuple(json.loads(ids)) for number, ids in found if number in since}

    def rules(self, user_id: str) -> Rules:
        """What the user has fixed."""
        found = self.rows(
            "SELECT kind, text FROM rules WHERE user = ? ORDER BY kind, text", (self.user(user_id).number,)
        )
        by_kind: dict[str, list[str]] = {}
        for kind, text in found:
            by_kind.setdefault(kind, []).append(text)
        return replace(Rules(), **{kind: tuple(texts) for kind, texts in by_kind.items()})

    def add_run(self, folder: Path, run: str, model: str) -> None:
        """Remember a run folder, so that forgetting finds its files and `plus profile why` its reward model."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", (str(folder.resolve()), run, model))

    def runs(self) -> dict[Path, str]:
        """Known run folders and the hash of each one's configuration, the latest last."""
        return {Path(folder): run for folder, run in self.rows("SELECT folder, run FROM runs")}
