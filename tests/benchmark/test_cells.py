"""Cells are computed once, whatever interrupts the run; what cannot be computed says why."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest

from plus.benchmark import cells, embedding_tables
from plus.errors import EvidenceError, RunError, SettingError, SourceError
from plus.evaluate.predictions import Prediction
from plus.sources.folds import Fold
from plus.worlds import pets

FOLDS = [Fold(f"pets/{n}", "new users", pets.load(n, 4, 1, 3)) for n in range(2)]


NEW_USERS = [replace(fold, name="pets/new users/0") for fold in FOLDS[:1]]


class Held(cells.Results):
    """Cells that lie in memory."""

    def __init__(self, rows: dict[str, list[Prediction]]) -> None:
        super().__init__()
        self.rows = rows

    def of(self, method: str) -> list[Prediction]:
        return self.rows.get(method, [])


class Counting:
    """A method that is right on every other choice; its control is always wrong."""

    def __init__(self, name: str, stop_after: int = 99) -> None:
        self.name, self.calls, self.stop_after = name, [], stop_after

    def __call__(self, fold: Fold, seed: int) -> list[Prediction]:
        if len(self.calls) == self.stop_after:
            raise KeyboardInterrupt
        self.calls.append((fold.name, seed))
        found = []
        for number, example in enumerate(fold.population.split("test")):
            user, key = f"{fold.name} {example.history.user_id}", f"{fold.name} {number}"
            found.append(Prediction(self.name, seed, user, key, 1.0 if number % 2 else -1.0, None, fold.group))
            found.append(Prediction(f"{self.name}, shuffled", seed, user, key, -1.0, None, fold.group))
        return found


def impossible(fold: Fold, seed: int):
    raise SourceError(f"{fold.name} has no true personas; use a synthetic data set")


def test_an_interrupted_benchmark_continues_and_ends_with_the_same_predictions(tmp_path):
    whole = cells.run(tmp_path / "whole", {"half": Counting("half")}, FOLDS, [0, 1], {"a": 1})
    stopped = Counting("half", stop_after=3)
    with pytest.raises(KeyboardInterrupt):
        cells.run(tmp_path / "stopped", {"half": stopped}, FOLDS, [0, 1], {"a": 1})
    assert stopped.calls == [("pets/0", 0), ("pets/1", 0), ("pets/0", 1)]  # every fold before the next seed
    resumed = Counting("half")
    done = cells.run(tmp_path / "stopped", {"half": resumed}, FOLDS, [0, 1], {"a": 1})
    assert resumed.calls == [("pets/1", 1)]
    assert done.of("half") == whole.of("half")
    assert len(done.of("half")) == 2 * sum(len(fold.population.split("test")) for fold in FOLDS)


def test_a_part_of_a_cell_is_no_cell(tmp_path):
    cells.run(tmp_path, {"half": Counting("half")}, FOLDS, [0], {})
    (path,) = (tmp_path / "cells").glob("*pets_0*")
    path.rename(path.with_suffix(".part"))
    again = Counting("half")
    cells.run(tmp_path, {"half": again}, FOLDS, [0], {})
    assert again.calls == [("pets/0", 0)]
    path.write_bytes(gzip.compress(b'{"method": "half", "see')[:-4])
    with pytest.raises(RunError, match="delete it"):
        cells.run(tmp_path, {"half": Counting("half")}, FOLDS, [0], {})


def test_a_folder_of_other_settings_version_or_contents_is_refused(tmp_path):
    cells.run(tmp_path / "a", {}, FOLDS, [0], {"max_steps": 5})
    with pytest.raises(RunError, match="max_steps 5 and this one has 6"):
        cells.run(tmp_path / "a", {}, FOLDS, [0], {"max_steps": 6})
    path = tmp_path / "a" / "benchmark.json"
    path.write_text(json.dumps({"version": 0, "max_steps": 5}))
    with pytest.raises(RunError, match="version 0"):
        cells.run(tmp_path / "a", {}, FOLDS, [0], {"max_steps": 5})
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="holds no benchmark"):
        cells.run(tmp_path / "b", {}, FOLDS, [0], {})
    assert (tmp_path / "b" / "thesis.txt").read_text() == "mine"


def test_a_method_that_cannot_work_says_so_and_the_rest_is_computed(tmp_path):
    results = cells.run(tmp_path, {"oracle": impossible, "half": Counting("half")}, FOLDS, [0], {})
    report = {"dataset": "pets", "notes": [], **embedding_tables.tables(results, ["oracle", "half"])}
    row = report["groups"]["new users"]["rows"]["half"]
    assert row["all"][0] == 0.5
    assert row["all"][3:] == [12, 12]  # users and targets: the denominators
    text = embedding_tables.page(report)
    assert "- oracle, 2 cells: pets/0 has no true personas" in text
    assert "| half | 0.500 [" in text
    assert "| 0.000 / - |" in text  # the shuffled user


def test_a_method_without_a_cell_stands_in_the_table_and_below_it(tmp_path):
    results = cells.run(tmp_path, {"oracle": impossible, "half": Counting("half")}, NEW_USERS, [0], {})
    text = embedding_tables.page(
        {"dataset": "pets", "notes": [], **embedding_tables.tables(results, ["oracle", "half"])}
    )  # fmt: skip
    assert "| oracle | - (see below) | | | |" in text
    assert "- oracle, pets/new users/0, seed 0: pets/new users/0 has no true personas" in text
    assert "| half | 0.500 [" in text, "the rest is computed"


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        ([("a", 0.0), ("a", 0.0), ("b", 0.0)], "m: every choice is undecided: accuracy is one half by convention"),
        ([("a", 1.0), ("b", -1.0), ("b", 1.0)], "m: 1 of 2 users have a single choice"),
        ([("a", 1.0), ("a", -1.0)], "m: one user only: no interval over users"),
    ],
)
def test_what_the_numbers_cannot_say_is_said_below_the_table(rows, note):
    odd = [Prediction("m", 0, user, str(n), margin, None, "new users") for n, (user, margin) in enumerate(rows)]
    fine = [Prediction("other", 0, f"u{n % 9}", str(n), 1.0 - n % 2 * 2, None, "new users") for n in range(36)]
    results = Held({"m": odd, "other": fine})
    report = {"dataset": "odd", "notes": [], **embedding_tables.tables(results, ["m", "other"])}
    json.dumps(report, allow_nan=False)
    text = embedding_tables.page(report)
    assert f"- {note}" in text
    assert "| other | 0.500 [" in text, "the rest is computed"


def test_one_class_is_no_obstacle_where_only_accuracy_is_asked():
    rows = [Prediction("m", 0, f"u{n % 9}", str(n), 1.0 - n % 2 * 2, True, "new users") for n in range(36)]
    report = {"dataset": "odd", "notes": [], **embedding_tables.tables(Held({"m": rows}), ["m"])}
    assert report["groups"]["new users"]["rows"]["m"]["all"][0] == 0.5
    assert "one class only" in embedding_tables.page(report)


def test_differences_are_paired_over_the_cells_that_both_have(tmp_path):
    methods = {"in_context": Counting("in_context"), "bradley_terry": Counting("bradley_terry")}
    results = cells.run(tmp_path, methods, FOLDS, [0], {})
    results.cells["bradley_terry"].pop()
    table = embedding_tables.tables(results, list(methods))["groups"]["new users"]
    mean, low, high, users, targets = table["differences"]["in_context - bradley_terry"]["all"]
    assert mean == low == high == 0.0
    assert (users, targets) == (6, 6)
    assert table["differences"]["in_context, shuffled - bradley_terry"]["all"][0] == -0.5


def test_controversial_choices_count_in_both_columns():
    rows = [
        Prediction("m", 0, user, key, 1.0, None, group)
        for user, key, group in [("a", "1", "new users"), ("b", "2", "new users, controversial")]
    ]
    found = embedding_tables.by_slice(rows)
    assert [len(found[name]) for name in ("new users", "new users, controversial")] == [2, 1]
    assert embedding_tables.user_mean([*rows, Prediction("m", 0, "a", "3", -1.0)]) == 0.75


def test_accuracy_per_worker_then_folds_by_hand():
    """Fold f: a is right in 1 of 2, b in 1 of 1, mean .75; fold g: a 1 of 1, mean 1. Student's t with one degree
    of freedom is 12.706: .875 +- 12.706 * .17678 / sqrt(2). Only a has more than one choice elsewhere in g."""
    rows = [("a", "f 0", 1.0), ("a", "f 1", -1.0), ("b", "f 2", 1.0), ("a", "g 0", 2.0), ("c", "h 0", -1.0)]
    found = [Prediction("m", 0, user, example, margin) for user, example, margin in rows]
    mean, low, high, folds = embedding_tables.worker_protocol(found[:4], more_than=-1)
    assert (mean, folds) == (0.875, 2)
    assert high - mean == pytest.approx(mean - low) == pytest.approx(12.7062 * 0.1767767 / 2**0.5, rel=1e-4)
    assert embedding_tables.worker_protocol(found[:4], more_than=1) is None
    assert embedding_tables.worker_protocol(found, more_than=0)[3] == 2  # c and b have nothing elsewhere


def test_a_cell_of_facts_is_made_once_and_refused_with_other_settings(tmp_path):
    """cell.json comes last: a folder without it is made again, and a cut one is named."""
    store, made = cells.CellStore(tmp_path), []

    def make(place):
        made.append(place)
        (place / "beside.txt").write_text("whole")
        return {"settings": {"ks": (1, 2)}, "value": 0.5}

    facts, place, stored = store.facts("one", {"ks": (1, 2)}, make)
    assert (facts, stored) == ({"settings": {"ks": [1, 2]}, "value": 0.5}, False)
    assert store.facts("one", {"ks": (1, 2)}, make) == (facts, place, True)
    assert made == [place] == [tmp_path / "cells" / "one"]
    with pytest.raises(SettingError, match="was made with other settings; give a new folder, or remove it"):
        store.facts("one", {"ks": (1, 3)}, make)
    (place / "cell.json").write_text('{"settings"')
    with pytest.raises(EvidenceError, match=r"cannot be read .*; remove it and it is run again"):
        store.facts("one", {"ks": (1, 2)}, make)
    (place / "cell.json").unlink()
    assert store.facts("one", {"ks": (1, 2)}, make)[2] is False
    assert len(made) == 2
