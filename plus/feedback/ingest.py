"""Ingest: the job of `plus ingest`, from log files to events in a store.

The format of every file is known before the first event is read, so an unknown one leaves the store unchanged.
Files whose reactions may lie apart from their messages are read twice: once for the reactions, once for the events.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from plus.errors import SourceError
from plus.feedback import streams
from plus.feedback.formats import FORMATS, nearest, recognise
from plus.feedback.log_row import UNKNOWN, LastReactions, ParseState
from plus.feedback.wildfeedback import join_utterances
from plus.jsonl import read_json
from plus.profiles.store import Added, Store
from plus.progress import SILENT, Screen
from plus.sources.check import Tally
from plus.sources.fields import UnusableError
from plus.types import Dropped, Entry, Reaction

ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".jsonl.gz", ".json.gz")
_DETACHED = ("langfuse", "open_webui")  # formats whose reactions may lie apart from their messages
_SAMPLE = 100  # objects of a file that are read to recognise its format


class DropLog(Dropped):
    """Drop counter that also reports each drop: `tell(reason, location)`."""

    def __init__(self, tell: Callable[[str, str], None] = lambda reason, where: None) -> None:
        super().__init__()
        self.tell = tell

    def add(self, reason: str, where: str = "", count: int = 1) -> None:
        """Count a drop and report it."""
        super().add(reason, where, count)
        self.tell(reason, where)


@dataclass
class LogCounts:
    """Counts of what logs hold, by format, user and kind; `likes` counts the reactions that are up.

    `repaired` counts values that are used, but not as the log has them.
    """

    formats: dict[str, int] = field(default_factory=dict)
    events: int = 0
    users: Tally = field(default_factory=Tally)
    kinds: Counter[str] = field(default_factory=Counter)
    dropped: Dropped = field(default_factory=DropLog)
    repaired: Dropped = field(default_factory=Dropped)
    likes: int = 0

    def count(self, entry: Entry) -> None:
        """Count one event."""
        self.events += 1
        self.users.add(entry.user_id)
        self.kinds[entry.event.kind] += 1
        self.likes += isinstance(entry.event.content, Reaction) and entry.event.content.label


@dataclass(frozen=True)
class IngestReport:
    """Result of an ingest: what the logs held, and how many of their events were new to the store."""

    logs: LogCounts
    added: Added

    @property
    def one_sided(self) -> str:
        """The direction of all reactions, "up" or "down", which teaches no preference; "" when they differ."""
        reactions = self.logs.kinds["reaction"]
        if not reactions or self.logs.likes not in (0, reactions):
            return ""
        return "up" if self.logs.likes else "down"

    def to_json(self) -> dict[str, Any]:
        """Convert the report to the JSON object that `plus ingest --json` prints."""
        logs, added = self.logs, self.added
        return {
            "format": ", ".join(logs.formats), "users": len(logs.users), "events": logs.events,
            "kinds": dict(logs.kinds), "dropped": dict(logs.dropped), "mended": dict(logs.repaired),
            "added": added.added, "known": added.known, "refused": added.refused,
        }  # fmt: skip


def ingest(
    files: Iterable[str | Path],
    store: Store | Callable[[], Store],
    user_id: str = "",
    dropped_to: str | Path | None = None,
    screen: Screen = SILENT,
) -> IngestReport:
    """Add the events of logs to a store; events that it has already change nothing.

    files: logs, or folders of them.
    store: the store, or a function that opens it; it is called once all formats are known, and what it opens is closed.
    user_id: the user of rows that state none.
    dropped_to: a new JSONL file that gets the location and reason of each thing left out.
    Raises SourceError for a log of no known format, or when no log holds an event.
    """
    if dropped_to is not None and Path(dropped_to).exists():
        raise SourceError(f"{dropped_to} is there already and is not overwritten; give another --dropped_to")
    # 1. Formats, before anything is written.
    known = find_logs(map(Path, files))
    with ExitStack() as stack:
        counts = LogCounts()
        if dropped_to is not None:
            file = stack.enter_context(Path(dropped_to).open("w", encoding="utf-8"))
            counts.dropped = DropLog(
                lambda reason, where: print(json.dumps({"where": where, "reason": reason}), file=file)
            )
        # 2. Events, streamed into the store.
        opened = store if isinstance(store, Store) else stack.enter_context(store())
        with screen.status("reading"):
            added = opened.add_events(entries(known, counts, user_id))
    return IngestReport(counts, added)


def find_logs(sources: Iterable[Path]) -> dict[Path, str]:
    """Map each log to its format. In folders, files of no known format are skipped; a named one raises SourceError."""
    known: dict[Path, str] = {}
    for source in sources:
        if source.is_dir():
            # Exports hold other files too, which are no error.
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


def entries(files: Mapping[Path, str], counts: LogCounts, user_id: str = "") -> Iterator[Entry]:
    """Yield the events of files in order and count them; `user_id` is the user of rows that state none.

    Raises SourceError at the end when there was no event.
    """
    # First the reactions that lie apart from their messages.
    last = LastReactions(counts.dropped)
    for path, name in files.items():
        if name.startswith(_DETACHED):
            _collect_reactions(path, last, counts)
    # Then the events; a row is likely of the format of the row before it.
    for path in files:
        state = ParseState("", user_id or _account(path), counts.dropped, counts.repaired)
        name = ""
        for state.where, row in _rows(path, counts.dropped):
            name = recognise(row, name)
            for entry in _read(name, row, state, last, counts):
                counts.count(entry)
                yield entry._replace(origin=str(path))
    for where in last.unused():
        counts.dropped.add(UNKNOWN, where)
    if not counts.events:
        raise SourceError(_nothing_usable(files, counts))


def _rows(path: Path, dropped: Dropped) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (location, row) of a file, with utterances joined to conversations."""
    return join_utterances(streams.rows(path, dropped))


def _format(path: Path) -> tuple[str, str]:
    """Recognise a file by its first objects; returns (format, "") or ("", the reason why it is of none)."""
    first, dropped = None, Dropped()
    for _, row in islice(_rows(path, dropped), _SAMPLE):
        if name := recognise(row):
            return name, ""
        first = first or row
    if first is None:
        why = f"first: {dropped.lines()[0]}" if dropped else "it is empty"
        return "", f"{path} holds no JSON object ({why}); give a file of {', '.join(FORMATS)}"
    columns = ", ".join(str(column)[:40] for column in list(first)[:12])
    return "", f"{path} is of no known format (columns: {columns}); nearest: {nearest(first)}"


def _read(name: str, row: dict[str, Any], state: ParseState, last: LastReactions, counts: LogCounts) -> list[Entry]:
    """Read all events of one row; [] with a drop counted when the row cannot be used."""
    if not name:
        state.drop("rows of no known format")
        return []
    counts.formats[name] = counts.formats.get(name, 0) + 1
    try:
        found = list(FORMATS[name].read(row, state, last))
    except UnusableError as error:
        state.drop(str(error))
        return []
    # A row of detached reactions may rightly hold no event; any other has to.
    if not found and FORMATS[name].detached is None:
        state.drop("rows in which no user does anything")
    return found


def _collect_reactions(path: Path, last: LastReactions, counts: LogCounts) -> None:
    """Store the reactions of a file that lie apart from their messages."""
    state, name = ParseState(), ""  # Broken rows are counted when the file is read for its events.
    for state.where, row in _rows(path, Dropped()):
        name = recognise(row, name)
        reader = FORMATS[name].detached if name else None
        if reader is None:
            continue
        try:
            reaction = reader(row, state)
        except UnusableError:
            reaction = None
        if reaction is not None:
            last.add(reaction, state.where)
        # The file of scores is not read for events, so what is left out is counted here.
        elif name == "langfuse_scores":
            counts.dropped.add("scores that are an evaluator's, or neither yes nor no", state.where)


def _account(path: Path) -> str:
    """Read the account of a ChatGPT export from the user.json beside it; "" when there is none."""
    try:
        account = read_json(path.parent / "user.json")
    except (SourceError, RecursionError):
        return ""
    name = account.get("id") if isinstance(account, dict) else None
    return name if isinstance(name, str) else ""


def _nothing_usable(files: Mapping[Path, str], counts: LogCounts) -> str:
    """Write the message for logs without an event: their names and the most common reason."""
    names = ", ".join(path.name for path in files)
    dropped = counts.dropped
    reason, count = dropped.most_common(1)[0] if dropped else ("nothing that a user said", 0)
    first = f" (first: {dropped.first[reason]})" if dropped.first.get(reason) else ""
    return f"{names}: nothing can be used; {count:,} x {reason}{first}"
