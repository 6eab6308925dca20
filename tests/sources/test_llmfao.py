"""LLMFAO judgments: rows kept and counted."""

from __future__ import annotations

import json

from plus.sources import llmfao
from plus.types import Preference


def test_llmfao_counts_what_it_leaves_out(tmp_path):
    pairs = [
        {"id": 0, "text": "Q", "result_x": "left answer", "result_y": "right answer"},
        {"id": 1, "text": "Q", "result_x": "same", "result_y": "same"},
        {"id": 2, "text": "Q2", "result_x": "", "result_y": "b"},
        {"id": 3, "text": "Q3", "result_x": "a", "result_y": "b"},
    ]
    judged = [
        ("0", "w", "left"),
        ("1", "w", "left"),
        ("2", "w", "right"),
        ("3", "w", "right"),
        ("0", "v", "tie"),
        ("9", "v", "left"),
        ("0", "v", "up"),
        ("0", "u", "right"),
    ]
    (tmp_path / "pairs-crowd.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    (tmp_path / "crowd-comparisons.csv").write_text(
        "id,worker,winner\n" + "\n".join(",".join(row) for row in judged) + "\n"
    )
    users = llmfao.load(tmp_path)
    contents = {event.content for event in users.histories["w"].events} | {e.target for e in users.examples}
    assert contents == {
        Preference("Q", "left answer", "right answer"),
        Preference("Q2", "b", ""),
        Preference("Q3", "b", "a"),
    }
    assert sum(users.dropped.values()) == 5
    assert users.dropped["judgments whose chosen answer equals the rejected one"] == 1
    assert users.dropped["users with a single choice, which leaves nothing to predict"] == 1
