"""Data sets by name or by path, and their rows in the one format."""

from __future__ import annotations

import json

import pytest

from plus import datasets
from plus.errors import SettingError, SourceError


def test_named_takes_paths_and_refuses_what_is_neither(tmp_path):
    path = tmp_path / "my.jsonl"
    choice = {"prompt": "p", "chosen": "yes", "rejected": "no"}
    rows = [{"user_id": f"u{n % 10}", **choice, "id": n, "timestamp": n} for n in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"dataset_name": str(path), "data_dir": None, "seed": 3, "past_events": "1-2", "split_by": "later"}
    population = datasets.from_settings(options)
    assert population.examples == datasets.from_settings(options).examples
    assert {len(history.events) for history in population.histories.values()} <= {1, 2}
    with pytest.raises(SourceError, match=r"there is no data set 'petz'; .* did you mean pets"):
        datasets.load("petz")
    with pytest.raises(SettingError, match="--split_by is for rows of your own"):
        datasets.load("pets", split_by="later")
    with pytest.raises(SettingError, match="--past_events is 'few'"):
        datasets.load(str(path), past_events="few")
    with pytest.raises(SourceError, match="no file or folder"):
        datasets.load(str(tmp_path / "absent.jsonl"))


def test_head_gives_the_first_usable_rows_in_the_one_format(tmp_path):
    path = tmp_path / "my.jsonl"
    lines = [{"user_id": f"u{n}", "prompt": "p", "chosen": "yes", "rejected": "no"} for n in range(3)]
    path.write_text("oops\n" + "".join(json.dumps(line) + "\n" for line in lines))
    assert [row["user_id"] for row in datasets.head(str(path), 2)] == ["u0", "u1"]
    assert next(datasets.head("pets", 1))["session_id"] == "context"
    path.write_text("oops\n")
    with pytest.raises(SourceError, match="has no usable row"):
        next(datasets.head(str(path)))


def test_split_writes_a_folder_and_says_what_it_wrote(tmp_path):
    written = datasets.split("pets_ood_k2", tmp_path / "out", seed=1)
    assert written.to_json() == {"output_dir": str(tmp_path / "out"), "rows": dict(written.rows), "dropped": {}}
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == sorted(written.rows)
    with pytest.raises(SettingError, match="--split_by is 'mood'"):
        datasets.split(str(tmp_path / "out"), tmp_path / "again", split_by="mood")
