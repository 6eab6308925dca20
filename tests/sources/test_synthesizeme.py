"""SynthesizeMe rows (role "model"), alone and as PersonalRewardBench's files."""

from __future__ import annotations

import json

import pytest

from plus.errors import SourceError
from plus.sources import synthesizeme
from plus.types import Preference, Turn


def row(user: str, number: int, split: str | None = None) -> dict:
    said = {
        "conversation_id": f"c{number}",
        "user_id": user,
        "context": [{"content": f"q{number}", "role": "user"}],
        "chosen": {"content": f"good {number}", "role": "model"},
        "rejected": {"content": f"bad {number}", "role": "model"},
        "turns": 1,
        "type": "unguided",
        "flip": False,
    }
    return {**said, "split": split} if split else said


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_benchmark_files_state_users_and_choices(tmp_path):
    for name, user in (("train", "ann"), ("validation", "bob"), ("test", "cem")):
        rows = [row(user, n, split) for n, split in enumerate(["train", "train", "val", "test"])]
        write(tmp_path / f"{name}-00000-of-00001.jsonl", rows)
    population = synthesizeme.load_prism(tmp_path)
    assert [(e.history.user_id, e.split, e.target) for e in population.examples] == [
        (user, split, Preference("q3", "good 3", "bad 3"))
        for user, split in (("ann", "train"), ("bob", "validation"), ("cem", "test"))
    ]
    assert all(len(history.events) == 3 for history in population.histories.values())


def test_a_target_known_from_the_context_is_left_out(tmp_path):
    write(
        tmp_path / "rows.jsonl",
        [row("ann", 1, "train"), row("ann", 1, "test"), row("ann", 2, "test"), row("bob", 3, "test")],
    )
    population = synthesizeme.load(tmp_path / "rows.jsonl")
    assert [e.target.prompt for e in population.examples] == ["q2"]
    assert population.dropped == {
        "targets that stand in their own context": 1,
        "targets of users without past events to read": 1,
    }


def test_rows_without_a_split_get_a_context_in_any_order(tmp_path):
    rows = [row(user, n) for user in ("ann", "bob") for n in range(4)]
    rows[0]["context"] = [
        {"role": "user", "content": "x"},
        {"role": "model", "content": "y"},
        {"role": "user", "content": "q0"},
    ]
    write(tmp_path / "a.jsonl", rows)
    write(tmp_path / "b.jsonl", reversed(rows))
    one, two = synthesizeme.load(tmp_path / "a.jsonl"), synthesizeme.load(tmp_path / "b.jsonl")
    assert one.examples == two.examples and len(one.examples) == 4
    told = {e.content for h in one.histories.values() for e in h.events} | {e.target for e in one.examples}
    assert Preference("q0", "good 0", "bad 0", (Turn("user", "x"), Turn("assistant", "y"))) in told


def test_bad_rows_are_counted_under_the_columns_of_the_file(tmp_path):
    write(tmp_path / "a.jsonl", [row("ann", 1), row("ann", 2), {**row("ann", 3), "context": [["nested"]]}])
    assert (
        synthesizeme.load(tmp_path / "a.jsonl").dropped["rows whose 'context' is neither text nor a list of messages"]
        == 1
    )
    write(tmp_path / "b.jsonl", [{"a": 1}])
    with pytest.raises(SourceError, match="holds no SynthesizeMe row"):
        synthesizeme.load(tmp_path / "b.jsonl")
