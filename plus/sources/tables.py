"""Files of named data sets: CSV and JSON lines with required columns, plain or gzipped."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from plus.errors import SourceError


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """("file.csv row 7", row) for each row. Raises SourceError when the file or a column is missing."""
    with _open(path) as file:
        reader = csv.DictReader(file)
        missing = [column for column in columns if column not in (reader.fieldnames or [])]
        if missing:
            raise SourceError(
                f"{path} has no column {missing[0]!r}; found {', '.join(reader.fieldnames or ['nothing'])}; add it or give another --data_dir"
            )
        for number, row in enumerate(reader, start=2):
            yield f"{path.name} row {number}", row


def read_jsonl(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict]]:
    """("file.jsonl line 7", row) for each line. Raises SourceError when the file or a column is missing."""
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            where = f"{path.name} line {number}"
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise SourceError(
                    f"{where} is not JSON ({error.msg} at column {error.colno}); mend the line or give another --data_dir"
                ) from error
            missing = [column for column in columns if column not in row]
            if missing:
                raise SourceError(
                    f"{where} has no column {missing[0]!r}; found {', '.join(row)}; add it or give another --data_dir"
                )
            yield where, row


def _open(path: Path):
    if not path.parent.is_dir():
        raise SourceError(f"there is no folder {path.parent}; give --data_dir a folder that holds {path.name}")
    if not path.is_file():
        found = ", ".join(sorted(entry.name for entry in path.parent.iterdir())[:8]) or "nothing"
        raise SourceError(
            f"{path.parent} has no file {path.name} (found: {found}); give --data_dir a folder that holds it"
        )
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")
