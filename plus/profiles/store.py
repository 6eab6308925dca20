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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from plus.errors import ProfileError, UnknownUserError
from plus.profiles import schema, versions
from plus.profiles.adding import HELD_OUT, Added, add_events
from plus.profiles.users import Users
from plus.profiles.versions import Rules, Version
from plus.types import Entry, Event, Summary, UserHistory


@dataclass(frozen=True)
class SummaryInput:
    """Input of one summary: the user's number (never given twice), history, newest event, and current version."""

    number: int
    history: UserHistory
    upto: int
    current: Version | None


KINDS = frozenset(("lock", "forbid", "removed", "paused"))  # of rules


class Known(NamedTuple):
    """Talk of a log that holds an exchange already: its key, and how many exchanges it has."""

    talk: str
    length: int


class Store(Users):
    """Profile store at `path`; `create` makes it where there is none. Raises ProfileError when it cannot be used."""

    # Events

    def add_events(self, entries: Iterable[Entry], share: float = HELD_OUT) -> Added:
        """Add events, see `adding.add_events`."""
        return add_events(self, entries, share)

    def events(self, user_id: str, held_out: bool | None = None) -> list[Event]:
        """Return a user's events, oldest first (in order of arrival where one has no time)."""
        events = [
            Event(event_id, kind, schema.decode_content(content), time, source)
            for event_id, kind, time, _, source, content, side in self.event_rows(user_id)
            if held_out is None or bool(side) == held_out
        ]
        return events if any(e.time is None for e in events) else sorted(events, key=lambda e: e.time or 0.0)

    def find_exchange(self, user_id: str, name: str) -> list[Known]:
        """Find the talks of a user that hold an exchange, by the name that all of its kind share; the newest first."""
        if (user := self.find(user_id)) is None:
            return []
        found = []
        for (event_id,) in self.rows(self.sql.exchanges, (user.number, f"said-{name}")):
            talk = event_id.rpartition("-")[2]
            length = self.number(self.sql.talk_length, (user.number, f"talk-{talk}"))
            found.append(Known(talk, length))
        return found

    def event_rows(self, user_id: str) -> Iterator[tuple[Any, ...]]:
        """Yield (id, kind, time, session, source, content as JSON, held out) of all that is stored, as it arrived."""
        return self.rows(self.sql.events, (self.user(user_id).number,))

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
        """Return the current summary without paused sentences, or None: one query.

        None is for a user who is unknown, has no summary or has paused it.
        """
        found = list(self.rows(self.sql.summary, (user_id,)))  # A row for each paused sentence, or one.
        if not found:
            return None
        text, encoded, origin, model, created, evidence, paused = found[0]
        try:
            spans = tuple(map(tuple, json.loads(encoded)))
            if paused is not None:
                used = Rules(paused=tuple(row[-1] for row in found)).in_use(Version(user_id, 0, text, spans, origin))
                text, spans = used.text, used.spans
            sentences = tuple(text[start:end] for _, start, end, _, _ in spans)
            return Summary(user_id, text, origin, model, created, sentences, tuple(json.loads(evidence)))
        except (ValueError, TypeError):
            raise ProfileError(schema.DAMAGED) from None

    def current(self, user_id: str) -> Version | None:
        """Return the current version, or None where there is none yet. Raises UnknownUserError."""
        user = self.user(user_id)
        return self.version(user_id, user.current) if user.current else None

    def in_use(self, user_id: str) -> Version | None:
        """Return the part of the current version that programs get: without paused sentences, which no model is to see.

        Raises UnknownUserError.
        """
        current = self.current(user_id)
        return self.rules(user_id).in_use(current) if current else None

    def version(self, user_id: str, number: int) -> Version:
        """Return one version. Raises UnknownUserError for a number that the user does not have."""
        user = self.user(user_id)
        found = self.row(self.sql.version, (user.number, number))
        if found is None:
            raise UnknownUserError(
                f"{user_id!r} has no version {number}; plus profile history {user_id} shows those there are"
            )
        return versions.from_row(user_id, found)

    def history(self, user_id: str) -> list[Version]:
        """Return every version, oldest first."""
        found = self.rows(self.sql.versions, (self.user(user_id).number,))
        return [versions.from_row(user_id, row) for row in found]

    def evidence(self, version: Version) -> dict[int, tuple[str, ...]]:
        """Map version number -> ids of the events it was written from, for each version a sentence came with."""
        since = {sentence.since for sentence in version.sentences} | {version.version}
        return {one.version: one.evidence for one in self.history(version.user_id) if one.version in since}

    def rules(self, user_id: str) -> Rules:
        """Return the user's locks, bans, sentences removed by hand or paused, and the bans for all users."""
        by_kind: dict[str, list[str]] = {}
        rows = list(self.rows(self.sql.rules, (self.user(user_id).number,)))
        if not all(kind in KINDS and isinstance(text, str) for kind, text in rows):
            raise ProfileError(schema.DAMAGED)
        for kind, text in sorted(rows):
            by_kind.setdefault(kind, []).append(text)
        return replace(Rules(bans=self.bans()), **{kind: tuple(texts) for kind, texts in by_kind.items()})

    def bans(self) -> tuple[str, ...]:
        """Return the words that no summary may hold."""
        return tuple(words for (words,) in self.rows(self.sql.bans))

    # Run folders

    def add_run(self, folder: Path, run: str, model: str) -> None:
        """Remember a run folder, so that forgetting finds its files and `plus profile why` its reward model."""
        with self.transaction():
            self.do(self.sql.add_run, (str(folder.resolve()), run, model))

    def runs(self) -> dict[Path, str]:
        """Return the known run folders with the hash of each one's configuration, the latest last."""
        return {Path(folder): run for folder, run in self.rows(self.sql.runs)}
