"""Checks count the rows that loading uses, in little memory."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from plus.sources.check import Tally, check


def log(users: int = 10, each: int = 6) -> list[dict]:
    choice = {"prompt": "p", "chosen": "yes", "rejected": "no"}
    return [{"user_id": f"u{u}", **choice, "timestamp": 1_700_000_000 + n} for u in range(users) for n in range(each)]


def test_check_counts_what_load_uses(tmp_path):
    lines = [*log(), {"user_id": 7, "prompt": "p", "completion": "c", "label": True}, "oops", {"user_id": "u0"},
           {"user_id": "x", "messages": [{"role": "human", "content": "hi"}], "timestamp": "2024-01-01"}]  # fmt: skip
    path = tmp_path / "my.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    facts = check(path).to_json()
    assert (facts["rows"], facts["kept"], facts["users"]) == (64, 62, 12)
    assert facts["shape"] == "standard preference, explicit prompt + reactions + unlabelled conversations"
    assert facts["dropped"] == {
        "lines that are no JSON object": 1,
        "rows with neither {chosen, rejected}, {completion, label} nor {messages}": 1,
    }
    assert facts["timestamps"] == {"seconds": 60, "none": 1, "ISO texts": 1}
    assert facts["events_per_user"] == {"min": 1, "median": 6, "max": 6}
    assert any("joins standard texts" in note for note in facts["notes"])
    assert any("several formats" in note for note in facts["notes"])


@given(st.lists(st.integers(0, 40)))
def test_it_counts_like_a_counter(keys):
    tally, truth = Tally(), Counter()
    for key in keys:
        assert tally.add(("user", key)) == truth[key]
        truth[key] += 1
    assert len(tally) == len(truth)
    assert tally.counts() == sorted(truth.values())


def test_it_grows_and_a_key_that_hashes_to_zero_is_a_key():
    tally = Tally()
    for round_ in range(2):
        assert [tally.add(number) for number in range(5000)] == [round_] * 5000
    assert len(tally) == 5000
    # 0 marks a free slot, so the keys 0 and 1 may not share one by accident of that.
    assert tally.counts() == [2] * 5000
