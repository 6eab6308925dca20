"""Check of a store: faults of its file and its summaries, and notes for its owner."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from plus.profiles import sqlite_file, versions
from plus.profiles.forget import finish_interrupted
from plus.profiles.rows import profiles
from plus.profiles.schema import VERSION
from plus.profiles.store import Store
from plus.profiles.text_filters import flags

_NO_UTF8, _NO_JSON = "versions that are no UTF-8", "versions whose sentences, evidence or score are no JSON"
_ASK = """
import fcntl, sys
try:
    fcntl.lockf(open(sys.argv[1], "r+b"), fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    sys.exit(0)
sys.exit(1)
"""


@dataclass
class Findings:
    """Findings about a store: faults to mend, notes to look at, counts of what it holds, and receipts of forgets
    that were cut short and are completed now.
    """

    path: str
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    receipts: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain values."""
        return asdict(self)


def examine(store: Store, finish: bool = True) -> Findings:
    """Check the file and every current summary; with `finish`, complete an interrupted forget."""
    # 1. Counts and sizes.
    found = Findings(str(store.path))
    sql = store.sql
    counted = (sql.count_users, sql.count_events, sql.count_versions, sql.forgotten)
    names = ("users", "events", "versions", "tombstones")
    found.counts = {name: store.number(query) for name, query in zip(names, counted, strict=True)}
    log = store.path.with_name(f"{store.path.name}-wal")
    found.counts |= {"bytes": store.path.stat().st_size, "log_bytes": log.stat().st_size if log.exists() else 0}
    # 2. The file, and what a crash left in it.
    _file(store, found)
    if finish and store.writable:
        if left := finish_interrupted(store):
            found.notes.append(f"{len(left)} interrupted forgets were completed")
            found.receipts = [receipt.as_dict() for receipt in left]
    elif store.row(sql.unfinished):
        found.faults.append("a forget was interrupted; plus doctor completes it")
    elif store.row(sql.meta, ("rewrite",)):
        found.faults.append("the file is still to be cleaned after a forget; plus doctor does it")
    # 3. The users and their summaries.
    _forgotten(store, found)
    _news(store, found)
    if _versions(store, found):
        _summaries(store, found)
    if store.writable and not locks_work(store.path.parent):
        found.notes.append(
            "this file system does not lock files (a network mount?): two processes that write would damage the store; "
            "keep it on a local disk"
        )
    return found


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


def _forgotten(store: Store, found: Findings) -> None:
    """Users who are there though they were forgotten, as after a part of an old file was copied in."""
    if not store.forgotten():
        return
    back = sum(store.is_forgotten("user", user_id) for user_id in store.users())
    if back:
        found.faults.append(f"{back:,} users are there though they were forgotten; plus forget takes them out again")


def _versions(store: Store, found: Findings) -> bool:
    """Pointers, JSON, spans and the chain of hashes of every version, by user; false where some cannot be read."""
    faults: Counter[str] = Counter()
    first: dict[str, str] = {}
    store.file.connection.text_factory = bytes  # Text that is no UTF-8 is a fault, and not the end of the look.
    try:
        rows = store.file.connection.execute(store.sql.all_versions).fetchmany
        before, numbers, chain = None, set[int](), ""
        while batch := rows(1000):
            for user_id, current, newest, *row in batch:
                if user_id != before:
                    before, numbers, chain = user_id, set(), ""
                numbers.add(row[1] or 0)
                last = not row[1] or row[1] >= newest
                reasons, chain = _of_version(row, chain)
                if last and ((current and current not in numbers) or newest < max(numbers)):
                    reasons.append("a pointer to a version that is not there")
                for reason in reasons:
                    faults[reason] += 1
                    first.setdefault(reason, user_id.decode("utf-8", "replace"))
    finally:
        store.file.connection.text_factory = str
    found.faults += [f"{count:,} x {reason} (first: user {first[reason]!r})" for reason, count in faults.items()]
    return not faults.keys() & {_NO_UTF8, _NO_JSON}


def _of_version(row: Sequence[Any], before: str) -> tuple[list[str], str]:
    """The faults of one version, and its chain."""
    if row[1] is None:
        return [], ""
    try:
        chain, *values = (value.decode() if isinstance(value, bytes) else value for value in row)
    except UnicodeDecodeError:
        return [_NO_UTF8], ""
    try:
        spans, _, _ = json.loads(values[2]), json.loads(values[7]), json.loads(values[8] or "{}")
        ends = [(int(start), int(end), str(name)) for name, start, end, _, _ in spans]
    except (ValueError, TypeError):
        return [_NO_JSON], chain
    reasons = []
    if any(not 0 <= start < end <= len(values[1]) for start, end, _ in ends):
        reasons.append("sentences that end past the text")
    if len({name for *_, name in ends}) != len(ends):
        reasons.append("two sentences with one id")
    if chain and chain != versions.chained(before, values):
        reasons.append("versions that were changed by something else than plus")
    return reasons, chain


def _file(store: Store, found: Findings) -> None:
    """Faults of the file itself."""
    with sqlite_file.explained(store.path):
        lines = [line for (line,) in store.file.connection.execute("PRAGMA integrity_check(20)")]
        broken = store.file.connection.execute("PRAGMA foreign_key_check").fetchall()
        (secure,) = store.file.connection.execute("PRAGMA secure_delete").fetchone()
    found.faults += [f"damaged: {line}" for line in lines if line != "ok"]
    if broken:
        found.faults.append(f"{len(broken)} rows belong to no user")
    if store.writable and not secure:
        found.faults.append("this SQLite cannot overwrite what is deleted (secure_delete is off)")
    found.notes.append(f"SQLite {sqlite3.sqlite_version}, schema {VERSION}")


def _news(store: Store, found: Findings) -> None:
    """Users whose summary is out of date or missing."""
    stale, bare = store.number(store.sql.count_stale), store.number(store.sql.count_bare)
    if stale:
        found.notes.append(f"{stale:,} users have events that their summary has not read; plus summarize RUN --update")
    if bare:
        found.notes.append(f"{bare:,} users have no summary")


def _summaries(store: Store, found: Findings) -> None:
    """Summaries that lost a locked sentence, and flagged ones."""
    flagged: Counter[str] = Counter()
    first: dict[str, str] = {}
    for profile in profiles(store):
        user_id = profile.version.user_id
        words = {profile.version.text[start:end] for _, start, end, _, _ in profile.version.spans}
        if missing := [text for text in profile.rules.lock if text not in words]:
            found.faults.append(
                f"user {user_id!r} has lost {len(missing)} locked sentences; plus profile history {user_id}"
            )
        for flag in flags(profile.version.text):
            flagged[flag] += 1
            first.setdefault(flag, user_id)
    found.notes += [
        f"{count:,} summaries with {flag.replace('_', ' ')} in them (first: {first[flag]!r})"
        for flag, count in flagged.items()
    ]
