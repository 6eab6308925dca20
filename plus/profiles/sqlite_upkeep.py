"""Upkeep of a store's file: overwrite what deleted rows left, empty the log, search the bytes, check the file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from plus.errors import DiskError
from plus.profiles import sqlite_file
from plus.profiles.database import Database, raw_file
from plus.profiles.pages import clean
from plus.profiles.schema import VERSION
from plus.profiles.search import Wanted

CHECKPOINT_WAIT = 60.0  # seconds for readers that still use the old log
_ASK = """
import fcntl, sys
try:
    fcntl.lockf(open(sys.argv[1], "r+b"), fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit(0)
sys.exit(1)
"""


class SqliteUpkeep:
    """Upkeep of one file, see `upkeep.Upkeep`."""

    unreadable = "versions that are no UTF-8"

    def __init__(self, file: Database) -> None:
        self.file, self.path = file, file.path
        self.log = self.path.with_name(f"{self.path.name}-wal")

    def clean(self, keys: Sequence[int]) -> str:
        """Overwrite what deleted rows left in the file and empty its log."""
        reader = "a reader holds the old log open, so the log still holds it"
        try:
            with sqlite_file.explained(self.path):
                done = clean(self.path, CHECKPOINT_WAIT) and _truncate(self.file.connection)
                return "" if done else reader
        except (DiskError, OSError) as error:
            return f"the file could not be overwritten ({getattr(error, 'cause', error)})"

    def kept(self, kind: str) -> str:
        """Return "": the file is overwritten, and a backup is its owner's."""
        return ""

    def hits(self, wanted: Wanted) -> dict[Path, set[str]]:
        """Search the file and its log."""
        return {
            self.path: wanted.in_file(raw_file(self.path)),
            self.log: wanted.in_path(self.log, whole_ids=False),
        }

    def programs(self) -> list[str]:
        """Name the other programs of this machine that have the file open: "name (process N)".

        They read it anew, but what they read before may be in their memory. Empty on systems without /proc; programs of
        other machines, and those whose files this process may not see, are not found.
        """
        target, found = self.path.stat(), []
        for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda folder: int(folder.name)):
            if process.name == str(os.getpid()):
                continue
            with suppress(OSError):  # It ended meanwhile, or belongs to somebody else.
                if any(_is_same(file, target) for file in (process / "fd").iterdir()):
                    found.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
        return found

    def sizes(self) -> dict[str, int]:
        """Measure the file and its log."""
        return {"bytes": self.path.stat().st_size, "log_bytes": self.log.stat().st_size if self.log.exists() else 0}

    def check(self) -> tuple[list[str], list[str]]:
        """Look at the pages, at rows without a user, and test that deleting overwrites and locks lock."""
        with sqlite_file.explained(self.path):
            lines = [line for (line,) in self.file.connection.execute("PRAGMA integrity_check(20)")]
            broken = self.file.connection.execute("PRAGMA foreign_key_check").fetchall()
            (secure,) = self.file.connection.execute("PRAGMA secure_delete").fetchone()
        faults = [f"damaged: {line}" for line in lines if line != "ok"]
        if broken:
            faults.append(f"{len(broken)} rows belong to no user")
        if self.file.writable and not secure:
            faults.append("this SQLite cannot overwrite what is deleted (secure_delete is off)")
        notes = [f"SQLite {sqlite3.sqlite_version}, schema {VERSION}"]
        if self.file.writable and not locks_work(self.path.parent):
            notes.append(
                "this file system does not lock files (a network mount?): two processes that write would damage the "
                "store; keep it on a local disk, or in PostgreSQL"
            )
        return faults, notes

    def versions(self) -> Iterator[Sequence[Any]]:
        """Yield every version with its text as bytes: what is no UTF-8 is a fault, and not the end of the look."""
        self.file.connection.text_factory = bytes
        try:
            rows = self.file.connection.execute(self.file.sql.all_versions).fetchmany
            while batch := rows(1000):
                yield from batch
        finally:
            self.file.connection.text_factory = str


def locks_work(folder: Path) -> bool:
    """Look whether a file that this process has locked is locked for another one."""
    try:
        import fcntl
    except ImportError:  # Windows always locks.
        return True
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".plus-lock-") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        asked = subprocess.run([sys.executable, "-S", "-c", _ASK, file.name], capture_output=True)
        return asked.returncode == 0


def _truncate(connection: sqlite3.Connection) -> bool:
    deadline = time.monotonic() + CHECKPOINT_WAIT
    connection.execute("PRAGMA busy_timeout = 50")  # SQLite gives up early, so that our deadline counts.
    try:
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(1000 * sqlite_file.WAIT)}")


def _is_same(file: Path, target: os.stat_result) -> bool:
    with suppress(OSError):
        return os.path.samestat(file.stat(), target)
    return False
