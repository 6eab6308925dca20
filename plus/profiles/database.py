"""SQLite file of a profile store: safe opening, nested transactions, errors that name the remedy."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from plus.errors import ProfileError
from plus.profiles import identity
from plus.profiles.schema import APPLICATION_ID, MIGRATIONS, VERSION

WAIT = 120.0  # seconds that a writer waits for other writers; a batch takes well under one
_MAGIC = b"SQLite format 3\x00"


class Database:
    """Connection to a store's file. Transactions nest; errors of SQLite become ProfileError."""

    def __init__(self, path: str | Path, create: bool = True) -> None:
        self.path = Path(path)
        self.connection, self.writable = connect(self.path, create)
        self._depth = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the last process to do so leaves one file without a log beside it."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit everything done inside, or nothing; one inside another is a part that can fail alone."""
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
        if self.connection.in_transaction:
            yield
            return
        with explained(self.path):
            self.connection.execute("BEGIN")
            try:
                yield
            finally:
                rollback(self.connection)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query as they come."""
        with explained(self.path):
            for row in self.connection.execute(sql, values):  # noqa: UP028 - `yield from` would close the cursor late
                yield row

    def row(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Return the first row of a query, or None."""
        with explained(self.path):
            found: tuple[Any, ...] | None = self.connection.execute(sql, values).fetchone()
            return found


def connect(path: Path, create: bool = True) -> tuple[sqlite3.Connection, bool]:
    """Open the store at `path` and bring it to the newest schema; returns (connection, is it writable).

    A new file is readable by its owner only; a file that cannot be written is opened for reading. Raises ProfileError
    when there is none and `create` is false, and when the file is another program's, of a newer plus, or damaged.
    """
    if not path.exists() and not create:
        raise ProfileError(
            f"there is no profile store at {path}; give --store or set PLUS_STORE, "
            "or start one with plus import or plus summarize --update"
        )
    with explained(path):
        _refuse_foreign(path)
        # Made here and not by SQLite, which would let everybody read it.
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        connection = _open(path, writable)
        try:
            _check(connection, path)
            if writable:
                _prepare(connection)
        except BaseException:
            connection.close()
            raise
    return connection, writable


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the file into a ProfileError that names the remedy."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "")
        line = _remedy(name, path, f"{path} ({error})")
        if line is None:
            raise
        raise ProfileError(line) from error
    except PermissionError as error:
        raise ProfileError(f"no permission for {error.filename or path}; give another --store") from error


def _remedy(name: str, path: Path, place: str) -> str | None:
    """One line for SQLite's error `name` at `place`; None for one that is a fault of ours."""
    if name.startswith("SQLITE_FULL"):
        return f"the disk is full: {place}; nothing was changed; make room and try again"
    if name.startswith("SQLITE_IOERR"):
        return f"the disk would not take or give the data: {place}; nothing was changed; look at its space and health"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"this store cannot be written: {place}; copy it where you may write, or give another --store"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")):
        return (
            f"another process has been writing to {path} for {WAIT:.0f} s; nothing was changed; "
            "try again when it has ended"
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f"this store is damaged: {place}; put a copy back, or save what can be read with: sqlite3 FILE .recover"
    return None


def _open(path: Path, writable: bool) -> sqlite3.Connection:
    # Without a log beside it a file on a read-only disk is complete, and SQLite may be told so.
    complete = not path.with_name(f"{path.name}-wal").exists()
    options = "" if writable else "?mode=ro&immutable=1" if complete else "?mode=ro"
    return sqlite3.connect(f"{path.resolve().as_uri()}{options}", uri=True, timeout=WAIT, isolation_level=None)


def _refuse_foreign(path: Path) -> None:
    if path.is_dir():
        raise ProfileError(f"{path} is a folder; a profile store is a file")
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            start = file.read(16)
        if start != _MAGIC:
            raise ProfileError(f"{path} is no profile store, it begins with {start[:8]!r}; give another --store")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse another program's file and a newer schema before anything is written to it."""
    connection.execute("BEGIN")  # One state: another process may be making the tables at this moment.
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' LIMIT 4")]
    finally:
        rollback(connection)
    if application != APPLICATION_ID and (tables or application):
        raise ProfileError(
            f"{path} is a SQLite file of another program (tables: {', '.join(tables) or 'none'}); give another --store"
        )
    if application == APPLICATION_ID and version > VERSION:
        raise ProfileError(
            f"{path} was written by a newer plus (schema {version}, this one knows {VERSION}); "
            "update plus, nothing was changed"
        )


def _prepare(connection: sqlite3.Connection) -> None:
    _set_wal(connection)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA synchronous = FULL")  # What is acknowledged survives a power cut.
    if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    identity.register(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()  # Another process may have been faster.
        # Each step takes the file one version further; all of them or none.
        for step in MIGRATIONS[version:]:
            for statement in _statements(step):
                connection.execute(statement)
        if version == 0:
            connection.execute("INSERT INTO meta VALUES ('salt', ?)", (secrets.token_bytes(16),))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        rollback(connection)
        raise


def _set_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; SQLite does not wait here, so we do."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: executescript would end our transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def rollback(connection: sqlite3.Connection) -> None:
    """Undo the open transaction, if SQLite has not already done so (as it does on a full disk)."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
