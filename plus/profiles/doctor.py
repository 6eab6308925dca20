"""Check of a store: faults of its file and its summaries, and notes for its owner."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from plus.profiles import database
from plus.profiles.forget import finish_interrupted
from plus.profiles.rows import profiles
from plus.profiles.schema import VERSION
from plus.profiles.store import Store
from plus.profiles.text_filters import flags


@dataclass
class Findings:
    """Findings about a store: faults to mend, notes to look at, and counts of what it holds."""

    path: str
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain values."""
        return asdict(self)


def examine(store: Store, finish: bool = True) -> Findings:
    """Check the file and every current summary; with `finish`, complete an interrupted forget."""
    # 1. Counts and sizes.
    found = Findings(str(store.path))
    found.counts = {
        name: store.connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        for name in ("users", "events", "versions", "tombstones")
    }
    log = store.path.with_name(f"{store.path.name}-wal")
    found.counts |= {"bytes": store.path.stat().st_size, "log_bytes": log.stat().st_size if log.exists() else 0}
    # 2. The file, and what a crash left in it.
    _file(store, found)
    if finish and store.writable:
        if left := finish_interrupted(store):
            found.notes.append(f"{left} interrupted forgets were completed")
    elif store.row("SELECT 1 FROM unfinished"):
        found.faults.append("a forget was interrupted; plus doctor completes it")
    # 3. The users and their summaries.
    _news(store, found)
    _summaries(store, found)
    return found


def _file(store: Store, found: Findings) -> None:
    """Faults of the file itself."""
    with database.explained(store.path):
        lines = [line for (line,) in store.connection.execute("PRAGMA integrity_check(20)")]
        broken = store.connection.execute("PRAGMA foreign_key_check").fetchall()
        (secure,) = store.connection.execute("PRAGMA secure_delete").fetchone()
    found.faults += [f"damaged: {line}" for line in lines if line != "ok"]
    if broken:
        found.faults.append(f"{len(broken)} rows belong to no user")
    if store.writable and not secure:
        found.faults.append("this SQLite cannot overwrite what is deleted (secure_delete is off)")
    found.notes.append(f"SQLite {sqlite3.sqlite_version}, schema {VERSION}")


def _news(store: Store, found: Findings) -> None:
    """Users whose summary is out of date or missing."""
    stale = store.row("SELECT count(*) FROM users WHERE last_event > read_upto")
    bare = store.row("SELECT count(*) FROM users WHERE current = 0")
    if stale and stale[0]:
        found.notes.append(
            f"{stale[0]:,} users have events that their summary has not read; plus summarize RUN --update"
        )
    if bare and bare[0]:
        found.notes.append(f"{bare[0]:,} users have no summary")


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
