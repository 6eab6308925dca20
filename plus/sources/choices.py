"""A JSONL file of choices, as people have it: one row a choice, TRL's columns plus `user_id`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

from plus.errors import SourceError
from plus.sources.population import Dropped
from plus.types import Event, EventKind, Preference, Reaction, UserHistory


def read_histories(source: Path | TextIO) -> tuple[dict[str, UserHistory], Dropped]:
    """user_id -> history, in order of time where rows have one and of the file where not.

    A row that is no choice or reaction is counted and named, and the rest is still used. Raises
    SourceError when nothing is left or the file is missing.
    """
    if isinstance(source, Path) and not source.is_file():
        raise SourceError(f"there is no file {source}; give a JSONL file with user_id, prompt, chosen, rejected")
    name = source.name if isinstance(source, Path) else "stdin"
    lines = source.read_text(encoding="utf-8").splitlines() if isinstance(source, Path) else source.read().splitlines()
    dropped = Dropped()
    events: dict[str, list[Event]] = {}
    for number, line in enumerate(lines, start=1):
        where = f"{name} line {number}"
        row = _row(line)
        if row is None:
            dropped.add("lines that are no JSON object", where)
        elif missing := [column for column in ("user_id", "prompt") if not isinstance(row.get(column), str)]:
            dropped.add(f"rows without a text in {missing[0]!r}", where)
        elif (content := _content(row)) is None:
            dropped.add("rows with neither {chosen, rejected} nor {completion, label}", where)
        elif isinstance(content, Preference) and content.chosen == content.rejected:
            dropped.add("rows whose chosen answer equals the rejected one", where)
        else:
            kind: EventKind = "choice" if isinstance(content, Preference) else "reaction"
            time = row.get("timestamp") if isinstance(row.get("timestamp"), int | float) else None
            events.setdefault(row["user_id"], []).append(Event(str(row.get("id", where)), kind, content, time, name))
    if not events:
        raise SourceError(
            f"{name} holds no usable row of {len(lines)} ({'; '.join(dropped.lines()) or 'it is empty'}); each needs user_id, prompt, chosen, rejected"
        )
    return {user: UserHistory(user, tuple(_oldest_first(past))) for user, past in events.items()}, dropped


def _row(line: str) -> dict | None:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _content(row: dict) -> Preference | Reaction | None:
    match row:
        case {"chosen": str(chosen), "rejected": str(rejected)}:
            return Preference(row["prompt"], chosen, rejected)
        case {"completion": str(completion), "label": bool(label)}:
            return Reaction(row["prompt"], completion, label)
    return None


def _oldest_first(events: list[Event]) -> list[Event]:
    if any(event.time is None for event in events):
        return events
    return sorted(events, key=lambda event: event.time or 0.0)
