"""Rows from wherever they lie: JSONL, CSV or Parquet, a folder of such, or a Hub or local `datasets` id.

Everything streams: a file larger than memory is read a line or a batch at a time. A line that is
no row is counted in `Dropped` and the rest is still used; a file that cannot be read at all is a
SourceError.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from plus.errors import SourceError
from plus.sources.rows import from_cell, split_name
from plus.types import Dropped

MAX_LINE = 64 * 2**20  # bytes: a longer line is no row, and would fill the memory.
FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".jsonl.gz")
_NO_UTF8 = re.compile("[\udc80-\udcff]")  # how surrogateescape shows a byte that is no UTF-8
OnBytes = Callable[[int, int], None]  # (read so far, in all)


class Record(NamedTuple):
    """A raw row, where it stands ("choices.jsonl line 7") and the split that its file's name states."""

    where: str
    row: dict[str, Any]
    split: str = ""


def records(
    source: str | Path, dropped: Dropped, on_bytes: OnBytes = lambda done, total: None, config: str | None = None
) -> Iterator[Record]:
    """The rows of a file, a folder or a Hub id ("owner/name", with `config` or as "owner/name:config").

    Raises SourceError when there is no such thing or it cannot be read.
    """
    path = Path(source)
    if path.is_file():
        yield from _file(path, dropped, on_bytes)
    elif (path / "state.json").exists() or (path / "dataset_dict.json").exists():
        yield from _saved(path)
    elif path.is_dir():
        yield from _folder(path, dropped, on_bytes)
    elif path.suffix in FORMATS or str(source).count("/") != 1 or str(source).startswith((".", "/", "~")):
        raise SourceError(
            f"there is no file or folder {source}; give a {', '.join(FORMATS[:5])} file, a folder of them, or a Hub id such as owner/name"
        )
    else:
        yield from hub(str(source), config)


def hub(name: str, config: str | None = None) -> Iterator[Record]:
    """The rows of a data set on the Hub, streamed, all of its splits. Raises SourceError."""
    datasets = _needs("datasets", name)
    name, _, in_name = name.partition(":")
    try:
        loaded = datasets.load_dataset(name, config or in_name or None, streaming=True)
        for split, rows in loaded.items():
            for number, row in enumerate(rows, start=1):
                yield Record(f"{name} {split} row {number}", row, split if len(loaded) > 1 else "")
    except (OSError, ValueError, RuntimeError) as error:
        raise SourceError(
            f"{name} cannot be read from the Hub ({_first_line(error)}); check the id, HF_HUB_OFFLINE and your login, or download it and give its folder"
        ) from error


def _saved(folder: Path) -> Iterator[Record]:
    """A folder that `datasets` wrote with save_to_disk."""
    try:
        loaded = _needs("datasets", folder).load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise SourceError(f"{folder} is a damaged data set ({_first_line(error)}); save it again") from error
    for split, rows in (loaded if isinstance(loaded, dict) else {"": loaded}).items():
        for number, row in enumerate(rows, start=1):
            yield Record(f"{folder.name} {split} row {number}".replace("  ", " "), row, split)


def _folder(folder: Path, dropped: Dropped, on_bytes: OnBytes) -> Iterator[Record]:
    paths = sorted(path for path in folder.rglob("*") if path.name.endswith(FORMATS) and path.is_file())
    if not paths:
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        raise SourceError(f"{folder} holds no data file (found: {found}); it needs one of {', '.join(FORMATS)}")
    total, before = sum(path.stat().st_size for path in paths), 0
    for path in paths:
        # A split is several files' business: a lone test.jsonl is simply the data.
        split = re.split(r"[-_. ]", path.name)[0] if len(paths) > 1 else ""
        for record in _file(path, dropped, partial(_further, on_bytes, before, total)):
            yield record._replace(split=split if split_name(split) else "")
        before += path.stat().st_size


def _further(on_bytes: OnBytes, before: int, total: int, done: int, of_file: int) -> None:
    on_bytes(before + done, total)


def _file(path: Path, dropped: Dropped, on_bytes: OnBytes) -> Iterator[Record]:
    rows = _parquet if path.suffix == ".parquet" else _csv if path.suffix == ".csv" else _json
    name = path.name
    for where, row in rows(path, dropped, on_bytes):
        yield Record(f"{name} {where}", row)


def _json(path: Path, dropped: Dropped, on_bytes: OnBytes) -> Iterator[tuple[str, dict]]:
    total, name = path.stat().st_size, path.name
    with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else raw as file:
        try:
            if path.suffix == ".json" and file.read(64).lstrip()[:1] == b"[":
                yield from _json_array(path)
                return
            file.seek(0)
            for number, line in lines(file):
                if number % 1000 == 1:
                    on_bytes(raw.tell(), total)
                if (row := json_row(line, f"{name} line {number}", dropped)) is not None:
                    yield f"line {number}", row
        except (gzip.BadGzipFile, EOFError) as error:
            raise SourceError(f"{path} is cut short or no gzip file ({_first_line(error)}); copy it again") from error
    on_bytes(total, total)


def json_row(line: bytes, where: str, dropped: Dropped) -> dict[str, Any] | None:
    """The object of one line, or None: of a blank one silently, of any other with a count."""
    if not line.strip():
        return None
    if len(line) >= MAX_LINE:
        dropped.add(f"lines of {MAX_LINE // 2**20} MB or more", where)
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


def _json_array(path: Path) -> Iterator[tuple[str, dict]]:
    if path.stat().st_size > MAX_LINE:
        raise SourceError(
            f"{path} is one JSON list of more than {MAX_LINE // 2**20} MB; write one object a line, as .jsonl"
        )
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"{path} is no JSON list ({_first_line(error)}); write one object a line, as .jsonl"
        ) from error
    yield from ((f"item {number}", row) for number, row in enumerate(rows, start=1) if isinstance(row, dict))


def lines(file: BinaryIO | gzip.GzipFile) -> Iterator[tuple[int, bytes]]:
    """(number, line); of an overlong line only the beginning, so that it is dropped and not kept in memory."""
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        rest = line
        while len(rest) == MAX_LINE and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE)
        yield number, line


def _csv(path: Path, dropped: Dropped, on_bytes: OnBytes) -> Iterator[tuple[str, dict]]:
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
            if None in row:
                dropped.add("lines with more cells than the header", f"{path.name} {where}")
            elif any(_NO_UTF8.search(text) for text in row.values() if text and not text.isascii()):
                dropped.add("lines that are not UTF-8", f"{path.name} {where}")
            else:
                yield where, {name: from_cell(text) for name, text in row.items() if text is not None}


def _parquet(path: Path, dropped: Dropped, on_bytes: OnBytes) -> Iterator[tuple[str, dict]]:
    parquet = _needs("pyarrow.parquet", path)
    arrow_error = _needs("pyarrow", path).ArrowException
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
            f"{path} is no whole Parquet file, it broke at row {number + 1} ({_first_line(error)}); copy or write it again"
        ) from error


def _batch_rows(batch: Any) -> Iterable[dict | None]:
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        return (_batch_row(batch.slice(number, 1)) for number in range(batch.num_rows))


def _batch_row(one: Any) -> dict | None:
    try:
        return one.to_pylist()[0]
    except UnicodeDecodeError:
        return None


def _needs(module: str, source: str | Path) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise SourceError(
            f"{source} needs the package {module.partition('.')[0]}, which is not installed; pip install 'plus-preferences[train]', or give JSONL"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
