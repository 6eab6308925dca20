"""Logs read for a test: into a list of entries, or into a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from plus.feedback.ingest import LogCounts, entries
from plus.feedback.log_files import Reading, find_logs
from plus.profiles.store import Store
from plus.sources.columns import Renaming
from plus.types import Entry


def read(*paths: Path, user_id: str = "me", **reading: Any) -> tuple[LogCounts, list[Entry]]:
    """Read logs; returns (what was counted, the entries)."""
    counts, how = LogCounts(), Reading(user_id, **reading)
    logs = find_logs(paths, counts.dropped, how)
    return counts, list(entries(logs, counts, how))


def read_rows(
    folder: Path, *rows: Any, user_id: str = "me", columns: str = "", **reading: Any
) -> tuple[LogCounts, list[Entry]]:
    """Read rows that are written to a new JSONL file of a folder first."""
    path = folder / f"log{len(list(folder.glob('log*')))}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read(path, user_id=user_id, columns=Renaming(columns or None), **reading)


def store_of(path: Path, *steps: Path) -> list[tuple[Any, ...]]:
    """Read logs into a new store, one after another; returns its events, sorted."""
    with Store(path) as store:
        for step in steps:
            counts, how = LogCounts(), Reading("me")
            store.add_events(entries(find_logs([step], counts.dropped, how), counts, how, store.find_exchange))
        found = store.rows(
            "SELECT user_id, event_id, session_id, kind, time, content FROM events e JOIN users u ON u.number = e.user"
        )
        return sorted(found, key=str)


def contents(found: list[Entry], kind: str) -> list[Any]:
    """List what the entries of one kind hold."""
    return [entry.event.content for entry in found if entry.event.kind == kind]


def said(found: list[Entry]) -> list[tuple[str, ...]]:
    """List the texts of each exchange."""
    return [tuple(turn.content for turn in turns) for turns in contents(found, "message")]
