"""Log files: those of a folder or an archive, their formats, and what is told of those that are not read."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from plus.errors import SourceError
from plus.feedback import streams
from plus.feedback.chats import LABELS
from plus.feedback.formats import FORMATS, known_unread, nearest, recognise, whole
from plus.feedback.log_row import OtherUserError, ParseState
from plus.feedback.reactions import THUMB_NAMES, LastReactions, Votes
from plus.jsonl import read_json
from plus.sources.columns import Renaming
from plus.sources.fields import UnusableError
from plus.types import Dropped

ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".jsonl.gz", ".json.gz")
UNREAD = "files of a folder or an archive that are not read"
_ACCOUNT = "user.json"  # of a ChatGPT export; it is read for its id
_SAMPLE = 100  # objects of a file that are read to recognise its format


class LogFile(NamedTuple):
    """Log: a file, or the `member` of a .zip; `name` is what locations call it, `format` that of its first row."""

    path: Path
    member: str
    name: str
    format: str


@dataclass
class Reading:
    """Settings of a reading: the user of rows that state none, and names of columns and scores.

    user_column: the column that says whose a row is, with dots for what lies inside. columns: names of columns under
    ours (`--map`). thumbs: names of scores that are a user's thumb.
    """

    user_id: str = ""
    user_column: str = ""
    columns: Renaming = field(default_factory=Renaming)
    thumbs: frozenset[str] = THUMB_NAMES


def find_logs(sources: Iterable[Path], dropped: Dropped, reading: Reading) -> list[LogFile]:
    """List the logs, with their formats. A named file of no known format raises SourceError.

    Those in a folder or an archive are counted in `dropped`, each with its reason, unless none is left.
    """
    found: list[LogFile] = []
    for source in sources:
        if source.is_dir():
            inside = [(path, "", str(path.relative_to(source))) for path in sorted(source.rglob("*")) if path.is_file()]
            found += _inside(source, inside, dropped, reading)
        elif not source.is_file():
            raise SourceError(f"there is no file or folder {source}")
        elif source.suffix == ".zip":
            found += _inside(source, [(source, "", source.name)], dropped, reading)
        else:
            name, why_not = _format(LogFile(source, "", source.name, ""), reading)
            if not name:
                raise SourceError(f"{source} {why_not}")
            found.append(LogFile(source, "", source.name, name))
    # Two files of one name are told apart by their folders.
    names = [log.name for log in found]
    return [log._replace(name=str(log.path)) if names.count(log.name) > 1 and not log.member else log for log in found]


def _inside(
    source: Path, files: Iterable[tuple[Path, str, str]], dropped: Dropped, reading: Reading
) -> Iterator[LogFile]:
    """Yield the logs among the files of a folder or an archive, and count the others."""
    found, first = 0, ""
    for path, member, name in _unpacked(files, dropped):
        if name.rpartition("/")[2] == _ACCOUNT:
            continue
        log, why_not = LogFile(path, member, name, ""), "is no JSON, CSV or Parquet"
        if name.endswith(ENDINGS):
            kind, why_not = _format(log, reading)
            if kind:
                found += 1
                yield log._replace(format=kind)
                continue
        why_not = why_not.partition("; give a file of")[0]
        first = first or f"{name} {why_not}"
        dropped.add(UNREAD, f"{name} line 1: it {why_not}")
    if not found:
        why = first or (dropped.lines()[-1] if dropped else "it is empty")
        raise SourceError(f"{source} holds no file of a known format ({why}); give one of {', '.join(FORMATS)}")


def _unpacked(files: Iterable[tuple[Path, str, str]], dropped: Dropped) -> Iterator[tuple[Path, str, str]]:
    """Yield (path, member, name) of each file, and of each one in an archive."""
    for path, member, name in files:
        if path.suffix != ".zip":
            yield path, member, name
            continue
        try:
            with zipfile.ZipFile(path) as archive:
                inside = [one.filename for one in archive.infolist() if not one.is_dir()]
        except (zipfile.BadZipFile, OSError):
            dropped.add(UNREAD, f"{name} line 1: it is cut short or no archive")
            continue
        yield from ((path, one, f"{name}/{one}") for one in inside)


def log_rows(
    log: LogFile, reading: Reading, dropped: Dropped, repaired: Dropped | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (location, row) of a log under our names for its columns, with messages joined to talks.

    A file that cannot be read to its end is counted, and read as far as it goes.
    """
    rows = streams.rows(log.path, dropped, log.member, log.name, repaired)
    if reading.columns.columns:
        rows = ((where, reading.columns.row(row)) for where, row in rows)
    try:
        yield from whole(rows)
    except SourceError as error:
        dropped.add(UNREAD, f"{log.name} line 1: {error}")


def _format(log: LogFile, reading: Reading) -> tuple[str, str]:
    """Recognise a log by its first objects; returns (format, "") or ("", the reason why it is of none)."""
    first, dropped = None, Dropped()
    for _, row in islice(log_rows(log, reading, dropped), _SAMPLE):
        if name := recognise(row):
            return name, ""
        first = first or row
    if first is None:
        why = f"first: {dropped.lines()[0]}" if dropped else "it is empty"
        return "", f"holds no JSON object ({why}); give a file of {', '.join(FORMATS)}"
    if known := known_unread(first):
        return "", f"is not read: {known}"
    columns = ", ".join(str(column)[:40] for column in list(first)[:12])
    near = nearest(first)
    hint = f"nearest: {near}" if near else "say with --map which column is which, as prompt=question,completion=answer"
    return "", f"is of no known format (columns: {columns}); {hint}"


def learn_sample(log: LogFile, state: ParseState, lone: dict[str, Any], reading: Reading) -> Votes:
    """Learn the scales of a log's labels from its first rows; `lone` are the lone users of all logs.

    Raises SourceError where a column that looks like a user's names several, and all would go to one.
    """
    votes = Votes()
    sample = ParseState("", state.user_id, Dropped(), Dropped(), state.user_column, state.thumbs, votes, lone=lone)
    name, last = "", LastReactions(Dropped())
    for sample.where, row in islice(log_rows(log, reading, Dropped()), _SAMPLE):
        for column in LABELS:
            votes.see(column, row.get(column))
        name = recognise(row, name)
        read = FORMATS[name].read if name else None
        if read is None or not state.user_id:
            continue
        try:
            for _ in read(row, sample, last):
                pass
        except OtherUserError as error:
            raise SourceError(f"{log.path}: {error}; all of it would go to {state.user_id!r}") from error
        except UnusableError:
            pass
    return votes


def account(log: LogFile) -> str:
    """Read the account of a ChatGPT export from the user.json beside it; "" when there is none."""
    try:
        if log.member:
            beside = f"{log.member.rpartition('/')[0]}/{_ACCOUNT}".lstrip("/")
            found = next(streams.rows(log.path, Dropped(), beside), ("", {}))[1]
        else:
            found = read_json(log.path.parent / _ACCOUNT)
    except (SourceError, RecursionError, KeyError, OSError, zipfile.BadZipFile):
        return ""
    name = found.get("id") if isinstance(found, Mapping) else None
    return name if isinstance(name, str) else ""
