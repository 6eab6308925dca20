"""Histories of a large file, one user at a time: the same as those of the whole file in memory."""

from __future__ import annotations

import json
import random

import pytest

from plus.errors import SourceError
from plus.sources.histories import UserLines, read_histories


def rows(count: int, users: int) -> list[str]:
    rng = random.Random(0)
    found = []
    for number in range(count):
        user = rng.choice([f"ü{rng.randrange(users)}", rng.randrange(users)])
        time = {"timestamp": rng.randrange(9)} if rng.random() < 0.8 else {}
        said = {"chosen": f"Tea ❤️ {number}.", "rejected": "Coffee."} if number % 3 else {"completion": "x", "label": 1}
        found.append(json.dumps({"user_id": user, "prompt": "Which?", **said, **time}, ensure_ascii=number % 2 == 0))
    return found


def test_each_user_is_read_as_from_the_whole_file(tmp_path):
    path, lines = tmp_path / "c.jsonl", rows(200, 12)
    for place, bad in ((3, "no JSON"), (50, '{"user_id": null}'), (90, '{"user_id": 5, "prompt": "?"}'), (120, "")):
        lines.insert(place, bad)
    path.write_text("\n".join(lines) + '\n{"user_id": "only", "chosen": "", "rejected": ""}', encoding="utf-8")
    whole, dropped = read_histories(path)
    one_by_one = UserLines(path)
    found = {user: history for user, history in one_by_one.items() if history.events}
    assert found == whole and list(found) == list(whole)
    assert (one_by_one.dropped, one_by_one.dropped.first) == (dropped, dropped.first)
    assert len(one_by_one) == len(whole) + 1, "a user without a usable line is known, and has no events"


@pytest.mark.parametrize("text", ["", "no JSON\n", '{"user_id": "ann", "chosen": "", "rejected": ""}\n'])
def test_a_file_without_a_usable_line_is_refused_at_once(tmp_path, text):
    (tmp_path / "c.jsonl").write_text(text)
    with pytest.raises(SourceError, match=r"c\.jsonl holds no usable row"):
        UserLines(tmp_path / "c.jsonl")
    with pytest.raises(SourceError, match=r"absent\.jsonl cannot be read: No such file"):
        UserLines(tmp_path / "absent.jsonl")
