"""Every method on every fold and seed: one cell each, computed once, in a folder that can be continued.

A cell is a file `cells/FOLD--METHOD--SEED.jsonl.gz` of `Prediction` rows (or one row that says why there
are none), written whole or not at all. A run that is started again computes the missing cells only.
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
from pathlib import Path
from typing import Any

from plus.errors import PlusError, RunError
from plus.evaluate.predictions import Prediction, to_rows
from plus.sources.folds import Fold

# A method is trained on a fold with a seed and says what it thinks of the fold's test rows. Its
# controls are rows of other names: "in_context, shuffled".
Method = Callable[[Fold, int], Sequence[Prediction]]
VERSION = 1


class Results:
    """What the cells hold: `of(method)` reads its predictions, `missing` says which cells have none, and why."""

    def __init__(self) -> None:
        self.cells: dict[str, list[Path]] = {}
        self.missing: dict[str, str] = {}

    def of(self, method: str) -> list[Prediction]:
        """All predictions under this name, control rows included in the cell of their method."""
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
    on_cell: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> Results:
    """Compute what `folder` does not hold yet; a cell whose method cannot work here says why.

    `folds` may be a function of the seed, where every seed draws rows of its own. `seconds.jsonl` gets a
    line a cell, with the processor time that it took, so that a busy machine can tell what it cost.
    Raises RunError where the folder belongs to other settings or to another version.
    """
    claim(folder, settings)
    results = Results()
    of_seed = folds if callable(folds) else lambda seed: folds
    gc.freeze()  # Half a million rows that stay: looking through them again and again took a third of the time.
    number = total = 0
    # Seeds last, so that a benchmark which is stopped early holds every fold.
    for seed in seeds:
        cells = [(fold, name) for fold in of_seed(seed) for name in methods]
        total = len(cells) * len(seeds)
        for fold, name in cells:
            title = f"{name}, {fold.name}, seed {seed}"
            on_cell(title, number, total)
            number += 1
            path = folder / "cells" / f"{_file(fold.name)}--{_file(name)}--{seed}.jsonl.gz"
            if not path.exists():
                with timed(folder, title):
                    _write(path, _rows(methods[name], fold, seed))
            first = next(read(path), {"missing": "the fold has no test row"})
            if "missing" in first:
                results.missing[title] = first["missing"]
            else:
                results.cells.setdefault(name, []).append(path)
    on_cell("", total, total)
    return results


@contextmanager
def timed(folder: Path, what: str) -> Iterator[None]:
    """Append what this took to `folder`/seconds.jsonl: by the clock, and of the processor."""
    clock, processor = time.monotonic(), time.process_time()
    yield
    row = {"what": what, "seconds": round(time.monotonic() - clock, 1), "cpu_seconds": round(time.process_time() - processor, 1)}  # fmt: skip
    with (folder / "seconds.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Begin a benchmark in `folder`, or check that the one in it is the same."""
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
                f"{folder} holds a benchmark with {key} {theirs.get(key)!r} and this one has {ours.get(key)!r}; give a new --output_dir"
            )


def _rows(method: Method, fold: Fold, seed: int) -> list[dict[str, Any]]:
    try:
        return to_rows(method(fold, seed))
    except PlusError as error:
        return [{"missing": str(error)}]


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Whole or not at all; packed where the name ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    part.write_bytes(gzip.compress(text, 6) if path.suffix == ".gz" else text)
    part.replace(path)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a cell."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from map(json.loads, file)
    except (ValueError, OSError, EOFError) as error:
        raise RunError(f"{path} cannot be read ({error}); delete it and it is computed again") from error


def _file(name: str) -> str:
    return re.sub(r"[^\w.]+", "_", name)
