"""Summaries for very many users: unchanged ones are skipped, a killed job goes on where it stopped.

The file of summaries is its own record: each line names what was read and by which model, as one
hash. So whoever's history and model are as they were needs nothing, not even the model's loading. Lines are
only ever appended; where a history has changed, the user's last line counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Protocol

from plus.errors import RunError
from plus.types import UserHistory

WINDOW = 4096  # histories that are tokenized and sorted by length at a time
SAMPLE = 1 << 20  # bytes at both ends of a file of weights; training moves them all


class Engine(Protocol):
    """Anything that writes summaries as they come: `LanguageModelSummarizer`, `Endpoint`."""

    def stream(self, histories: Sequence[UserHistory]) -> Iterator[tuple[int, str]]:
        """(position, text) of every history, in any order; one that could not be summarized is left out."""
        ...


def written(
    histories: Sequence[UserHistory], engine: Engine, window: int = WINDOW
) -> Iterator[tuple[UserHistory, str]]:
    """Each history with its text, as soon as it is written. Memory holds one window of prompts."""
    for start in range(0, len(histories), window):
        part = histories[start : start + window]
        for position, text in engine.stream(part):
            yield part[position], text


def digest(history: UserHistory, maker: str) -> str:
    """What a summary was made from and by whom: equal when both are. Times and ids of events do not count."""
    read = [(event.kind, _content(event.content)) for event in history.events]
    return hashlib.sha256(json.dumps([maker, read], ensure_ascii=False).encode()).hexdigest()[:32]


def fingerprint(folder: Path, *settings: object) -> str:
    """A model that is saved in a folder, and how it is used: names, sizes, and both ends of every file."""
    state = hashlib.sha256(repr(settings).encode())
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        size = path.stat().st_size
        state.update(f"{path.name}/{size}/".encode())
        with path.open("rb") as file:
            state.update(file.read(SAMPLE))
            file.seek(max(0, size - SAMPLE))
            state.update(file.read(SAMPLE))
    return state.hexdigest()


class SummaryFile:
    """A JSONL of {user_id, summary, read}, which grows a line at a time and survives being killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.summaries: dict[str, str] = {}
        self.read: dict[str, str] = {}
        if path.exists():
            self._load()
        self._file: IO[bytes] = path.open("ab")

    def unchanged(self, history: UserHistory, maker: str) -> bool:
        """Whether this user's last line was made from the same history by the same model."""
        return self.read.get(history.user_id) == digest(history, maker)

    def add(self, history: UserHistory, text: str, maker: str) -> None:
        """One more line, handed to the system at once."""
        row = {"user_id": history.user_id, "summary": text, "read": digest(history, maker)}
        self._file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        self._keep(row)

    def close(self) -> None:
        """Nothing is held back, so this only gives the file back."""
        self._file.close()

    def _load(self) -> None:
        whole = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break  # The line that was being written when the job was killed.
                whole += len(line)
                try:
                    self._keep(json.loads(line))
                except (ValueError, KeyError, TypeError):
                    raise RunError(
                        f"{self.path} line {number} is no summary that plus wrote ({line[:60]!r}); give another --output"
                    ) from None
        if whole < self.path.stat().st_size:
            with self.path.open("r+b") as file:
                file.truncate(whole)

    def _keep(self, row: Mapping[str, str]) -> None:
        self.summaries[row["user_id"]] = row["summary"]
        self.read[row["user_id"]] = row.get("read", "")


def _content(content: object) -> object:
    if isinstance(content, tuple):
        return [asdict(turn) for turn in content]
    return content if isinstance(content, str) else asdict(content)  # type: ignore[call-overload]
