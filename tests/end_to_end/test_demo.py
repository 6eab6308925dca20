"""The demo keeps its promises: demo.toml, every seed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.running import data_of, plus

from plus.benchmark.evidence import missed


def kept(result: dict) -> None:
    assert missed(result) == []
    assert len(result["examples"]) == 5
    for example in result["examples"]:
        assert "talked about" in example["before"]
        assert example["after"] == example["truth"]


def test_the_demo_keeps_its_promises_and_leaves_a_run_folder(demo):
    kept(demo)
    run = Path(demo["run"])
    expected = {
        "config.json", "metrics.jsonl", "samples.jsonl", "summaries.jsonl", "report.json", "curves.png", "README.md",
        "summarizer", "reward_model", "bradley_terry",
    }  # fmt: skip
    assert expected <= {path.name for path in run.iterdir()}
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in metrics] == list(range(1, len(metrics) + 1))
    logged = {
        "reward", "margin", "accuracy", "accuracy_empty", "accuracy_other", "summary_gain", "kl", "entropy",
        "summary_length", "distinct_summaries", "seconds", "tokens", "reward_model_loss",
    }  # fmt: skip
    assert all(logged <= row.keys() for row in metrics)
    summaries = [json.loads(line) for line in (run / "summaries.jsonl").read_text().splitlines()]
    assert len({row["user_id"] for row in summaries}) == len(summaries) == 2048 + 2000


def test_the_demo_ends_with_one_real_voter_line_by_line_and_the_gains(demo):
    """The voter shown is the one of all test voters whom the summary helps most, and is said to be."""
    real = demo["real"]
    voter = real["voter"]
    assert real["dataset"] == "polis/polis_taxes" and voter["of_users"] == real["test"]["users"] >= 60
    assert 1 <= len(voter["lines"]) <= 8
    assert all(line["text"].startswith(("Agreed: ", "Disagreed: ")) for line in voter["lines"])
    assert voter["accuracy"] >= voter["accuracy_empty"] and any(line["worth"] > 0 for line in voter["lines"])
    for where in ("all", "controversial"):
        for found in real["gains"][where].values():
            assert found["low"] < found["mean"] < found["high"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_every_seed_keeps_them(tmp_path, seed):
    done = plus("demo", "--seed", str(seed), "--output_dir", tmp_path / "run", "--json", timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    kept(data_of(done.stdout))
