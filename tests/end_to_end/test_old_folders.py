"""Folders, stores and results that an older plus wrote still open, with the same numbers.

`support/before_the_move.tar.xz` was written by plus as it was before the rooms were made (commit 699805d): a run of two
updates on 12 made users (a language model of two thousand weights), the same run cut after its first update, its
store with edits, a P[Love] (one member of four kept), and the cells of a benchmark on the shipped Polis sample.
"""

from __future__ import annotations

import json
import shutil
import tarfile

import pytest
from support.running import SUPPORT, data_of

import plus
from plus.jsonl import read_whole_lines
from plus.resources import shipped
from plus.types import Event, Preference, UserHistory


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(SUPPORT / "before_the_move.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture
def old(archive, tmp_path, monkeypatch):
    """A copy of the old files, where they were written: paths in them are relative."""
    shutil.copytree(archive, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old"


def test_an_old_run_opens_as_one_object(old):
    run = plus.load("run")
    assert len(run.summaries) == 12
    history = UserHistory("new", (Event("1", "choice", Preference("Tell me.", "I saw cats.", "I saw dogs.")),))
    assert isinstance(run.summarize(history), str)
    assert run.score("Likes cats.", "Tell me.", "I saw cats.") != run.score("Likes cats.", "Tell me.", "I saw dogs.")


def test_an_old_run_is_evaluated_to_the_same_report(old, plus_here):
    status, out, err = plus_here("evaluate", "run", "--json")
    assert status == 0, err
    then, now = json.loads((old / "evaluate.json").read_text()), data_of(out)
    assert now["accuracy"] == then["accuracy"] and now["controls"] == pytest.approx(then["controls"], abs=1e-6)
    assert now["audit"].keys() == then["audit"].keys()
    # The older verdict named a user and quoted a prompt; a report holds neither now.
    assert now["verdict"].split(" (first: ")[0] == then["verdict"].split(" (first: ")[0]
    assert "Tell me" in then["verdict"] and "Tell me" not in now["verdict"] and "user-" not in now["verdict"]


def test_an_old_store_shows_edits_locks_and_bans(old, plus_here):
    status, out, err = plus_here("profile", "show", "user-0", "--store", "run", "--json")
    assert status == 0, err
    assert data_of(out) == {**json.loads((old / "profile.json").read_text()), "paused_sentences": []}
    status, out, _ = plus_here("profile", "history", "user-0", "--store", "run", "--json")
    assert status == 0 and len(data_of(out)["versions"]) == 3


def test_an_old_run_that_was_cut_goes_on_to_the_same_numbers(old, plus_here):
    status, _, err = plus_here("train", "--output_dir", "run-cut", "--resume_from_checkpoint")
    assert status == 0, err
    clock = ("seconds", "train_runtime")  # and the seconds of each part, which this version adds
    found = [
        [
            {key: value for key, value in row.items() if not key.startswith(clock)}
            for row in read_whole_lines(old / name / "metrics.jsonl")
        ]
        for name in ("run", "run-cut")
    ]
    assert len(found[0]) == len(found[1]) == 2
    for then, now in zip(*found, strict=True):
        assert then.keys() == now.keys()
        # Advantages divide by the spread of rewards, a thousandth here: the rounding of another processor grows by that
        # in the loss, which sums them up to about nothing.
        assert now.pop("loss", 0.0) == pytest.approx(then.pop("loss", 0.0), abs=1e-4)
        assert now == pytest.approx(then, rel=1e-4, abs=1e-6)


def test_an_old_p_love_opens(old):
    love = plus.Love.load("love")
    assert 0 < love.probability("", "Tell me 1.", "I saw cats 1.") < 1


def test_old_cells_of_a_benchmark_are_not_made_again(old, plus_here, monkeypatch):
    before = {path.name: path.read_bytes() for path in (old / "results" / "cells").iterdir()}
    shutil.copytree(shipped("polis_sample"), old / "polis")
    words = ["benchmark", "--dataset_name", "polis", "--data_dir", "polis", "--methods", "majority,bradley_terry"]
    status, _, err = plus_here(*words, "--seeds", "1", "--output_dir", "results")
    assert status == 0, err
    assert {path.name: path.read_bytes() for path in (old / "results" / "cells").iterdir()} == before
    assert len(read_whole_lines(old / "results" / "seconds.jsonl")) == len(before), "no cell was computed again"
