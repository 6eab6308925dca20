"""Target of a format: a file or folder to make, or stdout, and the counts of what is written to it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from plus.profiles.rows import Profile, to_row
from plus.profiles.store import Store


@dataclass
class Target:
    """Output of a format: a file or folder to make, or stdout, and what was written to it.

    left_out: counts of what the format cannot hold. flagged: counts of texts to look at. since: the moment from which a
    feed of changes is written, which tells of the forgotten too.
    """

    path: Path
    stdout: BinaryIO | None = None
    since: float | None = None
    rows: int = 0
    flagged: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def row(self, profile: Profile) -> dict[str, Any]:
        """Write a profile as a row, and count it."""
        row = to_row(profile)
        self.rows += 1
        self.flagged.update(row["flags"])
        return row

    def write(self, lines: Iterable[str]) -> None:
        """Write lines of text."""
        with nullcontext(self.stdout) if self.stdout is not None else new_file(self.path) as file:
            for line in lines:
                file.write(line.encode())


Write = Callable[[Store, Iterable[Profile], Target], None]


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file about people: readable by its owner only, and on disk at the end."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(number, "wb", buffering=2**20) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
