"""What every source returns: users with their histories and the choices to predict."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from plus.errors import SourceError
from plus.types import Example, Split, UserHistory


class Dropped(Counter[str]):
    """reason -> how many were left out, with the first place each reason was met, and the columns
    of the first row that was no row."""

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[str, str] = {}
        self.columns: tuple[str, ...] = ()

    def add(self, reason: str, where: str = "", count: int = 1) -> None:
        """Count one thing that is left out; `where` names its row."""
        self[reason] += count
        self.first.setdefault(reason, where)

    def lines(self) -> list[str]:
        """One line a reason, as people read it."""
        return [
            f"{count} x {reason}" + (f" (first: {self.first[reason]})" if self.first.get(reason) else "")
            for reason, count in self.items()
        ]


@dataclass(frozen=True)
class Population:
    """Users of one data set.

    examples: one row per (context, target). Every example of a user shares that user's split, unless
        the split is by topics or by later choices, or the data states another.
    histories: the text a summary is written from, for *every* user, also those without a target.
    personas: the true taste in words, known for synthetic users only (the *oracle* row).
    best_possible: the accuracy of whoever reads the contexts perfectly, where it can be computed.
    dropped: everything that was left out. Nothing is dropped without an entry.
    """

    name: str
    examples: tuple[Example, ...]
    histories: Mapping[str, UserHistory]
    personas: Mapping[str, str] = field(default_factory=dict)
    dropped: Dropped = field(default_factory=Dropped)
    best_possible: float | None = None

    def split(self, name: Split) -> list[Example]:
        """The examples of one split, in order."""
        return [example for example in self.examples if example.split == name]

    def users(self, name: Split) -> list[str]:
        """The users of one split, in order of appearance."""
        return list(dict.fromkeys(example.history.user_id for example in self.split(name)))


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
