"""Past choices of many users, from a file or a stream: in memory, or of a large file one user after the other."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, TextIO

from plus.errors import SourceError
from plus.sources.contexts import by_user
from plus.sources.fields import UnusableError
from plus.sources.files import Record, records
from plus.sources.rows import Row, content_id, read_row, user_id_of
from plus.sources.tables import json_row, lines
from plus.types import Dropped, Entry, Event, UserHistory


def read_histories(source: Path | TextIO) -> tuple[dict[str, UserHistory], Dropped]:
    """Read user_id -> history, in order of time where rows have one and of the file where not.

    A row that is no choice, reaction or conversation is counted and named, and the rest is still
    used. Raises SourceError when nothing is left or the file is missing.
    """
    dropped = Dropped()
    events = by_user((entry.user_id, entry.event) for entry in entries(source, dropped))
    return {user: _oldest_first(user, past) for user, past in events.items()}, dropped


def entries(source: Path | TextIO, dropped: Dropped) -> Iterator[Entry]:
    """Read past choices with their sessions, in the order of the file, for a store; what is left out is counted.

    Raises SourceError at the end when there was none, or when the file is missing.
    """
    name, found = source.name if isinstance(source, Path) else "stdin", False
    # A file may have any format, standard input is JSON lines.
    records_ = records(source, dropped) if isinstance(source, Path) else _stdin_records(source, dropped)
    for row in _rows(records_, dropped):
        found = True
        yield Entry(row.user_id, row.event, row.session_id, None, str(source) if isinstance(source, Path) else name)
    if not found:
        raise _nothing(name, dropped)


class UserLines(Mapping[str, UserHistory]):
    """Histories of a JSON lines file, each read when it is asked for: user_id -> what `read_histories` gives.

    Memory holds the users' ids and 16 bytes a line. The file must not change meanwhile. `dropped` has the lines that
    cannot be used, of users whose history has been read.
    """

    def __init__(self, path: Path) -> None:
        """Index the file by user. Raises SourceError where no line can be used, or the file is missing."""
        self.path, self.dropped = path, Dropped()
        self._places: dict[str, array[int]] = {}  # user -> offset, line number, offset, line number, ...
        start = 0
        with _opened(path) as file:
            for number, line in lines(file):
                where = self._where(number)
                if (row := json_row(line, where, self.dropped)) is not None:
                    try:
                        user = user_id_of(row)
                    except UnusableError as error:
                        self.dropped.add(str(error), where)
                    else:
                        self._places.setdefault(user, array("Q")).extend((start, number))
                start = file.tell()
        # A file without any usable line is refused before anything is written: the first users are read twice.
        counted, self.dropped = self.dropped, Dropped()
        usable = any(history.events for history in self.values())
        counted, self.dropped = self.dropped, counted
        if not usable:
            for reason, count in counted.items():
                self.dropped.add(reason, counted.first[reason], count)
            raise _nothing(path.name, self.dropped)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __getitem__(self, user_id: str) -> UserHistory:
        """Read one user's history, which is empty where none of the lines can be used."""
        places = self._places[user_id]
        with _opened(self.path) as file:
            return _oldest_first(user_id, [row.event for row in _rows(self._records(file, places), self.dropped)])

    def _records(self, file: BinaryIO, places: array[int]) -> Iterator[Record]:
        for start, number in zip(places[::2], places[1::2], strict=True):
            file.seek(start)
            where = self._where(number)
            if (row := json_row(file.readline(), where, self.dropped)) is not None:
                yield Record(where, row)

    def _where(self, number: int) -> str:
        return f"{self.path.name} line {number}"


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error


def _rows(rows: Iterator[Record], dropped: Dropped) -> Iterator[Row]:
    """The usable rows: file and line are the source of an event, never its id."""
    for where, record, _ in rows:
        try:
            row = read_row(record, source=where)
        except UnusableError as error:
            dropped.add(str(error), where)
        else:
            yield row


def _numbered(user_id: str, events: Sequence[Event]) -> list[Event]:
    """Name each event that has no id by its content; equal ones are counted."""
    equal: Counter[str] = Counter()
    named = []
    for event in events:
        name = event.id
        if not name:
            first = content_id(user_id, event)
            equal[first] += 1
            name = first if equal[first] == 1 else content_id(user_id, event, equal[first])
        named.append(replace(event, id=name))
    return named


def _stdin_records(source: TextIO, dropped: Dropped) -> Iterator[Record]:
    for number, line in enumerate(source, start=1):
        where = f"stdin line {number}"
        if (row := json_row(line.encode("utf-8", "surrogateescape"), where, dropped)) is not None:
            yield Record(where, row)


def _oldest_first(user_id: str, events: Sequence[Event]) -> UserHistory:
    events = _numbered(user_id, events)
    if all(event.time is not None for event in events):
        events = sorted(events, key=lambda event: event.time or 0.0)
    return UserHistory(user_id, tuple(events))


def _nothing(name: str, dropped: Dropped) -> SourceError:
    return SourceError(
        f"{name} holds no usable row ({'; '.join(dropped.lines()) or 'it is empty'}); "
        "each needs user_id, prompt, chosen, rejected"
    )
