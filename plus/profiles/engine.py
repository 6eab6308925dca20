"""Engine of a profile store, SQLite in a file or PostgreSQL behind an address: what the rest of a store asks of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from plus.errors import ProfileError, missing_extra
from plus.profiles.address import is_address
from plus.profiles.statements import Statements

FORGETTING = ""  # what is held, last of all, by whoever forgets or publishes an export


class Engine(Protocol):
    """Transactions and rows of a store. Its errors are ProfileErrors of one line."""

    sql: Statements
    place: str  # what messages call it: a path, or an address without user and password
    ledger: Path  # the file that says who was forgotten when a store is put back from a backup
    writable: bool

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """Return the secrets that key the hashes of names, the store's own first."""
        ...

    @property
    def writing(self) -> bool:
        """True inside a transaction that may change rows."""
        ...

    def close(self) -> None:
        """Close the file or the connections."""
        ...

    def change_counter(self) -> object:
        """Return a value that differs once another connection has written."""
        ...

    def transaction(self) -> AbstractContextManager[Any]:
        """Commit everything done inside, or nothing; one inside another is a part that can fail alone."""
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """Let several queries see one state of the store."""
        ...

    def hold(self, names: Iterable[str]) -> None:
        """Keep users from being changed by others until the transaction ends, those too who are not there yet.

        A transaction that touches many users begins with this, so that no two wait for each other.
        """
        ...

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query."""
        ...

    def stream(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query as they come, in bounded memory inside a transaction too."""
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

    def take_secrets(self, secrets: Sequence[bytes]) -> None:
        """Key the hashes of names by these secrets, inside a transaction."""
        ...

    def add_user(self, user_id: str) -> int:
        """Add a user; returns the user's number."""
        ...

    def make_keys(self, numbers: Iterable[int]) -> None:
        """Make the keys of users who are about to be copied here with their numbers."""
        ...

    def number_on(self) -> None:
        """Go on numbering after the rows that were copied here."""
        ...

    def journal(self, work: str) -> int:
        """Note what a forget has still to do; returns the note's number."""
        ...

    def with_hashes(self, hashes: Iterable[str]) -> dict[int, str]:
        """Return number -> hash of the users by the hashes of their ids."""
        ...


def connect(place: str | Path, create: bool = True) -> Engine:
    """Open the store at a path or an address. Raises ProfileError, and MissingExtraError for an address without it."""
    if not is_address(place):
        from plus.profiles.database import Database

        return Database(place, create)
    if "://" not in str(place) or str(place).count("@") > 1:
        raise ProfileError(
            "--store is no address of PostgreSQL; write postgresql://USER@HOST:PORT/DATABASE as text, and the password "
            "into PGPASSWORD or ~/.pgpass"
        )
    try:
        from plus.profiles.postgres import Postgres
    except ModuleNotFoundError as error:
        raise missing_extra("--store postgresql://", error) or error from None
    return Postgres(str(place), create)
