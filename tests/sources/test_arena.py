"""Chatbot Arena rows in the published shape."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plus.errors import SourceError
from plus.sources import arena
from plus.types import Preference


def row(number: int, winner: str, judge: str = "arena_user_1", turns: int = 1, **change) -> dict:
    sides = {
        f"conversation_{side}": [
            message
            for n in range(turns)
            for message in (
                {"role": "user", "content": f"q{number}.{n}"},
                {"role": "assistant", "content": f"{side}{number}.{n}"},
            )
        ]
        for side in "ab"
    }
    return {"question_id": f"id{number}", "model_a": "m", "model_b": "n", "winner": winner, "judge": judge, **sides,
            "turn": turns, "anony": True, "language": "English", "tstamp": 1682351591.5 + number, **change}  # fmt: skip


def load(folder, rows):
    pq.write_table(pa.Table.from_pylist(rows), folder / "train-00000-of-00001.parquet")
    return arena.load(folder)


def test_winners_become_choices_in_order_of_time(tmp_path):
    population = load(
        tmp_path,
        [row(2, "model_b"), row(1, "model_a"), row(3, "tie"), row(4, "tie (bothbad)"), row(5, "model_a", turns=2)],
    )
    assert [event.content for event in population.histories["arena_user_1"].events] == [
        Preference("q1.0", "a1.0", "b1.0")
    ]
    assert [example.target for example in population.examples] == [Preference("q2.0", "b2.0", "a2.0")]
    assert population.dropped == {
        "rows that are ties or have no winner": 2,
        "conversations of more than one exchange": 1,
    }


def test_bad_rows_are_counted(tmp_path):
    empty = [{"role": "user", "content": "q"}, {"role": "assistant", "content": " "}]
    population = load(
        tmp_path, [row(1, "model_a"), row(2, "model_a", conversation_b=empty), row(3, "model_a", judge=None)]
    )
    assert population.dropped["rows whose dialogues differ in more than the last answer"] == 1
    assert population.dropped["rows without a 'user_id'"] == 1


def test_nothing_decided_is_named(tmp_path):
    with pytest.raises(SourceError, match="holds no decided conversation; each row needs judge"):
        load(tmp_path, [row(1, "tie")])
