"""Signals of a file: the command and the Python door."""

from __future__ import annotations

import pytest
from support.logs import write
from support.running import data_of, plus

from plus import doors, signals
from plus.errors import SettingError, SourceError
from plus.signals import find
from plus.types import Dropped


def test_the_command_gives_a_label_a_probability_and_the_words(tmp_path):
    said = [{"role": role, "content": text} for role, text in
            [("user", "Hi"), ("assistant", "Hello"), ("tool", "x"), ("user", "Perfect, thanks!")]]  # fmt: skip
    write(tmp_path / "c.jsonl", [{"id": "c1", "conversation": said}, {"conversation": 3}])
    done = plus("signals", tmp_path / "c.jsonl", "--engine", "rules", "--json")
    assert done.returncode == 0 and "c.jsonl line 2" in done.stderr, done.stderr
    receipt = data_of(done.stdout)
    first, turn = receipt["turns"]
    assert (first["turn"], first["label"], receipt["engine"]) == (0, "none", "rules")
    assert (turn["id"], turn["turn"], turn["label"], turn["where"]) == ("c1", 3, "satisfied", "c.jsonl line 1")
    assert {(span["rubric"], span["text"]) for span in turn["evidence"]} == {
        ("gratitude", "thanks"),
        ("praise", "Perfect"),
    }
    assert 0.5 < turn["probability"] < 1
    assert receipt["dropped"] == {"rows without a conversation": 1, "turns of tools": 1}
    assert plus("signals", tmp_path / "none.jsonl").returncode == 2


def test_the_python_door_gives_what_the_command_prints(tmp_path):
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Great job!"},
    ]
    write(tmp_path / "c.jsonl", [{"id": "c1", "messages": messages}])
    report = signals(tmp_path / "c.jsonl", engine="rules")
    assert [(one.turn, one.label) for one in report.turns] == [(0, "none"), (2, "satisfied")]
    assert report.turns[1].evidence[0].text == "Great job"
    done = plus("signals", tmp_path / "c.jsonl", "--engine", "rules", "--json")
    assert data_of(done.stdout) == report.to_json()
    with pytest.raises(SourceError, match="there is no file"):
        doors.resolve("signals")(tmp_path / "none.jsonl")
    with pytest.raises(SettingError, match="--base_url"):
        signals(tmp_path / "c.jsonl", model="m")


def test_the_rules_label_unless_another_engine_is_named_and_results_come_before_the_file_is_read(tmp_path):
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    log = tmp_path / "c.jsonl"
    write(log, [{"messages": [*said, {"role": "user", "content": "Great job!"}]}] * 500)
    engine = find.choose_engine("rules", None, None, None, find.SILENT)
    dropped = Dropped()
    first = next(find.label_file(log, engine, dropped))
    assert (first.where, first.label) == ("c.jsonl line 1", "none")
    done = plus("signals", log, "--json")
    made = data_of(done.stdout)
    assert made["engine"] == "rules" and len(made["turns"]) == 1000 and next(iter(made)) == "turns"
    assert "1,000 turns by rules: 500 none, 500 satisfied" in plus("signals", log).stdout


def test_nothing_is_printed_of_a_file_without_conversations(tmp_path):
    log = tmp_path / "c.jsonl"
    write(log, [{"a": 1}])
    done = plus("signals", log, "--json")
    assert done.returncode == 2 and data_of(done.stdout, "source") is None and "nothing can be used" in done.stderr
