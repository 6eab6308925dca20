"""UKPConvArg1 as its two files are: choices dated by their submission, reasons as remarks."""

from __future__ import annotations

import gzip
import json

import pytest

from plus.errors import SourceError
from plus.sources import ukpconvarg1
from plus.types import Preference


def judgment(number: int, value: str, minute: int, reason: str = "", **change) -> dict:
    return {
        "user_id": "w1",
        "fold": "f",
        "title": "Plastic?",
        "stance": "No",
        "pair_id": f"p{number}",
        "arg1_id": f"a{number}",
        "arg2_id": "b",
        "value": value,
        "reason": reason,
        "submit_time": f"2016-01-31 13:{minute:02}:00.0 UTC",
        **change,
    }


def write(folder, judgments, packed: bool = True):
    arguments = [{"fold": "f", "arg_id": f"a{n}", "stance": "No", "text": f"argument {n} "} for n in range(9)]
    arguments.append({"fold": "f", "arg_id": "b", "stance": "No", "text": "the other"})
    for name, rows in (("arguments", arguments), ("judgments", judgments)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        if packed:
            (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / f"{name}.jsonl").write_text(text)
    return folder


ROWS = [
    judgment(1, "a1", 1, "It is clear."),
    judgment(2, "a2", 2),
    judgment(3, "a1", 3, "Longer."),
    judgment(4, "equal", 4),
]


@pytest.mark.parametrize("packed", [True, False])
def test_choices_and_reasons_in_order_of_time(tmp_path, packed):
    population = ukpconvarg1.load(write(tmp_path, ROWS, packed))
    kinds = [(event.kind, event.content) for event in population.histories["w1"].events]
    prompt = "Plastic? Argue: No."
    assert kinds == [("choice", Preference(prompt, "argument 1", "the other")), ("remark", "It is clear.")]
    assert [e.target for e in population.examples] == [
        Preference(prompt, "the other", "argument 2"), Preference(prompt, "argument 3", "the other"),
    ]  # fmt: skip
    assert population.dropped["judgments that call both arguments equal"] == 1


def test_a_reason_is_never_read_before_its_choice(tmp_path):
    population = ukpconvarg1.load(write(tmp_path, ROWS))
    targets = {example.target for example in population.examples}
    for event in population.histories["w1"].events:
        choice = next((row for row in ROWS if event.id == f"w1-{row['pair_id']}-reason"), None)
        assert choice is None or f"argument {choice['pair_id'][1:]}" not in {t.chosen for t in targets}


def test_faults_are_counted_or_named(tmp_path):
    odd = [
        judgment(5, "a1", 5, arg1_id="nowhere"),
        judgment(6, "a1", 6, submit_time="noon"),
        judgment(7, "a1", 7, arg1_id="b"),
    ]
    dropped = ukpconvarg1.load(write(tmp_path, [*ROWS, *odd])).dropped
    assert dropped["judgments of an argument that the arguments file does not have"] == 1
    assert dropped["judgments whose submit_time cannot be read"] == 1
    assert dropped["judgments whose chosen answer equals the rejected one"] == 1
    (tmp_path / "judgments.jsonl.gz").unlink()
    with pytest.raises(SourceError, match=r"no file judgments.jsonl.gz"):
        ukpconvarg1.load(tmp_path)
