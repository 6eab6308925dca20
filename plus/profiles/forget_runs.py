"""Taking users out of the files of a run folder, each file whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

WEIGHTS = ("summarizer", "reward_model", "bradley_terry", "untrained", "oracle")
STORE = "profiles.db"  # a run's own store of its users
NOTE = "forgotten.jsonl"  # part of the run's manifest, beside config.json


def run_hash(folder: Path) -> str:
    """What tells one run from another: a hash of its configuration."""
    return hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()[:16]


def is_run(folder: Path) -> bool:
    """Whether a folder is one that `plus train` or `plus demo` wrote."""
    return (folder / "config.json").is_file()


def listed(folder: Path, users: Collection[str]) -> bool:
    """Whether a run's summaries name one of the users."""
    path = folder / "summaries.jsonl"
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return any(_names(line, users) for line in file)


def forget(folder: Path, users: Collection[str], fingerprint: str, time: float) -> dict[str, int]:
    """Take the users' lines out of every .jsonl and .json file of a run; returns file -> how many.

    Twice is the same as once. A note with the fingerprint, and no name, is added to `forgotten.jsonl`.
    """
    removed: dict[str, int] = {}
    for path in sorted(folder.rglob("*.json*")):
        if path.name == NOTE or not path.is_file() or path.is_symlink():
            continue
        if path.suffix == ".jsonl":
            count = _forget_lines(path, users)
        elif path.suffix == ".json" and path.stat().st_size < 2**26:
            count = _forget_entries(path, users)
        else:
            continue
        if count:
            removed[str(path.relative_to(folder))] = count
    for leftover in folder.rglob(".*.partial*"):
        leftover.unlink(missing_ok=True)  # Of a process that was killed; it may hold anybody's lines.
    if removed:
        note = {
            "forgotten": fingerprint,
            "time": time,
            "removed": removed,
            "weights": "trained with these rows; retrain",
        }
        with (folder / NOTE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(note) + "\n")
    return removed


def noted(folder: Path, fingerprint: str) -> bool:
    """Whether somebody with this fingerprint was taken out of the run before."""
    path = folder / NOTE
    return path.is_file() and fingerprint in path.read_text(encoding="utf-8")


def texts_with_owner(path: Path, texts: Collection[str]) -> set[str]:
    """Which of the texts stand in a line that belongs to some user."""
    found: set[str] = set()
    if not texts or path.suffix != ".jsonl":
        return found
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for line in file:
            found |= {text for text in texts if text in line and '"user_id"' in line}
    return found


def weights(folder: Path) -> list[str]:
    """The folders of weights that a run holds: nothing but training again takes anybody out of them."""
    names = [*WEIGHTS, *sorted(path.name for path in folder.glob("checkpoint-*"))]
    return [str(folder / name) for name in names if (folder / name).is_dir()]


def replace(path: Path, lines: Iterator[bytes]) -> None:
    """Write a file so that a reader, or a crash, finds the old one or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _forget_lines(path: Path, users: Collection[str]) -> int:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        count = sum(_names(line, users) for line in file)
    if count:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            kept = (line.encode("utf-8", "surrogateescape") for line in file if not _names(line, users))
            replace(path, kept)
    return count


def _forget_entries(path: Path, users: Collection[str]) -> int:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return 0  # Not JSON: nothing of ours.
    kept, count = _without(value, users)
    if count:
        replace(path, iter([(json.dumps(kept, ensure_ascii=False, indent=2) + "\n").encode()]))
    return count


def _without(value: Any, users: Collection[str]) -> tuple[Any, int]:
    """A value without the list entries that carry one of the user ids, and how many those were."""
    if isinstance(value, list):
        parts = [_without(v, users) for v in value if not (isinstance(v, dict) and v.get("user_id") in users)]
        return [part for part, _ in parts], len(value) - len(parts) + sum(count for _, count in parts)
    if isinstance(value, dict):
        parts_of = {key: _without(v, users) for key, v in value.items()}
        return {key: part for key, (part, _) in parts_of.items()}, sum(count for _, count in parts_of.values())
    return value, 0


def _names(line: str, users: Collection[str]) -> bool:
    if '"user_id"' not in line:
        return False
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return isinstance(row, dict) and isinstance(row.get("user_id"), str) and row["user_id"] in users
