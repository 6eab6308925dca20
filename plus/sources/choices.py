"""A file of past choices for `plus summarize`: the generic rows, one history a user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from plus.errors import SourceError
from plus.sources.contexts import by_user
from plus.sources.files import Record, json_row, records
from plus.sources.messages import UnusableError
from plus.sources.rows import read_row
from plus.types import Dropped, Event, UserHistory


def read_histories(source: Path | TextIO) -> tuple[dict[str, UserHistory], Dropped]:
    """user_id -> history, in order of time where rows have one and of the file where not.

    A row that is no choice, reaction or conversation is counted and named, and the rest is still
    used. Raises SourceError when nothing is left or the file is missing.
    """
    name = source.name if isinstance(source, Path) else "stdin"
    dropped = Dropped()
    events = by_user(
        _events(records(source, dropped) if isinstance(source, Path) else _lines(source, dropped), name, dropped)
    )
    if not events:
        raise SourceError(
            f"{name} holds no usable row ({'; '.join(dropped.lines()) or 'it is empty'}); each needs user_id, prompt, chosen, rejected"
        )
    return {user: UserHistory(user, tuple(_oldest_first(past))) for user, past in events.items()}, dropped


def _events(rows: Iterator[Record], name: str, dropped: Dropped) -> Iterator[tuple[str, Event]]:
    for where, record, _ in rows:
        try:
            row = read_row(record, source=name)
        except UnusableError as error:
            dropped.add(str(error), where)
        else:
            yield row.user_id, replace(row.event, id=row.event.id or where)


def _lines(source: TextIO, dropped: Dropped) -> Iterator[Record]:
    for number, line in enumerate(source, start=1):
        where = f"stdin line {number}"
        if (row := json_row(line.encode("utf-8", "surrogateescape"), where, dropped)) is not None:
            yield Record(where, row)


def _oldest_first(events: list[Event]) -> list[Event]:
    if any(event.time is None for event in events):
        return events
    return sorted(events, key=lambda event: event.time or 0.0)
