"""Rows of one file: JSON lines, a JSON list, CSV or Parquet, plain or gzipped.

`rows_of` reads files of one's own: a line that is no row is counted and the rest is used. `read_csv`
and `read_jsonl` read the files of named data sets: a missing column or a damaged line raises.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from plus.errors import SourceError
from plus.jsonl import numbered
from plus.types import Dropped

_REST = 2**20  # bytes of an overlong line that are read at a time, to be thrown away
MAX_LINE = 64 * 2**20  # bytes: a longer line is no row, and would fill the memory.
SHOWN = 12  # columns that a message names
FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".jsonl.gz")
_NO_UTF8 = re.compile("[\udc80-\udcff]")  # surrogateescape's sign for a byte that is no UTF-8
OnBytes = Callable[[int, int], None]  # (read so far, in all)
Rows = Iterator[tuple[str, dict[str, Any]]]  # (place such as "line 7", row)


def rows_of(path: Path, dropped: Dropped, on_bytes: OnBytes) -> Rows:
    """Yield (place, row) for each usable row of a file. Raises SourceError when it cannot be read at all."""
    read = _parquet if path.suffix == ".parquet" else _csv if path.suffix == ".csv" else _json
    return read(path, dropped, on_bytes)


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ("file.csv row 7", row) for each row of a file, plain or packed as .gz.

    Raises SourceError when the file or a column is missing, or the packed file is damaged.
    """
    try:
        with _open(_found(path)) as file:
            reader = csv.DictReader(file)
            # Every column is needed, so a missing one is named at once.
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            if missing:
                found = reader.fieldnames or ["nothing"]
                more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
                raise SourceError(
                    f"{path} has no column {missing[0]!r}; found {', '.join(found[:SHOWN])}{more}; "
                    "add it or give another --data_dir"
                )
            for number, row in enumerate(reader, start=2):
                yield f"{path.name} row {number}", row
    except (gzip.BadGzipFile, EOFError) as error:
        raise SourceError(f"{path} is cut short or no gzip file ({first_line(error)}); copy it again") from error


def read_jsonl(path: Path, columns: Sequence[str]) -> Rows:
    """Yield ("file.jsonl line 7", row) for each line. Raises SourceError when the file or a column is missing."""
    for number, row in numbered(_found(path)):
        where = f"{path.name} line {number}"
        missing = [column for column in columns if column not in row]
        if missing:
            raise SourceError(
                f"{where} has no column {missing[0]!r}; found {', '.join(row)}; add it or give another --data_dir"
            )
        yield where, row


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8", newline=""))
    return path.open(encoding="utf-8", newline="")


def _found(path: Path) -> Path:
    if not path.parent.is_dir():
        raise SourceError(f"there is no folder {path.parent}; give --data_dir a folder that holds {path.name}")
    if not path.is_file():
        found = ", ".join(sorted(entry.name for entry in path.parent.iterdir())[:8]) or "nothing"
        raise SourceError(
            f"{path.parent} has no file {path.name} (found: {found}); give --data_dir a folder that holds it"
        )
    return path


def json_row(line: bytes, where: str, dropped: Dropped, longest: int | None = None) -> dict[str, Any] | None:
    """Parse the object of one line; None, counted unless blank, for a line without one."""
    if not line.strip():
        return None
    longest = longest or MAX_LINE
    # `lines` cut it here, so it is no whole line.
    if len(line) >= longest:
        dropped.add(f"lines of {longest // 2**20} MB or more", where)
        return None
    try:
        row = json.loads(line.decode("utf-8-sig" if line.startswith(b"\xef\xbb\xbf") else "utf-8"))
    except UnicodeDecodeError:
        dropped.add("lines that are not UTF-8", where)
    except (ValueError, RecursionError):
        dropped.add("lines that are no JSON object", where)
    else:
        if isinstance(row, dict):
            return row
        dropped.add("lines that are no JSON object", where)
    return None


def lines(file: BinaryIO | gzip.GzipFile, longest: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield (number, line); an overlong line is cut, so that it is dropped and not kept in memory."""
    number, longest = 0, longest or MAX_LINE
    while line := file.readline(longest):
        number += 1
        # The rest of an overlong line is read and thrown away.
        if len(line) >= longest and not line.endswith(b"\n"):
            while (rest := file.readline(_REST)) and not rest.endswith(b"\n"):
                pass
        yield number, line


def _json(path: Path, dropped: Dropped, on_bytes: OnBytes) -> Rows:
    total, name = path.stat().st_size, path.name
    with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else raw as file:
        try:
            # A .json file may be one list; anything else is JSON lines.
            if path.suffix == ".json" and file.read(64).lstrip()[:1] == b"[":
                yield from _json_list(path)
                return
            file.seek(0)
            for number, line in lines(file):
                if number % 1000 == 1:
                    on_bytes(raw.tell(), total)
                if (row := json_row(line, f"{name} line {number}", dropped)) is not None:
                    yield f"line {number}", row
        except (gzip.BadGzipFile, EOFError) as error:
            raise SourceError(f"{path} is cut short or no gzip file ({first_line(error)}); copy it again") from error
    on_bytes(total, total)


def _json_list(path: Path) -> Rows:
    if path.stat().st_size > MAX_LINE:
        raise SourceError(
            f"{path} is one JSON list of more than {MAX_LINE // 2**20} MB; write one object a line, as .jsonl"
        )
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"{path} is no JSON list ({first_line(error)}); write one object a line, as .jsonl"
        ) from error
    yield from ((f"item {number}", row) for number, row in enumerate(rows, start=1) if isinstance(row, dict))


def _csv(path: Path, dropped: Dropped, on_bytes: OnBytes) -> Rows:
    csv.field_size_limit(MAX_LINE)
    total = path.stat().st_size
    # Bytes that are no UTF-8 become surrogates, so that one bad cell costs one row and not the file.
    with path.open("rb") as raw, TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file)
        while True:
            try:
                row = next(reader, None)
            except csv.Error:
                dropped.add("lines that are no CSV", f"{path.name} line {reader.line_num}")
                continue
            if row is None:
                break
            where = f"line {reader.line_num}"
            if reader.line_num % 1000 < 2:
                on_bytes(raw.tell(), total)
            # DictReader puts surplus cells under None.
            if None in row:
                dropped.add("lines with more cells than the header", f"{path.name} {where}")
            elif any(_NO_UTF8.search(text) for text in row.values() if text and not text.isascii()):
                dropped.add("lines that are not UTF-8", f"{path.name} {where}")
            else:
                yield where, {name: _from_cell(text) for name, text in row.items() if text is not None}


def _from_cell(text: str) -> Any:
    """A cell of a CSV file: messages are written there as JSON, everything else is text."""
    if text[:2] in ("[{", "[[") or text[:1] == "{":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _parquet(path: Path, dropped: Dropped, on_bytes: OnBytes) -> Rows:
    parquet = needed("pyarrow.parquet", path)
    arrow_error = needed("pyarrow", path).ArrowException
    number, total = 0, path.stat().st_size
    try:
        with parquet.ParquetFile(path) as file:
            rows = max(1, file.metadata.num_rows)
            for batch in file.iter_batches(batch_size=256, use_threads=False):
                on_bytes(total * number // rows, total)
                for row in _batch_rows(batch):
                    number += 1
                    if row is None:
                        dropped.add("lines that are not UTF-8", f"{path.name} row {number}")
                    else:
                        yield f"row {number}", row
    except (arrow_error, OSError) as error:
        raise SourceError(
            f"{path} is no whole Parquet file, it broke at row {number + 1} ({first_line(error)}); "
            "copy or write it again"
        ) from error


def _batch_rows(batch: Any) -> Iterable[dict[str, Any] | None]:
    """The rows of a batch; one by one where a text is no UTF-8, with None for that row."""
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError:
        return (_batch_row(batch.slice(number, 1)) for number in range(batch.num_rows))


def _batch_row(one: Any) -> dict[str, Any] | None:
    try:
        row: dict[str, Any] = one.to_pylist()[0]
    except UnicodeDecodeError:
        return None
    return row


def needed(module: str, source: str | Path) -> Any:
    """Import an optional package that `source` needs. Raises SourceError naming the extra."""
    try:
        return import_module(module)
    except ImportError as error:
        raise SourceError(
            f"{source} needs the package {module.partition('.')[0]}, which is not installed; "
            "pip install 'plus-preferences[train]', or give JSONL"
        ) from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, at most 200 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
