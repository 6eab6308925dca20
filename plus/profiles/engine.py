"""Engine of a profile store: what SQLite and PostgreSQL both do, and the one that a place means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from plus.profiles import ledger
from plus.profiles.database import Database
from plus.profiles.statements import Statements


class Engine(Protocol):
    """Connection to a store: statements in, rows out, transactions that nest.

    place: the store's file or address, for messages. writable: may this process write it?
    """

    place: str
    sql: Statements
    writable: bool

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query as they come."""
        ...

    def row(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Return the first row of a query, or None."""
        ...

    def do(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Change rows, inside a transaction; returns how many."""
        ...

    def do_many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """Change rows once for each of `values`, inside a transaction."""
        ...

    def transaction(self) -> AbstractContextManager[Any]:
        """Commit everything done inside, or nothing; one inside another is a part that can fail alone."""
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """Let several queries see one state of the store."""
        ...

    def change_counter(self) -> object:
        """Return a value that differs once another connection has written."""
        ...

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """Return the random salt of this store, which keys the hashes of names, and the ledger's where that differs."""
        ...

    def named(self, user_id: str) -> Any:
        """Convert a user's id to the value that statements find the user by."""
        ...

    def among(self, user_ids: Iterable[str]) -> Any:
        """Convert users' ids to the value that `Statements.among` takes."""
        ...

    def add_user(self, user_id: str) -> int:
        """Add a user; returns the user's number, which is never given twice."""
        ...

    def seal(self, user: int, text: str) -> Any:
        """Convert a user's text to the value that is stored: rows give the text back."""
        ...

    def events_between(self, user: int, first: str, end: str) -> list[str]:
        """List a user's ids of events from `first` to before `end`, the newest first, 50 at most."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def open_engine(place: str | Path, create: bool) -> tuple[Engine, int]:
    """Open the store at a path; returns it, and how many forgotten users were there again and were taken out.

    Raises ProfileError when it cannot be used.
    """
    database = Database(place, create)
    return database, len(ledger.merge(database))
