"""Profile store: users, their events, and every version of the summary about them, in one SQLite file.

Many processes may read while one writes. Every method that writes is one transaction: it is done when it returns, and
leaves nothing when it does not. A forgotten user, conversation or event is refused by a tombstone that is read inside
that same transaction, so no job that began earlier can write it back.

    with Store("profiles.db") as store:
        store.add_events([Entry("ann", event)])
        store.summary("ann")
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from plus.errors import ForgottenError, UnknownUserError
from plus.profiles import ledger, schema, versions
from plus.profiles.database import Database
from plus.profiles.schema import EqualEvents, Identity, is_held_out, tombstones
from plus.profiles.versions import Rules, Version
from plus.types import Entry, Event, Summary, UserHistory

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


@dataclass(frozen=True)
class SummaryInput:
    """Input of one summary: the user's number (never given twice), history, newest event, and current version."""

    number: int
    history: UserHistory
    upto: int
    current: Version | None


class Known(NamedTuple):
    """Talk of a log that holds an exchange already: its key, and how many exchanges it has."""

    talk: str
    length: int


class UserRow(NamedTuple):
    """Row of the table `users`."""

    number: int
    current: int
    newest: int
    next_sentence: int
    last_event: int
    read_upto: int
    paused: int = 0


class Store(Database):
    """Profile store at `path`; `create` makes it where there is none. Raises ProfileError when it cannot be used."""

    def __init__(self, path: str | Path, create: bool = True, tell: Callable[[str], None] = lambda line: None) -> None:
        """Open; `tell` is told of users who were forgotten and were there again, and of ids that look like theirs."""
        super().__init__(path, create)
        self.tell = tell
        self._salt: tuple[sqlite3.Connection, tuple[bytes, ...]] | None = None
        back, self._salt = ledger.merge(self, self.salt), None  # A store made anew takes the ledger's secret.
        if back:
            tell(f"{len(back)} forgotten users were there again and were taken out; plus doctor cleans the file")

    # Users

    def users(self) -> Iterator[str]:
        """Yield every user's id, in order of appearance."""
        return (user_id for (user_id,) in self.rows("SELECT user_id FROM users ORDER BY number"))

    def user(self, user_id: str) -> UserRow:
        """Return a user's row. Raises UnknownUserError with the nearest ids, or ForgottenError."""
        if (found := self.find(user_id)) is not None:
            return found
        self.refuse_forgotten("user", user_id)
        near = self._nearest(user_id)
        raise UnknownUserError(
            f"the store holds no user {user_id!r}"
            + (f"; did you mean {', '.join(near)}?" if near else "; plus profile list shows who it holds")
        )

    def find(self, user_id: str) -> UserRow | None:
        """Return a user's row, or None for an unknown or a forgotten one, at the cost of one look."""
        found = self.row(
            "SELECT number, current, newest, next_sentence, last_event, read_upto, paused FROM users WHERE user_id = ?",
            (user_id,),
        )
        return None if found is None else UserRow(*found)

    def count(self, sql: str, *values: object) -> int:
        """Return the number that a query counts."""
        found = self.row(sql, values)
        return found[0] if found else 0

    def enrol(self, connection: sqlite3.Connection, user_id: str) -> int:
        """Return a user's number, adding the user if need be. The caller has looked for a tombstone."""
        found = connection.execute("SELECT number FROM users WHERE user_id = ?", (user_id,)).fetchone()
        return int(found[0]) if found else self.add_user(connection, user_id)

    def add_user(self, connection: sqlite3.Connection, user_id: str) -> int:
        """Add a user who is not there; returns the number. The caller has looked for a tombstone."""
        name = schema.checked(user_id, "a user's id")
        if self.is_forgotten("spelling", ledger.spelling(user_id)):
            self.tell(
                f"look at {user_id!r}: a forgotten user's id is spelled like it; plus forget it, if they are one person"
            )
        return connection.execute("INSERT INTO users(user_id) VALUES (?)", (name,)).lastrowid or 0

    def _nearest(self, user_id: str) -> list[str]:
        size = len(user_id)
        alike = self.rows(
            "SELECT user_id FROM users WHERE length(user_id) BETWEEN ? AND ? LIMIT 20000", (size - 3, size + 3)
        )
        return get_close_matches(user_id, [found for (found,) in alike], 3)

    # Tombstones: written by forget.py

    @property
    def salt(self) -> bytes:
        """Return the random salt of this store, which keys the hashes of names."""
        return self._secrets()[0]

    def _secrets(self) -> tuple[bytes, ...]:
        """The salt, and the ledger's where that is another."""
        self._look()
        # A store that was opened anew may be another one.
        if self._salt is None or self._salt[0] is not self.connection:
            found = dict(self.rows("SELECT key, value FROM meta WHERE key IN ('salt', 'salt_of_ledger')"))
            other = (found["salt_of_ledger"],) if "salt_of_ledger" in found else ()
            self._salt = (self.connection, (found.get("salt", b""), *other))
        return self._salt[1]

    def fingerprint(self, kind: str, *names: str) -> str:
        """Hash names with the store's salt: the form in which a tombstone holds them."""
        return ledger.fingerprint(self.salt, kind, *names)

    def is_forgotten(self, kind: str, *names: str) -> bool:
        """Look for a tombstone of a user, a conversation or an event, or of another spelling."""
        find = "SELECT 1 FROM tombstones WHERE kind = ? AND hash = ?"
        hashes = (ledger.fingerprint(secret, kind, *names) for secret in self._secrets())
        return any(self.row(find, (kind, one)) is not None for one in hashes)

    def refuse_forgotten(self, kind: str, *names: str) -> None:
        """Raise ForgottenError if there is a tombstone."""
        if self.is_forgotten(kind, *names):
            raise ForgottenError(
                f"this {kind} was forgotten and nothing of it may be written again: {names[-1]!r}; "
                "if they came back, plus forget --lift"
            )

    def forgotten(self) -> int:
        """Count the tombstones."""
        return self.count("SELECT count(*) FROM tombstones")

    # Events

    def add_events(self, entries: Iterable[Entry], share: float = HELD_OUT) -> Added:
        """Add events, `BATCH` a transaction; an event that the user already has changes nothing.

        One that `revises` is put in the place of an event with its id that says something else. Of the choices that do
        not say whether they are held out, `share` are; equal choices are on the same side. Raises ProfileError for
        invalid Unicode.
        """
        entries, total = iter(entries), Added()
        with EqualEvents() as equal:
            while chunk := list(islice(entries, BATCH)):
                with self.transaction() as connection:
                    total += self._add(connection, chunk, share, equal)
        return total

    def _add(self, connection: sqlite3.Connection, chunk: Sequence[Entry], share: float, equal: EqualEvents) -> Added:
        fenced = self.forgotten() > 0  # Without a tombstone none is looked for.
        numbers: dict[str, int] = {}
        total = Added()
        (before,) = connection.execute(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'"
        ).fetchone()
        # 1. Insert those that are not forgotten and that the users do not have yet.
        for entry in chunk:
            identity = equal.identify(entry)
            if fenced and self._is_fenced(entry, identity):
                total += Added(refused=1)
                continue
            if entry.user_id not in numbers:
                numbers[entry.user_id] = self.enrol(connection, entry.user_id)
            total += self._insert_event(connection, numbers[entry.user_id], entry, identity, share)
        # 2. Note each user's newest readable event: it tells whose summary is out of date.
        connection.execute(
            "UPDATE users SET last_event = new.last FROM (SELECT user, max(number) AS last FROM events "
            "WHERE number > ? AND NOT held_out GROUP BY user) AS new WHERE users.number = new.user",
            (before,),
        )
        return total

    def _insert_event(
        self, connection: sqlite3.Connection, user: int, entry: Entry, identity: Identity, share: float
    ) -> Added:
        """Insert an event that the user does not have; returns what became of it."""
        event, held_out, content = entry.event, entry.held_out, schema.encode_event(entry.event)
        # 1. Compare with the equal events that are there.
        find = "SELECT event_id, time, kind, held_out FROM events WHERE user = ? AND likeness = ?"
        equal = connection.execute(find, (user, identity.likeness)).fetchall()
        if identity.is_known(event, [name for name, time, _, _ in equal if time == event.time]):
            return Added(known=1)
        # 2. An equal choice was put on a side before, and a summary may have read it.
        if event.kind == "choice":
            side = next((bool(side) for _, _, kind, side in equal if kind == "choice"), None)
            drawn = is_held_out(identity.likeness, share) if held_out is None else held_out
            held_out = drawn if side is None else side
        # 3. Its id may be that of what it revises, or of another event.
        name = schema.checked(identity.name, "an event's id")
        taken = "SELECT kind, content FROM events WHERE user = ? AND event_id = ?"
        old = connection.execute(taken, (user, name)).fetchone()
        if old is not None and entry.revises:
            # A question that lost its answer, as in a log that was cut, says nothing new.
            if event.kind == "message" and old[1].startswith(content[:-1] + ","):
                return Added(known=1)
            connection.execute("DELETE FROM events WHERE user = ? AND event_id = ?", (user, name))
        elif old is not None:
            name = identity.other_name
        what = (event.kind, event.time, event.source, content)
        connection.execute(
            "INSERT INTO events(user, event_id, session_id, kind, time, source, content, held_out, likeness) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (user, name, entry.session_id, *what, bool(held_out), identity.likeness),
        )
        return Added(changed=1) if old is not None and entry.revises else Added(added=1)

    def _is_fenced(self, entry: Entry, identity: Identity) -> bool:
        user_id, session = entry.user_id, entry.session_id
        names = tombstones(identity.name, user_id, entry.event)
        return (
            self.is_forgotten("user", user_id)
            or any(self.is_forgotten("event", user_id, name) for name in names)
            or (session != "" and self.is_forgotten("conversation", user_id, session))
            or (session != "" and self.is_forgotten("conversation", session))  # Before it belonged to a user.
        )

    def events(self, user_id: str, held_out: bool | None = None) -> list[Event]:
        """Return a user's events, oldest first (in order of arrival where one has no time)."""
        where = "" if held_out is None else f" AND held_out = {int(held_out)}"
        found = self.rows(
            f"SELECT event_id, kind, content, time, source FROM events WHERE user = ?{where} ORDER BY number",
            (self.user(user_id).number,),
        )
        events = [
            Event(event_id, kind, schema.decode_content(content), time, source)
            for event_id, kind, content, time, source in found
        ]
        return events if any(e.time is None for e in events) else sorted(events, key=lambda e: e.time or 0.0)

    def find_exchange(self, user_id: str, name: str) -> list[Known]:
        """Find the talks of a user that hold an exchange, by the name that all of its kind share; the newest first."""
        query = (
            "SELECT e.event_id FROM events e JOIN users u ON u.number = e.user "
            "WHERE u.user_id = ? AND e.event_id >= ? AND e.event_id < ? ORDER BY e.number DESC LIMIT 50"
        )
        length = "SELECT count(*) FROM events WHERE session_id = ? AND kind = 'message'"
        found = []
        for (event_id,) in self.rows(query, (user_id, f"said-{name}-", f"said-{name}.")):
            talk = event_id.rpartition("-")[2]
            (count,) = self.row(length, (f"talk-{talk}",)) or (0,)
            found.append(Known(talk, count))
        return found

    def event_rows(self, user_id: str) -> Iterator[tuple[Any, ...]]:
        """Yield (id, kind, time, session, source, content as JSON, held out) of all that is stored, as it arrived."""
        return self.rows(
            "SELECT event_id, kind, time, session_id, source, content, held_out FROM events WHERE user = ? "
            "ORDER BY number",
            (self.user(user_id).number,),
        )

    def read(self, user_id: str) -> SummaryInput:
        """Return a user's readable history, with all that is needed to save a summary of it."""
        with self.snapshot():
            user = self.user(user_id)
            events = self.events(user_id, held_out=False)
            return SummaryInput(
                user.number, UserHistory(user_id, tuple(events)), user.last_event, self.current(user_id)
            )

    # Summaries

    def summary(self, user_id: str) -> Summary | None:
        """Return the current summary, or None where the user is unknown, has none or has paused it: one query."""
        found = self.row(
            "SELECT v.text, v.sentences, v.origin, v.model, v.created, v.evidence FROM users u JOIN versions v "
            "ON v.user = u.number AND v.version = u.current WHERE u.user_id = ? AND NOT u.paused",
            (user_id,),
        )
        if found is None:
            return None
        text, spans, origin, model, created, evidence = found
        sentences = tuple(text[start:end] for _, start, end, _, _ in json.loads(spans))
        return Summary(user_id, text, origin, model, created, sentences, tuple(json.loads(evidence)))

    def current(self, user_id: str) -> Version | None:
        """Return the current version, or None where there is none yet. Raises UnknownUserError."""
        user = self.user(user_id)
        return self.version(user_id, user.current) if user.current else None

    def version(self, user_id: str, number: int) -> Version:
        """Return one version. Raises UnknownUserError for a number that the user does not have."""
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
        """Return every version, oldest first."""
        found = self.rows(
            f"SELECT {versions.COLUMNS} FROM versions WHERE user = ? ORDER BY version", (self.user(user_id).number,)
        )
        return [versions.from_row(user_id, row) for row in found]

    def evidence(self, version: Version) -> dict[int, tuple[str, ...]]:
        """Map version number -> ids of the events it was written from, for each version a sentence came with."""
        since = {sentence.since for sentence in version.sentences} | {version.version}
        found = self.rows("SELECT version, evidence FROM versions WHERE user = ?", (self.user(version.user_id).number,))
        return {number: tuple(json.loads(ids)) for number, ids in found if number in since}

    def rules(self, user_id: str) -> Rules:
        """Return the user's locks, bans, and sentences removed by hand."""
        found = self.rows(
            "SELECT kind, text FROM rules WHERE user = ? ORDER BY kind, text", (self.user(user_id).number,)
        )
        by_kind: dict[str, list[str]] = {}
        for kind, text in found:
            by_kind.setdefault(kind, []).append(text)
        return replace(Rules(), **{kind: tuple(texts) for kind, texts in by_kind.items()})

    # Run folders

    def add_run(self, folder: Path, run: str, model: str) -> None:
        """Remember a run folder, so that forgetting finds its files and `plus profile why` its reward model."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", (str(folder.resolve()), run, model))

    def runs(self) -> dict[Path, str]:
        """Return the known run folders with the hash of each one's configuration, the latest last."""
        return {Path(folder): run for folder, run in self.rows("SELECT folder, run FROM runs")}
