"""Run folders beside a store: their users put into it, and forgotten users cut out of the files plus wrote there."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path

from plus import jsonl
from plus.errors import ForgottenError, ProfileError
from plus.profiles.saving import save_model
from plus.profiles.store import Store
from plus.types import Entry, Event, Population, Preference

BATCH = 500  # users a transaction


def run_hash(folder: Path) -> str:
    """Hash a run's configuration: runs with different ones differ."""
    return hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()[:16]


def is_run(folder: Path) -> bool:
    """Look whether `plus train` or `plus demo` wrote a folder."""
    return (folder / "config.json").is_file()


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
            store.hold(user_id for user_id, _ in chunk)
            for user_id, text in chunk:
                try:
                    if store.find(user_id) is None:  # The run's data no longer has the user, its summaries do.
                        store.refuse_forgotten("user", user_id)
                        store.enrol(user_id)
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


STORE = "profiles.db"  # name of a run's own store
NOTE = "forgotten.jsonl"  # beside config.json: what was taken out of the run
WEIGHTS = ("summarizer", "reward_model", "bradley_terry", "untrained", "oracle")
_LARGE = 2**26  # bytes: JSON that is larger is searched and not cut
# Files of rows, and of results, that plus writes into a run folder. Others are their owner's: searched, never written.
_ROWS = frozenset((
    "summaries.jsonl", "samples.jsonl", "predictions.jsonl", "data.jsonl", "metrics.jsonl", "answers.jsonl",
    "choices.jsonl", "judgments.jsonl", "looks.jsonl", "pairs.jsonl", "talks.jsonl", "turns.jsonl", "to_judge.jsonl",
    "test.jsonl", "conversations.jsonl", "seconds.jsonl",
))  # fmt: skip
_RESULTS = frozenset(("report.json", "evidence.json", "love.json", "benchmark.json", "cell.json", "sweep.json"))
_UNREAD = frozenset((".safetensors", ".png", ".pt", ".bin", ".gguf", ".npz", ".npy"))
_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR = re.compile(r"[^\s,\]}]+")


def is_ours(folder: Path) -> bool:
    """Look for plus's mark: config.json with rows or results that plus writes beside it."""
    return is_run(folder) and any((folder / name).is_file() for name in _ROWS | _RESULTS)


def listed(folder: Path, users: Collection[str]) -> set[str]:
    """Return the users whom a run's summaries name."""
    path = folder / "summaries.jsonl"
    if not path.is_file() or not users:
        return set()
    return {user for line in _lines(path) if '"user_id"' in line for user in _owners(line, users)}


def forget(
    folder: Path,
    users: Collection[str],
    notes: Mapping[str, tuple[str, float]] | None = None,
    dry_run: bool = False,
) -> dict[str, dict[str, int]]:
    """Cut users' rows out of a run's files; returns user -> file -> how many.

    Each file is replaced whole or not at all; twice is the same as once. notes: user -> (hash, time), which `NOTE`
    gets, without a name. dry_run: only count.
    """
    removed: dict[str, dict[str, int]] = {user: {} for user in users}
    if not users or not is_ours(folder):
        return removed
    # 1. Rows of JSON lines, entries of lists in JSON.
    for path in sorted(folder.rglob("*.json*")):
        if path.is_symlink() or not path.is_file() or path.name not in _ROWS | _RESULTS:
            continue
        for user, count in _forget_in(path, users, dry_run).items():
            removed[user][str(path.relative_to(folder))] = count
    # 2. Partial files of a process of plus that was killed may hold any user's lines.
    for leftover in folder.rglob(".*.partial*"):
        if not dry_run and leftover.name.removeprefix(".").split(".partial")[0] in {*_ROWS, *_RESULTS, STORE}:
            leftover.unlink(missing_ok=True)
    # 3. A note for those who use the weights.
    rows = [{"forgotten": notes[user][0], "time": notes[user][1], "removed": removed[user],
             "weights": "trained with these rows; retrain"} for user in users if notes and removed[user]]  # fmt: skip
    if rows and not dry_run:
        with (folder / NOTE).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)  # In ASCII: a name may be no valid Unicode.
    return removed


def noted(folder: Path, fingerprint: str) -> bool:
    """Look whether the user of this fingerprint was taken out of the run before."""
    path = folder / NOTE
    return path.is_file() and fingerprint in path.read_text(encoding="utf-8")


def weights(folder: Path) -> list[str]:
    """List a run's folders of weights: only training again takes a user out of them."""
    names = [*WEIGHTS, *sorted(path.name for path in folder.glob("checkpoint-*"))]
    return [str(folder / name) for name in names if (folder / name).is_dir()]


def searchable(folder: Path) -> tuple[list[Path], int]:
    """List a run's files to search, with the number of those that are not: weights and pictures."""
    inside = {Path(name) for name in weights(folder)}
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    files = [path for path in files if not path.name.startswith(f"{STORE}")]  # Another store is named in the receipt.
    texts = [path for path in files if path.suffix not in _UNREAD and inside.isdisjoint(path.parents)]
    return texts, len(files) - len(texts)


def cut(text: str, users: Collection[str]) -> tuple[str | None, dict[str, int]]:
    """Cut every list entry that names one of the users out of JSON, keeping the rest as it is written.

    Returns (text, user -> how many); None for a text that is itself an entry of a user. Raises ValueError for no JSON.
    """
    counts: dict[str, int] = defaultdict(int)
    spans: list[tuple[int, int]] = []
    end, owner = _scan(text, _SPACE.match(text, 0).end(), users, spans, counts)  # type: ignore[union-attr]
    if text[end:].strip():
        raise ValueError("there is more after the value")
    if owner:
        return None, {owner: 1}
    for start, stop in reversed(spans):
        text = text[:start] + text[stop:]
    return text, dict(counts)


def _scan(
    text: str, at: int, users: Collection[str], spans: list[tuple[int, int]], counts: dict[str, int]
) -> tuple[int, str]:
    """Walk one value; returns (its end, the user whose entry it is or "") and collects the spans to cut."""
    if text[at : at + 1] == '"':
        return _string(text, at)[1], ""
    if text[at : at + 1] not in ("{", "["):
        found = _SCALAR.match(text, at)
        if found is None:
            raise ValueError(f"no value at {at}")
        return found.end(), ""
    is_list, owner, start = text[at] == "[", "", _space(text, at + 1)
    at, cut_before = start, False
    while text[at : at + 1] not in ("]", "}"):
        key = ""
        if not is_list:
            key, at = _string(text, at)
            at = _space(text, _space(text, at) + 1)
        begin, inner = at, list[tuple[int, int]]()
        at, whose = _scan(text, at, users, inner, counts)
        if key == '"user_id"' and text[begin : begin + 1] == '"' and (name := json.loads(text[begin:at])) in users:
            whose = name
        at = after = _space(text, at)
        if text[at : at + 1] == ",":
            after = _space(text, at + 1)
        if is_list and whose:
            counts[whose] += 1
            last = text[after : after + 1] == "]"
            # The last entry goes with the comma before it.
            spans.append((spans[-1][0] if last and cut_before else _comma(text, begin) if last else begin, after))
            if last and cut_before:
                del spans[-2]
        else:
            spans += inner
            owner = owner or whose
        cut_before = is_list and bool(whose)
        if after == at and text[at : at + 1] not in ("]", "}"):
            raise ValueError(f"no comma at {at}")
        at = after
    return at + 1, owner


def _comma(text: str, at: int) -> int:
    """The place of the comma before an entry, or of the entry where it is the first."""
    before = text[:at].rstrip()
    return len(before) - 1 if before.endswith(",") else at


def _string(text: str, at: int) -> tuple[str, int]:
    """A string of JSON as it is written, and its end."""
    found = _STRING.match(text, at)
    if found is None:
        raise ValueError(f"no string at {at}")
    return found.group(), found.end()


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _forget_in(path: Path, users: Collection[str], dry_run: bool) -> dict[str, int]:
    """Cut users out of one file; returns user -> how many."""
    counts: dict[str, int] = defaultdict(int)
    if path.suffix == ".json" and path.stat().st_size > _LARGE:
        return {}

    def kept() -> Iterator[bytes]:
        for part in _parts(path):
            left: str | None = part
            if '"user_id"' in part:
                try:
                    left, found = cut(part, users)
                except (ValueError, RecursionError):
                    found = {}  # Not JSON, so not a row of ours; the search names it.
                for user, count in found.items():
                    counts[user] += count
            if left is None and path.suffix == ".json":
                left = "{}\n"
            if left is not None:
                yield left.encode("utf-8", "surrogateescape")

    # Counted first: a file without the users is not written.
    for _ in kept():
        pass
    if counts and not dry_run:
        counted = dict(counts)
        _replace(path, kept())
        return counted
    return dict(counts)


def _parts(path: Path) -> Iterator[str]:
    """The lines of JSON lines, or a file of JSON as one."""
    return _lines(path) if path.suffix != ".json" else iter([path.read_bytes().decode("utf-8", "surrogateescape")])


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        yield from file


def _owners(line: str, users: Collection[str]) -> Collection[str]:
    try:
        return cut(line, users)[1]
    except (ValueError, RecursionError):
        return ()


def _replace(path: Path, lines: Iterator[bytes]) -> None:
    """Write a file so that a reader, or a crash, finds the old one or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(partial, path.stat().st_mode & 0o7777)
    os.replace(partial, path)
