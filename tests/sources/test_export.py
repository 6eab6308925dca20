"""Rows in the one format: what is written is read back the same, and nothing is overwritten."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.running import ENVIRONMENT

from plus.errors import SourceError
from plus.resources import shipped
from plus.sources import export, generic
from plus.sources.splits import Plan
from plus.types import Dropped
from plus.worlds import pets

COLUMNS = {"id", "user_id", "session_id", "timestamp", "source", "split"}


@pytest.fixture
def log(tmp_path):
    turns = [{"role": "user", "content": "hi"}, {"role": "model", "content": "yo"}]
    rows = [
        {
            "user_id": f"u{u}",
            "prompt": f"p{n} of {u}",
            "chosen": "yes",
            "rejected": "no",
            "timestamp": n,
            "session_id": f"s{n // 3}",
        }
        for u in range(10)
        for n in range(6)
    ]
    rows += [{"user_id": f"u{u}", "messages": turns, "timestamp": -1} for u in range(10)]
    rows += [
        {
            "user_id": "u0",
            "prompt": [*turns, {"role": "user", "content": "q"}],
            "completion": "c",
            "label": False,
            "timestamp": -2,
        }
    ]
    path = tmp_path / "my.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("split_by", ["users", "topics", "later"])
def test_what_is_split_is_read_back_with_the_same_splits(tmp_path, log, split_by):
    plan = Plan(split_by, seed=3)
    counts = export.write(generic.split_rows(log, Dropped(), plan), tmp_path / "out")
    assert sum(counts.values()) == 71 and counts["events"] == 11
    back, direct = generic.load(tmp_path / "out"), generic.load(log, plan=plan)
    assert {(e.history.user_id, e.target, e.split) for e in back.examples} == {
        (e.history.user_id, e.target, e.split) for e in direct.examples
    }
    assert [len(back.split(name)) for name in export.SPLITS] == [len(direct.split(name)) for name in export.SPLITS]


def test_rows_have_trls_columns_and_ours(tmp_path, log):
    export.write(generic.split_rows(log, Dropped(), Plan()), tmp_path / "out")
    rows = [json.loads(line) for path in (tmp_path / "out").iterdir() for line in path.open()]
    kinds = {frozenset(row.keys() - COLUMNS) for row in rows}
    assert kinds == {
        frozenset({"prompt", "chosen", "rejected"}),
        frozenset({"prompt", "completion", "label"}),
        frozenset({"messages"}),
    }
    assert all(row.keys() >= COLUMNS for row in rows)
    pair = next(row for row in rows if "chosen" in row)
    assert pair["chosen"] == [{"role": "assistant", "content": "yes"}] and pair["session_id"] in ("s0", "s1")
    with pytest.raises(SourceError, match="nothing is overwritten"):
        export.write([], tmp_path / "out")


def test_a_named_population_becomes_rows_that_give_the_same_targets(tmp_path):
    population = pets.load(0, train_users=6, test_pairs=3)
    counts = export.write(export.population_rows(population), tmp_path / "out")
    assert counts == {"train": 6 * 7, "test": 6 * 4}
    back = generic.load(tmp_path / "out", plan=Plan(past_events=3))
    assert len(back.examples) == len(population.examples)
    for user, history in population.histories.items():
        assert [e.content for e in back.histories[user].events] == [e.content for e in history.events]


def test_trl_reads_and_trains_on_the_folder(tmp_path, log):
    from datasets import load_dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from trl import RewardConfig, RewardTrainer

    export.write(generic.split_rows(log, Dropped(), Plan()), tmp_path / "out")
    data = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert set(data) == {"train", "validation", "test"}
    options = {
        "max_steps": 1,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    model = AutoModelForSequenceClassification.from_pretrained(shipped("tiny_base"), num_labels=1)
    trainer = RewardTrainer(
        model, RewardConfig(str(tmp_path / "run"), gradient_checkpointing=False, **options), train_dataset=data["train"],
        processing_class=AutoTokenizer.from_pretrained(shipped("tiny_base")),
    )  # fmt: skip
    trainer.train()
    assert len(trainer.train_dataset) == len(data["train"])


@pytest.mark.slow
def test_trl_reward_itself_trains_on_the_folder(tmp_path, log):
    """TRL's own command line, which comes with TRL."""
    export.write(generic.split_rows(log, Dropped(), Plan()), tmp_path / "out")
    command = [
        str(Path(sys.executable).with_name("trl")), "reward", "--model_name_or_path", str(shipped("tiny_base")), "--dataset_name", str(tmp_path / "out"),
        "--output_dir", str(tmp_path / "run"), "--max_steps", "2", "--use_cpu", "--bf16", "False", "--report_to", "none", "--eval_strategy", "no",
    ]  # fmt: skip
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "run" / "model.safetensors").exists()
