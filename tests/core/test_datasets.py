"""Data sets by name or by path, and their rows in the one format."""

from __future__ import annotations

import json

import pytest

from plus import datasets
from plus.errors import SettingError, SourceError
from plus.train import select_run


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


def test_a_sample_of_a_named_set_has_whole_users_and_the_run_says_so():
    said: list[str] = []
    whole = datasets.load("pets", seed=0)
    users, settings = len(whole.histories), {"max_users": 300, "user_share": 1.0, "resume_from_checkpoint": None}
    after, kept = select_run.sampled_set(settings, whole, said.append)
    assert after["user_share"] == 300 / users and f"about 300 of {users:,} users" in said[0]
    assert 200 < len(kept.histories) < 400 and set(kept.personas) <= set(kept.histories)
    assert {row.history.user_id for row in kept.rows} <= set(kept.histories)
    # The same users when config.json is read again, and all where there are no more than asked for.
    again = datasets.load("pets", seed=0, user_share=after["user_share"])
    assert again.rows == kept.rows and again.histories == kept.histories
    assert select_run.sampled_set(settings | {"max_users": users}, whole, said.append)[1] is whole and len(said) == 1
