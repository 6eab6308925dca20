"""The public PLUS rows: contexts stay one text, and nothing is split at "User:" again."""

from __future__ import annotations

import json

import pytest

from plus.errors import SourceError
from plus.prompts import scorer_messages
from plus.sources import plus_rows
from plus.types import Preference


def row(number: int, **change) -> dict:
    context = f'Past choices {number}.\nUser: hi\nAssistant: yo\nStart your response with "##Summary"'
    said = {"context": context, "context_messages": [{"role": "user", "content": context}]}
    for prefix, prompt in (("", "reward_prompt"), ("train_", "train_prompt"), ("eval_", "eval_prompt")):
        said |= {prompt: f"{prompt} {number}", f"{prefix}chosen": f"good {prefix}{number}", f"{prefix}rejected": "bad"}
    return {**said, **change}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_training_rows_train_and_hold_the_evaluation_out(tmp_path):
    write(tmp_path / "train.jsonl", [row(1)])
    write(tmp_path / "test.jsonl", [row(2)])
    population = plus_rows.load(tmp_path)
    assert sorted(((e.target.prompt, e.split) for e in population.examples), key=lambda item: item[0][-1]) == [
        ("reward_prompt 1", "train"),
        ("train_prompt 1", "train"),
        ("eval_prompt 1", "validation"),
        ("eval_prompt 2", "test"),
    ]
    assert population.dropped == {"training pairs in rows to be tested on": 2}
    (event,) = population.examples[0].history.events
    assert event.content == "Past choices 1.\nUser: hi\nAssistant: yo", "our own instruction is added later"


def test_a_rendered_conversation_becomes_turns(tmp_path):
    write(tmp_path / "train.jsonl", [row(1, reward_prompt="User: a\nAssistant: b\nUser: c")])
    pair = plus_rows.load(tmp_path).examples[0].target
    assert [(turn.role, turn.content) for turn in pair.earlier] == [("user", "a"), ("assistant", "b")]
    roles = [m["role"] for m in scorer_messages("", pair.conversation, pair.chosen)]
    assert pair.prompt == "c" and roles == ["user", "assistant", "user", "assistant"]


def test_one_file_is_dealt_by_context_and_twins_are_counted(tmp_path):
    same = {
        "train_prompt": "p",
        "train_chosen": "c",
        "train_rejected": "r",
        "reward_prompt": "p",
        "chosen": "c",
        "rejected": "r",
    }
    write(tmp_path / "rows.jsonl", [row(n, **same) for n in range(10)])
    population = plus_rows.load(tmp_path / "rows.jsonl", seed=1)
    assert [len(population.users(split)) for split in ("train", "validation", "test")] == [
        6,
        7,
        3,
    ]  # evaluation pairs are validation
    assert population.dropped["pairs that stand twice beside one context"] == 10
    assert all(e.target != Preference("p", "c", "r") or e.split != "test" or e.history for e in population.examples)


def test_bad_rows_are_counted_and_a_file_of_none_is_named(tmp_path):
    write(tmp_path / "train.jsonl", [row(1), row(2, chosen=""), row(3, context_messages=None, context=None)])
    dropped = plus_rows.load(tmp_path / "train.jsonl").dropped
    assert dropped["rows with an empty answer"] == 1
    assert dropped["rows whose 'context_messages' is neither text nor a list of messages"] == 1
    write(tmp_path / "none.jsonl", [{"text": "x"}])
    with pytest.raises(SourceError, match="holds no PLUS row"):
        plus_rows.load(tmp_path / "none.jsonl")
