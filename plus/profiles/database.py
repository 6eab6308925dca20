"""Connection to a profile store in SQLite: reading, nested transactions.

A connection is never older than its file: before each read it looks at the path, and opens anew a store that was
replaced or, where it cannot be written and SQLite cannot see other writers, changed.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from weakref import WeakSet

from plus.errors import ProfileError
from plus.profiles import statements
from plus.profiles.identity import fingerprint
from plus.profiles.sqlite_file import FileState, connect, explained, file_state, is_writable, log_of, rollback

_TRIES = 20  # of a read during which a file changed that SQLite cannot watch
_OPEN: WeakSet[Database] = WeakSet()
_FILES: dict[tuple[int, int], io.FileIO] = {}  # (device, inode) of stores whose bytes were read, see raw_file


class Database:
    """Connection to a store's file. Transactions nest; errors of SQLite become ProfileError."""

    sql = statements.SQLITE

    def __init__(self, path: str | Path, create: bool = True) -> None:
        self.path = Path(path)
        self.place, self.ledger = str(path), self.path.with_name(f"{self.path.stem}.forgotten")
        self._open(create)
        self._depth = 0
        self._salt: tuple[sqlite3.Connection, tuple[bytes, ...]] | None = None

    def _open(self, create: bool) -> None:
        # The state first: a change between the two is seen before the next read.
        state = file_state(self.path) if self.path.exists() else None
        self.connection, self.writable = connect(self.path, create)
        self.state = state or file_state(self.path)
        self._log = log_of(self.path)[0]
        _OPEN.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the last process to do so leaves one file without a log beside it."""
        self.connection.close()
        _OPEN.discard(self)
        file = (self.state.device, self.state.inode)
        if file in _FILES and not any((other.state.device, other.state.inode) == file for other in _OPEN):
            _FILES.pop(file).close()

    def change_counter(self) -> tuple[FileState, int]:
        """Return a value that differs once another connection has written, or the file was replaced."""
        self._look()
        with explained(self.path):
            (number,) = self.connection.execute("PRAGMA data_version").fetchone()
        return self.state, number

    def _look(self) -> None:
        """Open the file anew if the path holds another one, or one that changed unseen by SQLite.

        Raises ProfileError where there is none any more. Inside a transaction nothing is looked for.
        """
        if self._depth or self.connection.in_transaction:
            return
        try:
            state = file_state(self.path)
        except FileNotFoundError:
            # Nothing of a deleted store stays open or in memory.
            self.close()
            self.connection, self.state = sqlite3.connect(":memory:"), FileState(0, 0)
            raise ProfileError(f"the profile store {self.path} was deleted; put it back, or give --store") from None
        if state == self.state and not state.is_recent:
            return
        # The log of the file before is still here: SQLite would read it into the new one.
        inode, size = log_of(self.path)
        if (state.device, state.inode) != (self.state.device, self.state.inode) and size and inode == self._log:
            name = self.path.name
            raise ProfileError(
                f"{self.path} was replaced while its log was in use; end what reads it, remove {name}-wal and "
                f"{name}-shm, and put the file there again"
            )
        self.close()
        self._open(create=False)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit everything done inside, or nothing; one inside another is a part that can fail alone."""
        self._look()
        depth, self._depth = self._depth, self._depth + 1
        with explained(self.path):
            try:
                self.connection.execute(f"SAVEPOINT part{depth}" if depth else "BEGIN IMMEDIATE")
                yield self.connection
                self.connection.execute(f"RELEASE part{depth}" if depth else "COMMIT")
            except BaseException:
                if not depth:
                    rollback(self.connection)
                elif self.connection.in_transaction:  # A full disk undoes everything at once.
                    self.connection.execute(f"ROLLBACK TO part{depth}")
                raise
            finally:
                self._depth = depth

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let several queries see one state of the file."""
        self._look()
        if self.connection.in_transaction:
            yield
            return
        with explained(self.path):
            self.connection.execute("BEGIN")
            try:
                yield
            finally:
                rollback(self.connection)

    @property
    def writing(self) -> bool:
        """True inside a transaction."""
        return self._depth > 0

    def hold(self, names: Iterable[str]) -> None:
        """Leave users as they are: a transaction has locked the whole file."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query as they come."""
        if self._depth:
            yield from self.connection.execute(sql, values)
            return
        self._look()
        if self.state.is_copy:
            yield from self._steady(sql, values)
            return
        with explained(self.path):
            for row in self.connection.execute(sql, values):  # noqa: UP028 - `yield from` would close the cursor late
                yield row

    stream = rows

    def row(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Return the first row of a query, or None."""
        if self._depth:  # The transaction around it explains errors.
            inside: tuple[Any, ...] | None = self.connection.execute(sql, values).fetchone()
            return inside
        self._look()
        if self.state.is_copy:
            return next(iter(self._steady(sql, values)), None)
        with explained(self.path):
            found: tuple[Any, ...] | None = self.connection.execute(sql, values).fetchone()
            return found

    def do(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Change rows, inside a transaction; returns how many."""
        return self.connection.execute(sql, values).rowcount

    def do_many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """Change rows once for each of `values`, inside a transaction."""
        self.connection.executemany(sql, values)

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """Return the random salt of this store, which keys the hashes of names, and the ledger's where that differs."""
        self._look()
        # A store that was opened anew may be another one.
        if self._salt is None or self._salt[0] is not self.connection:
            found = [self.row(self.sql.meta, (key,)) for key in ("salt", "salt_of_ledger")]
            self._salt = (self.connection, tuple(row[0] for row in found if row))
        return self._salt[1]

    def take_secrets(self, secrets: Sequence[bytes]) -> None:
        """Key the hashes of names by these secrets, inside a transaction."""
        self.do_many(self.sql.set_meta, zip(("salt", "salt_of_ledger"), secrets, strict=False))
        self._salt = None

    def add_user(self, user_id: str) -> int:
        """Add a user; returns the user's number."""
        found = self.row(self.sql.add_user, (user_id,))
        return int(found[0]) if found else 0

    def make_keys(self, numbers: Iterable[int]) -> None:
        """Leave texts as they are: those of a file are not sealed."""

    def number_on(self) -> None:
        """Leave it to SQLite, which goes on after the highest number."""

    def journal(self, work: str) -> int:
        """Note what a forget has still to do; returns the note's number."""
        found = self.row(self.sql.add_unfinished, (work,))
        return int(found[0]) if found else 0

    def with_hashes(self, hashes: Iterable[str]) -> dict[int, str]:
        """Return number -> hash of the users by the hashes of their ids."""
        wanted, secrets = set(hashes), self.secrets
        users = list(self.rows(self.sql.numbers)) if wanted else []
        named = [(number, fingerprint(one, "user", user)) for number, user in users for one in secrets]
        return {number: name for number, name in named if name in wanted}

    def _steady(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Read until the file was the same before and after: SQLite does not notice its writers."""
        for _ in range(_TRIES):
            error: ProfileError | None = None
            try:
                with explained(self.path):
                    found = self.connection.execute(sql, values).fetchall()
            except ProfileError as failed:  # A page that was half written looks damaged.
                error = failed
            if file_state(self.path) == self.state:
                if error:
                    raise error
                return found
            if self.connection.in_transaction:
                break
            self._look()
        raise ProfileError(f"{self.path} was written while it was read, and cannot be locked here; try again")


def raw_file(path: Path) -> io.FileIO:
    """Open a store's file for its bytes, until the last `Database` of it is closed.

    Closing it earlier would drop every lock that SQLite holds on the file in this process (fcntl), so that another
    process which closes the store takes itself for the last, and deletes the log in use.
    """
    found = path.stat()
    key = found.st_dev, found.st_ino
    if key not in _FILES:
        _FILES[key] = io.FileIO(path, "r+" if is_writable(path) else "r")
    _FILES[key].seek(0)
    return _FILES[key]
