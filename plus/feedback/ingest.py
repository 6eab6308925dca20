"""Ingest: the job of `plus ingest`, from log files to events in a store.

The format of every file is known before the first event is read, so an unknown one leaves the store unchanged.
Files whose reactions may lie apart from their messages are read twice: once for the reactions, once for the events.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plus.errors import SourceError
from plus.feedback import langfuse
from plus.feedback.formats import FORMATS, recognise
from plus.feedback.log_files import LogFile, Reading, account, find_logs, learn_sample, log_rows
from plus.feedback.log_row import ParseState
from plus.feedback.reactions import THUMB_NAMES, UNKNOWN, LastReactions, score_name
from plus.feedback.talks import Talks
from plus.profiles.adding import Added
from plus.profiles.store import Known, Store
from plus.progress import SILENT, Screen
from plus.sources.check import LookAlikes, Tally
from plus.sources.columns import ColumnMap, Renaming
from plus.sources.fields import UnusableError
from plus.types import Dropped, Entry, Reaction

# Formats whose reactions may lie apart from their messages.
_DETACHED = ("langfuse", "open_webui", "chatgpt_feedback", "chatgpt_comparison")
# Formats whose columns are anybody's, so that one which is not read is worth a line.
_FREE = ("rows", "flat", "openai_chat", "openai_preference", "sharegpt", "wildfeedback", "wildchat", "langfuse")
_COLUMNS = 200  # columns that are counted by name, and shapes of rows that are told apart
_WATCHED = 20  # rows of a shape of which it is watched what is read


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

    `rows` are those of all files, messages of one talk that stand in rows of their own counted as one; each gives
    events (`used`) or is `left_out`, and its reason counted. `repaired` counts values that are used, but not as the
    log has them. `unread` counts rows by the columns that hold something and are not read.
    """

    formats: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    used: int = 0
    left_out: int = 0
    events: int = 0
    users: Tally = field(default_factory=Tally)
    kinds: Counter[str] = field(default_factory=Counter)
    dropped: Dropped = field(default_factory=DropLog)
    repaired: Dropped = field(default_factory=Dropped)
    unread: Counter[str] = field(default_factory=Counter)
    likes: int = 0
    alike: LookAlikes = field(default_factory=LookAlikes)
    _seen: dict[tuple[str, ...], _Seen] = field(default_factory=dict)  # columns of a row -> those that were read
    _user: str = ""

    def count(self, entry: Entry, where: str) -> None:
        """Count one event."""
        self.events += 1
        # Most events are of the user of the one before.
        if entry.user_id != self._user:
            self._user = entry.user_id
            if not self.users.add(entry.user_id) and (other := self.alike.find(entry.user_id, self.users)):
                line = f"{where}: {entry.user_id!r} beside {other!r}"
                self.repaired.add("user ids that look alike, kept apart", line)
        self.kinds[entry.event.kind] += 1
        self.likes += isinstance(entry.event.content, Reaction) and entry.event.content.label

    def watch(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row that remembers which columns are read, or the row where enough of its shape were watched."""
        seen = self._seen.get(tuple(row))
        return row if seen is not None and seen.times >= _WATCHED else _Row(row)

    def count_unread(self, row: dict[str, Any]) -> None:
        """Count the columns of a watched row that hold something and were not read in any row of its shape."""
        shape = tuple(row)
        if isinstance(row, _Row) and (shape in self._seen or len(self._seen) < _COLUMNS):
            found = self._seen.setdefault(shape, _Seen())
            found.columns |= row.seen
            found.times += 1
        seen = row.seen if isinstance(row, _Row) else self._seen[shape].columns
        if len(seen) < len(row) or not seen.issuperset(row):
            for column, value in row.items():
                if column not in seen and value not in (None, "", [], {}):
                    name = str(column)[:60]
                    if name in self.unread or len(self.unread) < _COLUMNS:
                        self.unread[name] += 1


@dataclass
class _Seen:
    """Columns that rows of one shape were read by, and how many rows were watched."""

    columns: set[str] = field(default_factory=set)
    times: int = 0


class _Row(dict[str, Any]):
    """Row that remembers which of its columns were read."""

    def __init__(self, row: dict[str, Any]) -> None:
        super().__init__(row)
        self.seen: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.seen.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.seen.add(key)
        return super().__getitem__(key)


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
            "format": ", ".join(logs.formats), "rows": logs.rows, "rows_used": logs.used,
            "rows_left_out": logs.left_out, "users": len(logs.users), "events": logs.events,
            "kinds": dict(logs.kinds), "dropped": dict(logs.dropped),
            "mended": dict(logs.repaired), "unread": dict(logs.unread),
            "added": added.added, "changed": added.changed, "known": added.known, "refused": added.refused,
        }  # fmt: skip


def ingest(
    files: Iterable[str | Path],
    store: Store | Callable[[], Store],
    user_id: str = "",
    dropped_to: str | Path | None = None,
    screen: Screen = SILENT,
    user_id_column: str = "",
    columns: ColumnMap = None,
    thumbs: Sequence[str] = (),
) -> IngestReport:
    """Add the events of logs to a store; events that it has already change nothing, and what changed is updated.

    files: logs, or folders or .zip archives of them.
    store: the store, or a function that opens it; it is called once all formats are known, and what it opens is closed.
    user_id: the user of rows that state none.
    user_id_column: the column that says whose a row is, with dots for what lies inside (`metadata.customer`).
    dropped_to: a new JSONL file that gets the location and reason of each thing left out.
    columns: names of the log's columns under ours, as `plus data` takes them (prompt=query,completion=answer).
    thumbs: more names of scores that are a user's thumb.
    Raises SourceError for a log of no known format, when no log holds an event, and when all of a log that names
    several users would go to `user_id`.
    """
    if dropped_to is not None and Path(dropped_to).exists():
        raise SourceError(f"{dropped_to} is there already and is not overwritten; give another --dropped_to")
    named = frozenset(map(score_name, thumbs))
    reading = Reading(user_id, user_id_column, Renaming(columns), THUMB_NAMES | named)
    # 1. Formats, before anything is written.
    counts, left_out = LogCounts(), list[tuple[str, str]]()
    counts.dropped = DropLog(lambda reason, where: left_out.append((reason, where)))
    logs = find_logs(map(Path, files), counts.dropped, reading)
    with ExitStack() as stack:
        counts.dropped.tell = lambda reason, where: None
        if dropped_to is not None:
            file = stack.enter_context(Path(dropped_to).open("w", encoding="utf-8"))

            def tell(reason: str, where: str) -> None:
                print(json.dumps({"where": where, "reason": reason}), file=file)

            for reason, where in left_out:
                tell(reason, where)
            counts.dropped.tell = tell
        # 2. Events, streamed into the store.
        opened = store if isinstance(store, Store) else stack.enter_context(store())
        with screen.status("reading"):
            added = opened.add_events(entries(logs, counts, reading, opened.find_exchange))
    return IngestReport(counts, added)


def entries(
    logs: Sequence[LogFile],
    counts: LogCounts,
    reading: Reading,
    known: Callable[[str, str], Sequence[Known]] = lambda user_id, name: (),
) -> Iterator[Entry]:
    """Yield the events of logs in order and count them; `known` finds exchanges that the store has already.

    Raises SourceError at the end when there was no event, and at the beginning as `ingest` does.
    """
    last, talks = LastReactions(counts.dropped), Talks(known)
    # 1. What a sample tells, then the reactions that lie apart from their messages.
    states = []
    lone = dict[str, Any]()
    for log in logs:
        user_id = reading.user_id or account(log)
        state = ParseState("", user_id, counts.dropped, counts.repaired, reading.user_column, reading.thumbs)
        state.votes = learn_sample(log, state, lone, reading)
        state.talks, state.lone, state.kinds = talks, {}, {}
        states.append(state)
    for log, state in zip(logs, states, strict=True):
        if log.format.startswith(_DETACHED):
            _collect_reactions(log, last, state, counts, reading)
    last.leave_scales()
    # 2. The events; a row is likely of the format of the row before it.
    lone, kinds = {}, dict[str, str]()
    for log, state in zip(logs, states, strict=True):
        state.lone, state.kinds = lone, kinds
        name, origin = "", f"{log.path} {log.member}"
        for state.where, row in log_rows(log, reading, counts.dropped, counts.repaired):
            name = recognise(row, name)
            counts.rows += 1
            for entry in _read(name, row, state, last, counts, log):
                counts.count(entry, state.where)
                yield entry._replace(origin=origin)
    last.drop_unused()
    counts.used += last.used_alone()
    counts.left_out += last.left_out
    reading.columns.refuse_unseen(", ".join(log.name for log in logs))
    if not counts.events:
        raise SourceError(_nothing_usable(logs, counts))


def _read(
    name: str, row: dict[str, Any], state: ParseState, last: LastReactions, counts: LogCounts, log: LogFile
) -> list[Entry]:
    """Read all events of one row; [] with a drop counted when the row cannot be used."""
    if not name:
        state.drop("rows of no known format")
        counts.left_out += 1
        return []
    counts.formats[name] = counts.formats.get(name, 0) + 1
    kind = FORMATS[name]
    # Reactions alone were collected before, unless the file began with another format.
    if kind.read is None:
        if not log.format.startswith(_DETACHED):
            state.drop(UNKNOWN)
            counts.left_out += 1
        return []
    row = counts.watch(row) if name in _FREE else row
    try:
        found = list(kind.read(row, state, last))
    except UnusableError as error:
        state.drop(str(error))
        counts.left_out += 1
        return []
    if name in _FREE:
        counts.count_unread(row)
    # A row of detached reactions may rightly hold no event; any other has to.
    if not found and kind.detached is None:
        state.drop("rows in which no user does anything")
    counts.used += bool(found)
    counts.left_out += not found
    return found


def _collect_reactions(
    log: LogFile, last: LastReactions, state: ParseState, counts: LogCounts, reading: Reading
) -> None:
    """Store the reactions of a file that lie apart from their messages, and what its rows tell of traces."""
    aside, name = ParseState(thumbs=state.thumbs), ""  # Broken rows are counted when the file is read for its events.
    for where, row in log_rows(log, reading, Dropped()):
        name = recognise(row, name)
        if name == "langfuse":
            langfuse.learn(row, last.traces, reading.user_column)
        kind = FORMATS[name] if name else None
        if kind is None or kind.detached is None:
            continue
        # A row of reactions alone is read here only, so what is left out of it is counted here.
        alone = kind.read is None
        reader = state if alone else aside
        reader.where = where
        scale = f"score {score_name(row.get('name') or row.get('rating'))}" if alone else ""
        if alone:
            last.votes.see(scale, row.get("value"))
        try:
            reaction = kind.detached(row, reader)
        except UnusableError as error:
            reaction = None
            if alone:
                reader.drop(str(error))
        if reaction is not None:
            last.add(reaction, where, scale)
        else:
            counts.left_out += alone


def _nothing_usable(logs: Sequence[LogFile], counts: LogCounts) -> str:
    """Write the message for logs without an event: their names and the most common reason."""
    names = ", ".join(log.name for log in logs[:5]) + (f" and {len(logs) - 5} more" if len(logs) > 5 else "")
    dropped = counts.dropped
    reason, count = dropped.most_common(1)[0] if dropped else ("nothing that a user said", 0)
    first = f" (first: {dropped.first[reason]})" if dropped.first.get(reason) else ""
    return f"{names}: nothing can be used; {count:,} x {reason}{first}"
