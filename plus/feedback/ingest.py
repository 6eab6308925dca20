"""Logs in, events out: every file's format is known before the first event is handed over.

Reading twice is how a reaction that stands apart finds its message, so only formats that have such are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from plus.errors import SourceError
from plus.feedback.conversation import Place
from plus.feedback.formats import FORMATS, nearest, recognise
from plus.feedback.last_reaction import UNKNOWN, LastWins
from plus.feedback.streams import rows as lines_of
from plus.feedback.wildfeedback import conversations
from plus.sources.counter import Tally
from plus.sources.messages import UnusableError
from plus.types import Dropped, Entry, Reaction

ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".jsonl.gz", ".json.gz")
_APART = ("langfuse", "open_webui")  # formats whose reactions may stand apart from their messages
_LOOK = 100  # objects of a file that are looked at to know its format


class Listed(Dropped):
    """Counts what is left out and tells each one with its place."""

    def __init__(self, tell: Callable[[str, str], None] = lambda reason, where: None) -> None:
        super().__init__()
        self.tell = tell

    def add(self, reason: str, where: str = "", count: int = 1) -> None:
        """Count it and tell it."""
        super().add(reason, where, count)
        self.tell(reason, where)


@dataclass
class Read:
    """What was found. `mended` counts what is used, but not as it stood; `ups` the reactions that like."""

    formats: dict[str, int] = field(default_factory=dict)
    events: int = 0
    users: Tally = field(default_factory=Tally)
    kinds: Counter[str] = field(default_factory=Counter)
    dropped: Dropped = field(default_factory=Listed)
    mended: Dropped = field(default_factory=Dropped)
    ups: int = 0

    def count(self, entry: Entry) -> None:
        """Count one event."""
        self.events += 1
        self.users.add(entry.user_id)
        self.kinds[entry.event.kind] += 1
        self.ups += isinstance(entry.event.content, Reaction) and entry.event.content.label


def rows(path: Path, dropped: Dropped) -> Iterator[tuple[str, dict]]:
    """(where, row) of a file; utterances that stand apart are joined to conversations first."""
    return conversations(lines_of(path, dropped))


def files_of(sources: Iterable[Path]) -> dict[Path, str]:
    """Each file with its format; in a folder, files of none are passed over. Raises SourceError."""
    known: dict[Path, str] = {}
    for source in sources:
        if source.is_dir():
            inside = sorted(path for path in source.rglob("*") if path.name.endswith(ENDINGS) and path.is_file())
            found = {path: name for path in inside if (name := _format(path)[0])}
            if not found:
                raise SourceError(f"{source} holds no file of a known format; give one of {', '.join(FORMATS)}")
            known |= found
        elif not source.is_file():
            raise SourceError(f"there is no file or folder {source}")
        else:
            name, complaint = _format(source)
            if not name:
                raise SourceError(complaint)
            known[source] = name
    return known


def _format(path: Path) -> tuple[str, str]:
    """(format, "") by the first objects of a file, or ("", why there is none)."""
    first, dropped = None, Dropped()
    for _, row in islice(rows(path, dropped), _LOOK):
        if name := recognise(row):
            return name, ""
        first = first or row
    if first is None:
        why = f"first: {dropped.lines()[0]}" if dropped else "it is empty"
        return "", f"{path} holds no JSON object ({why}); give a file of {', '.join(FORMATS)}"
    columns = ", ".join(str(column)[:40] for column in list(first)[:12])
    return "", f"{path} is of no known format (columns: {columns}); nearest: {nearest(first)}"


def entries(files: dict[Path, str], read: Read, user_id: str = "") -> Iterator[Entry]:
    """The events of files, in order; `user_id` is whose the rows are that do not say. Raises SourceError when there is none."""
    last = LastWins(read.dropped)
    for path, name in files.items():
        if name.startswith(_APART):
            _gather(path, last, read)
    for path in files:
        place = Place("", user_id or _account(path), read.dropped, read.mended)
        before = ""
        for place.where, row in rows(path, read.dropped):
            before = recognise(row, before)
            for entry in _read(before, row, place, last, read):
                read.count(entry)
                yield entry
    for where in last.unused():
        read.dropped.add(UNKNOWN, where)
    _refuse_nothing(files, read)


def _read(name: str, row: dict, place: Place, last: LastWins, read: Read) -> list[Entry]:
    """The events of one row: all of them, or none and a count."""
    if not name:
        place.drop("rows of no known format")
        return []
    read.formats[name] = read.formats.get(name, 0) + 1
    try:
        found = list(FORMATS[name].read(row, place, last))
    except UnusableError as error:
        place.drop(str(error))
        return []
    if not found and FORMATS[name].given is None:
        place.drop("rows in which no user does anything")
    return found


def _gather(path: Path, last: LastWins, read: Read) -> None:
    """Remember the reactions of a file that stand apart from their messages."""
    place, before = Place(), ""  # What is broken is counted when the file is read for its events.
    for place.where, row in rows(path, Dropped()):
        before = recognise(row, before)
        reader = FORMATS[before].given if before else None
        if reader is None:
            continue
        try:
            given = reader(row, place)
        except UnusableError:
            given = None
        if given is not None:
            last.add(given, place.where)
        elif before == "langfuse_scores":
            read.dropped.add("scores that are an evaluator's, or neither yes nor no", place.where)


def _account(path: Path) -> str:
    """The account that a ChatGPT export belongs to, by the user.json beside it."""
    try:
        account = json.loads((path.parent / "user.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    name = account.get("id") if isinstance(account, dict) else None
    return name if isinstance(name, str) else ""


def _refuse_nothing(files: dict[Path, str], read: Read) -> None:
    if read.events:
        return
    names = ", ".join(path.name for path in files)
    reason, count = read.dropped.most_common(1)[0] if read.dropped else ("nothing that a user said", 0)
    first = f" (first: {read.dropped.first[reason]})" if read.dropped.first.get(reason) else ""
    raise SourceError(f"{names}: nothing can be used; {count:,} x {reason}{first}")
