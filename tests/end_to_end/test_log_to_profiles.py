"""From a chat log in which nobody chose anything to exported summaries that name what each user likes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.running import ENVIRONMENT, ROOT, data_of, plus

from plus.resources import shipped


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_exported_summaries_name_the_planted_preferences(tmp_path):
    """Ingest, pairs, train, export; five minutes on two cores."""
    script = [sys.executable, ROOT / "scripts/log_to_profiles.py", tmp_path / "out"]
    done = subprocess.run(script, capture_output=True, text=True, env=ENVIRONMENT, timeout=1700)
    assert done.returncode == 0, done.stderr[-3000:]
    planted = json.loads((tmp_path / "out/planted.json").read_text())
    exported = [json.loads(line) for line in (tmp_path / "out/profiles.jsonl").read_text().splitlines()]
    named = [f"likes {planted[row['user_id']]}" in row["text"] for row in exported]
    print(f"\n{sum(named)} of {len(named)} summaries name the planted favourite")
    assert len(named) == len(planted) and sum(named) >= 0.9 * len(named)


def test_the_shipped_log_gives_a_pair_for_each_talk_and_only_true_ones(tmp_path):
    """The first half of the script, on the sample that comes with plus: every pair prefers the planted animal."""
    folder = shipped("chats_sample")
    planted = json.loads((folder / "planted.json").read_text())
    assert plus("ingest", folder / "chats.jsonl", "--store", tmp_path / "p.db").returncode == 0
    words = ["pairs", "--store", tmp_path / "p.db", "--engine", "rules", "--output", tmp_path / "pairs.jsonl"]
    done = plus(*words, "--json")
    assert data_of(done.stdout)["kinds"] == {"revised": 60}, done.stderr
    for row in map(json.loads, (tmp_path / "pairs.jsonl").read_text().splitlines()):
        animal = planted[row["user_id"]]
        assert animal in row["chosen"][0]["content"] and animal not in row["rejected"][0]["content"]
