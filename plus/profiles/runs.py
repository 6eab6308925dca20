"""Run folders beside a store: their users put into it, and forgotten users taken out of their files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from plus import jsonl
from plus.errors import ForgottenError, ProfileError
from plus.profiles.saving import save_model
from plus.profiles.store import Store
from plus.types import Entry, Event, Population, Preference

WEIGHTS = ("summarizer", "reward_model", "bradley_terry", "untrained", "oracle")
STORE = "profiles.db"  # name of a run's own store
NOTE = "forgotten.jsonl"  # beside config.json: what was taken out of the run
BATCH = 500  # users a transaction


def run_hash(folder: Path) -> str:
    """Hash a run's configuration: runs with different ones differ."""
    return hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()[:16]


def is_run(folder: Path) -> bool:
    """Look whether `plus train` or `plus demo` wrote a folder."""
    return (folder / "config.json").is_file()


# Users in


def add_run(store: Store, folder: Path, population: Population, summaries: dict[str, str]) -> int:
    """Put a run's users into the store, their targets as held-out events; returns how many have a summary.

    A second time it adds what is new.
    """
    run, model = run_hash(folder), folder.name
    store.add_run(folder, run, model)
    store.add_events(_entries(population))
    users, count = iter(summaries.items()), 0
    while chunk := list(islice(users, BATCH)):
        with store.transaction():
            for user_id, text in chunk:
                try:
                    reading = store.read(user_id)
                    if reading.current is None:
                        save_model(store, reading, text, model, run)
                    count += 1
                except ForgottenError:
                    continue
    return count


def read_summaries(folder: Path) -> dict[str, str]:
    """Read user_id -> summary of a run. Raises ProfileError when the run has not finished."""
    path = folder / "summaries.jsonl"
    if not is_run(folder) or not path.is_file():
        raise ProfileError(
            f"{folder} is no finished run (no summaries.jsonl); give the --output_dir of a plus train or plus demo"
        )
    return jsonl.read_summaries(path)


def events_read(folder: Path) -> int | None:
    """Read how many events a run's users had at most, which its summarizer learned to read; None when not recorded."""
    path = folder / "summaries.jsonl"
    if not path.is_file():
        return None
    counts = [row.get("events") for _, row in jsonl.numbered(path)]
    return max((count for count in counts if isinstance(count, int)), default=0) or None


def _entries(population: Population) -> Iterator[Entry]:
    """What each user's summary was written from, then the choices it was judged by, held out."""
    for user_id, history in population.histories.items():
        for event in history.events:
            yield Entry(user_id, event, "", False)
    numbers: dict[str, int] = {}
    for user_id, targets in _targets(population).items():
        # A target is the event it was made of, where the source has whole logs.
        whole = {event.content: event for event in population.events.get(user_id, ()) if event.kind == "choice"}
        for target in targets:
            numbers[user_id] = number = numbers.get(user_id, 0) + 1
            new = Event(f"{user_id}-target-{number}", "choice", target, None, population.name)
            yield Entry(user_id, whole.get(target, new), "", True)


def _targets(population: Population) -> dict[str, list[Preference]]:
    """Each user's targets, each once."""
    found: dict[str, dict[Preference, None]] = {}
    for example in population.examples:
        found.setdefault(example.history.user_id, {})[example.target] = None
    return {user_id: list(targets) for user_id, targets in found.items()}


# Users out


def listed(folder: Path, users: Collection[str]) -> bool:
    """Look whether a run's summaries name one of the users."""
    path = folder / "summaries.jsonl"
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return any(_names(line, users) for line in file)


def forget(folder: Path, users: Collection[str], fingerprint: str, time: float) -> dict[str, int]:
    """Take the users' lines out of every .jsonl and .json file of a run; returns file -> how many.

    Each file is replaced whole or not at all; twice is the same as once. A note with the fingerprint, and no name, is
    added to `forgotten.jsonl`.
    """
    # 1. Lines of JSON lines, entries of lists in JSON.
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
    # 2. Partial files of a process that was killed may hold any user's lines.
    for leftover in folder.rglob(".*.partial*"):
        leftover.unlink(missing_ok=True)
    # 3. A note for those who use the weights.
    if removed:
        note = {
            "forgotten": fingerprint,
            "time": time,
            "removed": removed,
            "weights": "trained with these rows; retrain",
        }
        with (folder / NOTE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(note) + "\n")  # In ASCII: a file's name may be no valid Unicode.
    return removed


def noted(folder: Path, fingerprint: str) -> bool:
    """Look whether the user of this fingerprint was taken out of the run before."""
    path = folder / NOTE
    return path.is_file() and fingerprint in path.read_text(encoding="utf-8")


def texts_with_owner(path: Path, texts: Collection[str]) -> set[str]:
    """Find the texts that stand in a line of another user."""
    found: set[str] = set()
    if not texts or path.suffix != ".jsonl":
        return found
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for line in file:
            found |= {text for text in texts if text in line and '"user_id"' in line}
    return found


def weights(folder: Path) -> list[str]:
    """List a run's folders of weights: only training again takes a user out of them."""
    names = [*WEIGHTS, *sorted(path.name for path in folder.glob("checkpoint-*"))]
    return [str(folder / name) for name in names if (folder / name).is_dir()]


def _forget_lines(path: Path, users: Collection[str]) -> int:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        count = sum(_names(line, users) for line in file)
    if count:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            kept = (line.encode("utf-8", "surrogateescape") for line in file if not _names(line, users))
            _replace(path, kept)
    return count


def _forget_entries(path: Path, users: Collection[str]) -> int:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return 0  # Not JSON, so not a file of ours.
    kept, count = _without(value, users)
    if count:
        _replace(path, iter([(json.dumps(kept, ensure_ascii=False, indent=2) + "\n").encode()]))
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


def _replace(path: Path, lines: Iterator[bytes]) -> None:
    """Write a file so that a reader, or a crash, finds the old one or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
