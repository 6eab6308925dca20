"""Whole jobs from Python: the same run as the command line's, as a typed result."""

from __future__ import annotations

import json

import pytest
from support.running import data_of

import plus
from plus.errors import RunError, SettingError
from plus.recipes import TrainResult
from plus.resources import shipped

SMALL = {
    "dataset_name": "polis", "data_dir": str(shipped("polis_sample")), "preset": "tiny", "max_steps": 2,
    "per_device_train_batch_size": 32,
}  # fmt: skip


def metrics(folder) -> list[dict]:
    """The lines of metrics.jsonl without what a clock says."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if "second" not in key and "time" not in key} for row in rows]


def test_train_from_python_gives_the_metrics_of_the_command_line(tmp_path, plus_here):
    lines: list[str] = []
    result = plus.train(**SMALL, output_dir=tmp_path / "python", screen=plus.Screen(say=lines.append))
    assert isinstance(result, TrainResult) and result.folder == tmp_path / "python"
    assert any("users" in line for line in lines), "the screen is told what was read"
    options = [word for key, value in SMALL.items() for word in (f"--{key}", str(value))]
    status, out, err = plus_here("train", *options, "--output_dir", tmp_path / "command", "--json")
    assert status == 0, err
    assert len(metrics(result.folder)) == 2 and metrics(result.folder) == metrics(tmp_path / "command")
    assert json.loads(json.dumps(result.report)) == data_of(out)
    assert set(result.summaries) == {
        json.loads(line)["user_id"] for line in (tmp_path / "command" / "summaries.jsonl").read_text().splitlines()
    }
    with pytest.raises(RunError, match="is in use"):
        plus.train(**SMALL, output_dir=result.folder)


def test_what_cannot_be_run_raises_and_leaves_nothing(tmp_path):
    with pytest.raises(SettingError, match="unknown option --max_step; did you mean --max_steps"):
        plus.train(dataset_name="pets", preset="tiny", max_step=3, output_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_demo_goes_on_without_real_people_where_no_sentence_model_can_be_had(tmp_path, monkeypatch):
    from plus.recipes import training
    from plus.train import select_run

    monkeypatch.setitem(select_run.RUN_OPTIONS, "embedding_model", str(tmp_path / "nowhere"))
    given = training._real_people(tmp_path / "run", 0, plus.Screen(say=lambda line: None))
    assert list(given) == ["not_run"] and "embed-offline" in given["not_run"]
