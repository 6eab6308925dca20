"""Cells of a benchmark: each computed once and kept in a folder that can be continued.

A cell of predictions is a file `cells/FOLD--METHOD--SEED.jsonl.gz` of `Prediction` rows (or one row that says
why there are none). A cell of facts is a folder `cells/NAME` whose cell.json comes last, so that what lies
beside it is whole. Both are written whole or not at all; a run that is started again computes the missing
cells only.
"""

from __future__ import annotations

import gc
import gzip
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from plus.errors import EvidenceError, PlusError, RunError, SettingError, SourceError
from plus.evaluate.controls import other_users
from plus.evaluate.predictions import Prediction, to_rows
from plus.jsonl import append_jsonl, read_json, write_json
from plus.sources.folds import Fold, slice_of
from plus.types import Preference, UserHistory

# A method is trained on a fold with a seed and predicts the fold's test rows. Its controls are rows of
# other names: "in_context, shuffled".
Method = Callable[[Fold, int], Sequence[Prediction]]
OnCell = Callable[[str, int, int], None]  # (title of a cell, cells done, cells in all)
VERSION = 1


class Read(NamedTuple):
    """One margin a pair, and the tokens of the text that was read for each."""

    margins: Sequence[float]
    tokens: Sequence[int]


Margins = Callable[[Sequence[UserHistory], Sequence[Preference]], Sequence[float] | Read]


class CellStore:
    """Cells under `folder`/cells. A missing cell is made by the function given with its name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "cells"

    def rows(self, name: str, make: Callable[[], Sequence[Mapping[str, Any]]]) -> Path:
        """Return the file of a cell of rows, made now where there is none."""
        path = self.folder / f"{name}.jsonl.gz"
        if not path.exists():
            _write(path, make())
        return path

    def facts(
        self, name: str, settings: Mapping[str, Any], make: Callable[[Path], dict[str, Any]]
    ) -> tuple[dict[str, Any], Path, bool]:
        """Return a cell of facts, its folder, and whether it was stored before.

        `make` fills the folder and returns the facts, `settings` among them. Raises SettingError where a
        stored cell has other settings, EvidenceError where it cannot be read.
        """
        place = self.folder / name
        # cell.json is the last file that is written: with it the cell is whole.
        stored = (place / "cell.json").exists()
        if not stored:
            place.mkdir(parents=True, exist_ok=True)
            write_json(place / "cell.json", make(place))
        try:
            facts: dict[str, Any] = read_json(place / "cell.json")
        except SourceError as error:
            raise EvidenceError(f"{place} cannot be read ({error}); remove it and it is run again") from error
        if facts["settings"] != json.loads(json.dumps(settings)):
            raise SettingError(
                f"{place} was made with other settings; give a new folder, or remove it to make it again"
            )
        return facts, place, stored


class Results:
    """Predictions in the cells: `of(method)` reads them, `missing` names the cells without any and the reason."""

    def __init__(self) -> None:
        self.cells: dict[str, list[Path]] = {}
        self.missing: dict[str, str] = {}

    def of(self, method: str) -> list[Prediction]:
        """Read all predictions under this name; control rows lie in the cell of their method."""
        owner = method.split(", ")[0]
        return [
            Prediction(**row) for path in self.cells.get(owner, []) for row in read(path) if row.get("method") == method
        ]


def run(
    folder: Path,
    methods: Mapping[str, Method],
    folds: Sequence[Fold] | Callable[[int], Sequence[Fold]],
    seeds: Sequence[int],
    settings: Mapping[str, Any],
    on_cell: OnCell = lambda name, done, total: None,
) -> Results:
    """Compute the cells that `folder` does not hold yet.

    A method that cannot work on a fold (`PlusError`) leaves its reason in the cell, and the rest is computed.
    `folds` may be a function of the seed, where every seed draws rows of its own. `seconds.jsonl` gets a
    line a cell, with its processor time, which does not depend on what else the machine does.
    Raises RunError where the folder belongs to other settings or to another version.
    """
    claim(folder, settings)
    store, results = CellStore(folder), Results()
    of_seed = folds if callable(folds) else lambda seed: folds
    # Half a million rows that stay: collecting garbage among them took a third of the time.
    gc.freeze()
    number = total = 0
    # Seeds last, so that a benchmark which is stopped early holds every fold.
    for seed in seeds:
        cells = [(fold, name) for fold in of_seed(seed) for name in methods]
        total = len(cells) * len(seeds)
        for fold, name in cells:
            title = f"{name}, {fold.name}, seed {seed}"
            on_cell(title, number, total)
            number += 1
            make = partial(_timed_rows, folder, title, methods[name], fold, seed)
            path = store.rows(f"{_file(fold.name)}--{_file(name)}--{seed}", make)
            # A cell without predictions holds one row with the reason.
            first = next(read(path), {"missing": "the fold has no test row"})
            if "missing" in first:
                results.missing[title] = first["missing"]
            else:
                results.cells.setdefault(name, []).append(path)
    on_cell("", total, total)
    return results


def fold_predictions(name: str, fold: Fold, seed: int, margins: Margins, shuffled: bool = True) -> list[Prediction]:
    """Predict a fold's test set with own histories; with `shuffled` also with another user's.

    `margins(histories, pairs)` returns one margin a pair, or a `Read`. Raises SourceError where nothing is to be
    predicted.
    """
    examples = fold.population.split("test")
    if not examples:
        raise SourceError(f"{fold.name} has no choice to predict; give more data")
    pairs = [example.target for example in examples]
    own = [example.history for example in examples]
    found = _predictions(name, fold, seed, margins(own, pairs))
    # The control: the same choices, read with the history of another user.
    if shuffled and len({history.user_id for history in own}) > 1:
        of_user = {example.history.user_id: example.history for example in examples}
        other = [of_user[user] for user in other_users(examples)]
        found += _predictions(f"{name}, shuffled", fold, seed, margins(other, pairs))
    return found


@contextmanager
def timed(folder: Path, what: str) -> Iterator[None]:
    """Append the time of the block to `folder`/seconds.jsonl: by the clock, and of the processor."""
    clock, processor = time.monotonic(), time.process_time()
    yield
    seconds, cpu_seconds = time.monotonic() - clock, time.process_time() - processor
    append_jsonl(
        folder / "seconds.jsonl", {"what": what, "seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1)}
    )


def claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Begin a benchmark in `folder`, or check that the one in it has the same settings. Raises RunError."""
    path, ours = folder / "benchmark.json", {"version": VERSION, **settings}
    if not path.exists():
        taken = folder.exists() and any(entry.suffix != ".part" for entry in folder.iterdir())
        if taken and not path.exists():  # Another process may have begun the same one just now.
            raise RunError(f"{folder} is in use and holds no benchmark; give a new --output_dir")
        _write(path, [ours])
        return
    theirs = json.loads(path.read_text(encoding="utf-8"))
    ours = json.loads(json.dumps(ours))
    for key in ours.keys() | theirs.keys():
        if ours.get(key) != theirs.get(key):
            raise RunError(
                f"{folder} holds a benchmark with {key} {theirs.get(key)!r} and this one has {ours.get(key)!r}; "
                "give a new --output_dir"
            )


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a cell. Raises RunError where the file is cut or no JSON."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from map(json.loads, file)
    except (ValueError, OSError, EOFError) as error:
        raise RunError(f"{path} cannot be read ({error}); delete it and it is computed again") from error


def _timed_rows(folder: Path, title: str, method: Method, fold: Fold, seed: int) -> list[dict[str, Any]]:
    with timed(folder, title):
        try:
            return to_rows(method(fold, seed))
        except PlusError as error:
            return [{"missing": str(error)}]


def _predictions(name: str, fold: Fold, seed: int, found: Sequence[float] | Read) -> list[Prediction]:
    examples = fold.population.split("test")
    margins, tokens = found if isinstance(found, Read) else (found, [None] * len(examples))
    return [
        Prediction(
            name, seed, e.history.user_id, f"{fold.name} {n}", round(value, 4), None, slice_of(fold, e.target), count
        )
        for n, (e, value, count) in enumerate(zip(examples, margins, tokens, strict=True))
    ]


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows whole or not at all; packed where the name ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    part.write_bytes(gzip.compress(text, 6) if path.suffix == ".gz" else text)
    part.replace(path)


def _file(name: str) -> str:
    return re.sub(r"[^\w.]+", "_", name)
