"""SQLite file of a profile store: which file it is, safe opening, migrations, errors that name the remedy."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from plus.errors import DiskError, ProfileError
from plus.profiles.schema import APPLICATION_ID, MIGRATIONS, VERSION, register

WAIT = 120.0  # seconds that a writer waits for other writers; a batch takes well under one
_MAGIC = b"SQLite format 3\x00"
# What SQLite says where a row or a table is not as plus wrote it, under a name that says no more than "error".
_DAMAGE = ("Could not decode to UTF-8", "no such column", "no such table", "malformed database schema", "no such index")
_TICK = 1.0  # seconds in which two writes may leave the same time on a file


class FileState(NamedTuple):
    """State of a store's file: which file it is, whether it has a log, and, without a log, its size and last changes.

    The sizes and times are 0 where SQLite itself sees other writers: in a file that can be written or has a log.
    """

    device: int
    inode: int
    log: bool = False
    size: int = 0
    modified: int = 0
    changed: int = 0

    @property
    def is_copy(self) -> bool:
        """True where SQLite reads the file as one that no program writes."""
        return self.size > 0

    @property
    def is_recent(self) -> bool:
        """True where the last change is so new that another one might not show."""
        return self.is_copy and time.time() - max(self.modified, self.changed) / 1e9 < _TICK


def file_state(path: Path) -> FileState:
    """Look at a store's file. Raises FileNotFoundError."""
    found = path.stat()
    if is_writable(path):
        return FileState(found.st_dev, found.st_ino)
    if log_of(path)[1]:
        return FileState(found.st_dev, found.st_ino, True)
    return FileState(found.st_dev, found.st_ino, False, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def log_of(path: Path) -> tuple[int, int]:
    """Return inode and size of the store's log, 0 where there is none."""
    try:
        found = path.with_name(f"{path.name}-wal").stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_size


def is_writable(path: Path) -> bool:
    """Tell whether this process may write the file, and a log beside it."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def connect(path: Path, create: bool = True) -> tuple[sqlite3.Connection, bool]:
    """Open the store at `path` and bring it to the newest schema; returns (connection, is it writable).

    A new file is readable by its owner only; a file that cannot be written is opened for reading. Raises ProfileError
    when there is none and `create` is false, and when the file is another program's, of a newer plus, or damaged.
    """
    if not create and (not path.exists() or (path.is_file() and not path.stat().st_size)):
        raise ProfileError(
            f"there is no profile store at {path}; give --store or set PLUS_STORE, "
            "or start one with plus import or plus summarize --update"
        )
    with explained(path):
        if path.is_dir():
            raise ProfileError(f"{path} is a folder; a profile store is a file")
        # Made here and not by SQLite, which would let everybody read it.
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        writable = is_writable(path)
        connection = _open(path, writable)
        try:
            _check(connection, path)
            if writable:
                _prepare(connection)
        except BaseException as error:
            connection.close()
            if getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB":
                _refuse_other_kind(path)
            raise
    return connection, writable


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the file into a ProfileError that names the remedy."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "")
        if str(error).startswith(_DAMAGE):
            name = "SQLITE_CORRUPT"
        line = _remedy(name, path, f"{path} ({' '.join(str(error).split())[:200]})")
        if line is None:
            raise
        raise DiskError(line, str(error)) from error
    except UnicodeDecodeError as error:  # Of a name in the file's own list of tables.
        raise DiskError(str(_remedy("SQLITE_CORRUPT", path, str(path))), "a name is no UTF-8") from error
    except PermissionError as error:
        raise ProfileError(f"no permission for {error.filename or path}; give another --store") from error


def _remedy(name: str, path: Path, place: str) -> str | None:
    """One line for SQLite's error `name` at `place`; None for one that is a fault of ours."""
    rest = "what was being written is not in it, what was written before is"
    if name.startswith("SQLITE_FULL"):
        return f"the disk is full: {place}; {rest}; make room and try again"
    if name.startswith("SQLITE_IOERR"):
        return f"the disk would not take or give the data: {place}; {rest}; look at its space and health"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"this store cannot be written: {place}; copy it where you may write, or give another --store"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")):
        return f"another process has been writing to {path} for {WAIT:.0f} s; {rest}; try again when it has ended"
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f"this store is damaged: {place}; put a copy back, or save what can be read with: sqlite3 FILE .recover"
    return None


def _open(path: Path, writable: bool) -> sqlite3.Connection:
    # SQLite cannot lock a file on a read-only disk that has no log: it is read as a copy, and Database watches it.
    options = "" if writable else "?mode=ro&immutable=1" if file_state(path).is_copy else "?mode=ro"
    return sqlite3.connect(f"{path.resolve().as_uri()}{options}", uri=True, timeout=WAIT, isolation_level=None)


def _refuse_other_kind(path: Path) -> None:
    """Refuse a file that SQLite cannot read for what it is. Opened only then: see raw_file."""
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
    connection.execute("PRAGMA wal_autocheckpoint = 1")  # The file alone is nearly complete, should somebody copy it.
    connection.execute("PRAGMA synchronous = FULL")  # What is acknowledged survives a power cut.
    if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    register(connection)
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
