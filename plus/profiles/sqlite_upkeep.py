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
from typing import Any, cast, get_args

from plus.errors import DiskError
from plus.profiles import sqlite_file
from plus.profiles.database import Database, raw_file
from plus.profiles.identity import likeness
from plus.profiles.pages import clean
from plus.profiles.schema import VERSION, decode_content
from plus.profiles.search import Wanted
from plus.types import Event, EventKind

CHECKPOINT_WAIT = 60.0  # seconds for readers that still use the old log
_ASK = """
import fcntl, sys
try:
    fcntl.lockf(open(sys.argv[1], "r+b"), fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit(0)
sys.exit(1)
"""

KINDS = frozenset(get_args(EventKind))
# What a doctor counts beneath the versions -> what it says of them.
COUNTERS = (
    (
        "SELECT count(*) FROM users u WHERE last_event <> (SELECT coalesce(max(number), 0) FROM events e "
        "WHERE e.user = u.number AND NOT held_out) OR read_upto > last_event OR read_upto < 0",
        "users whose count of events is wrong; their summaries may be written anew needlessly, or not at all",
    ),
    (
        "SELECT count(*) FROM users WHERE typeof(paused) <> 'integer' OR paused NOT IN (0, 1) "
        "OR typeof(changed) NOT IN ('real', 'integer') OR typeof(user_id) <> 'text'",
        "users with values of no kind",
    ),
    (
        "SELECT count(*) FROM events WHERE held_out NOT IN (0, 1) OR typeof(time) NOT IN ('real', 'null') "
        "OR typeof(session_id) <> 'text' OR typeof(source) <> 'text' OR typeof(event_id) <> 'text'",
        "events with values of no kind",
    ),
    ("SELECT count(*) FROM rules WHERE kind NOT IN ('lock', 'forbid', 'removed', 'paused')", "rules of no kind"),
    (
        "SELECT count(*) FROM tombstones WHERE length(hash) <> 64 OR hash GLOB '*[^0-9a-f]*' "
        "OR kind NOT IN ('user', 'spelling', 'conversation', 'event', 'sentence')",
        "marks of the forgotten that are damaged; put back a copy, since those users might come back",
    ),
)  # fmt: skip


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
        faults += self._events() + self._counters()
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

    def _events(self) -> list[str]:
        """Compare the content of every event with its hash."""
        wrong, first = 0, ""
        query = "SELECT u.user_id, e.kind, e.content, e.likeness FROM events e JOIN users u ON u.number = e.user"
        for row in self._as_bytes(query):
            try:
                user_id, kind, content, wanted = (
                    value.decode() if isinstance(value, bytes) else value for value in row
                )
                event = Event("", cast(EventKind, kind), decode_content(content))
                is_right = kind in KINDS and likeness(user_id, event) == wanted
            except ValueError:
                is_right, user_id = False, repr(row[0])
            wrong, first = wrong + (not is_right), first or ("" if is_right else user_id)
        return (
            [f"{wrong:,} events that were changed by something else than plus (first: user {first!r})"] if wrong else []
        )

    def _counters(self) -> list[str]:
        """Compare the counters of every user with the rows that they count, and look at values that are of no kind."""
        faults = []
        for query, what in COUNTERS:
            with sqlite_file.explained(self.path):
                (wrong,) = self.file.connection.execute(query).fetchone()
            if wrong:
                faults.append(f"{wrong:,} {what}")
        return faults

    def versions(self) -> Iterator[Sequence[Any]]:
        """Yield every version with its text as bytes: what is no UTF-8 is a fault, and not the end of the look."""
        return self._as_bytes(self.file.sql.all_versions)

    def _as_bytes(self, query: str) -> Iterator[Sequence[Any]]:
        self.file.connection.text_factory = bytes
        try:
            rows = self.file.connection.execute(query).fetchmany
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
