"""A file of one's own becomes a population, whatever the order of its rows, and rows of the one format."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.running import ENVIRONMENT

from plus.errors import SourceError
from plus.resources import shipped
from plus.sources import generic
from plus.sources.check import check
from plus.sources.splits import Plan
from plus.types import Dropped
from plus.worlds import pets

COLUMNS = {"id", "user_id", "session_id", "timestamp", "source", "split"}


def rows(users: int = 10, each: int = 6, **extra) -> list[dict]:
    return [
        {
            "user_id": f"u{u}",
            "prompt": f"p{n} of {u}",
            "chosen": "yes",
            "rejected": "no",
            "timestamp": 1_700_000_000 + n,
            **extra,
        }
        for u in range(users)
        for n in range(each)
    ]


def write(path, lines):
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_a_file_becomes_contexts_and_targets(tmp_path):
    population = generic.load(write(tmp_path / "my.jsonl", rows()), seed=1)
    assert population.name == "my"
    assert [len(population.users(split)) for split in ("train", "validation", "test")] == [6, 1, 3]
    assert {len(history.events) for history in population.histories.values()} == {3}
    assert len(population.examples) == 30
    assert population.histories["u0"].events[0].source == "my"


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99))
def test_the_order_of_lines_is_irrelevant(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("order")
    log = rows(4, 4) + rows(1, 4) + [{**row, "id": "same", "prompt": row["prompt"] + "!"} for row in rows(2, 2)]
    log += [{"user_id": "u0", "messages": [{"role": "user", "content": "hi"}]}]
    shuffled = random.Random(seed).sample(log, len(log))
    one, two = (generic.load(write(folder / "my.jsonl", lines), 0, allow_dropped=True) for lines in (log, shuffled))
    assert (one.examples, one.histories, dict(one.dropped)) == (two.examples, two.histories, dict(two.dropped))


def test_stated_splits_are_kept_and_flags_win_over_them(tmp_path):
    stated = [{**row, "split": "test" if row["user_id"] < "u3" else "train"} for row in rows()]
    path = write(tmp_path / "my.jsonl", stated)
    assert set(generic.load(path).users("test")) == {"u0", "u1", "u2"}
    assert len(generic.load(path, plan=Plan("users", test=0.5)).users("test")) == 4, "half of ten on average"
    everything = [{**row, "split": "train"} for row in rows()]
    assert generic.load(write(tmp_path / "one.jsonl", everything)).users("test"), "one split for all states nothing"


def test_more_than_five_percent_left_out_stops_unless_allowed(tmp_path):
    path = write(tmp_path / "my.jsonl", [*rows(2, 9), "oops"])
    with pytest.raises(
        SourceError,
        match=r"5.3% of 19 rows .* 1 x lines that are no JSON object \(first: my.jsonl line 19\); .* --allow_dropped",
    ):
        generic.load(path)
    assert generic.load(path, allow_dropped=True).dropped["lines that are no JSON object"] == 1
    assert generic.load(write(tmp_path / "fine.jsonl", [*rows(4, 5), "oops"]))  # 4.8 %


def test_a_missing_user_column_is_named_with_what_is_there(tmp_path):
    path = write(tmp_path / "my.jsonl", [{"who": "a", "prompt": "p", "chosen": "x", "rejected": "y"}])
    with pytest.raises(
        SourceError, match=r"the row's columns are who, prompt, chosen, rejected; name .* --user_id_column"
    ):
        generic.load(path)
    assert generic.load(path, user_id_column="who").histories.keys() == {"a"}
    with pytest.raises(SourceError, match="is empty"):
        generic.load(write(tmp_path / "empty.jsonl", []))


def test_duplicate_ids_of_one_user_are_counted_and_of_two_users_are_not(tmp_path):
    log = [{**row, "id": row["timestamp"]} for row in rows(3, 4)]
    path = write(tmp_path / "my.jsonl", [*log, log[0]])
    assert generic.load(path, allow_dropped=True).dropped["rows with an id that the user already has"] == 1
    assert check(path).to_json()["dropped"] == {"rows with an id that the user already has": 1}


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
    counts = generic.write(generic.split_rows(log, Dropped(), plan), tmp_path / "out")
    assert sum(counts.values()) == 71 and counts["events"] == 11
    back, direct = generic.load(tmp_path / "out"), generic.load(log, plan=plan)
    assert {(e.history.user_id, e.target, e.split) for e in back.examples} == {
        (e.history.user_id, e.target, e.split) for e in direct.examples
    }
    assert [len(back.split(name)) for name in generic.SPLITS] == [len(direct.split(name)) for name in generic.SPLITS]


def test_rows_have_trls_columns_and_ours(tmp_path, log):
    generic.write(generic.split_rows(log, Dropped(), Plan()), tmp_path / "out")
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
        generic.write([], tmp_path / "out")


def test_a_named_population_becomes_rows_that_give_the_same_targets(tmp_path):
    population = pets.load(0, train_users=6, test_pairs=3)
    counts = generic.write(generic.population_rows(population), tmp_path / "out")
    assert counts == {"train": 6 * 7, "test": 6 * 4}
    back = generic.load(tmp_path / "out", plan=Plan(past_events=3))
    assert len(back.examples) == len(population.examples)
    for user, history in population.histories.items():
        assert [e.content for e in back.histories[user].events] == [e.content for e in history.events]


def test_trl_reads_and_trains_on_the_folder(tmp_path, log):
    from datasets import load_dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from trl import RewardConfig, RewardTrainer

    generic.write(generic.split_rows(log, Dropped(), Plan()), tmp_path / "out")
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
        model,
        RewardConfig(str(tmp_path / "run"), gradient_checkpointing=False, **options),
        train_dataset=data["train"],
        processing_class=AutoTokenizer.from_pretrained(shipped("tiny_base")),
    )
    trainer.train()
    assert len(trainer.train_dataset) == len(data["train"])


@pytest.mark.slow
def test_trl_reward_itself_trains_on_the_folder(tmp_path, log):
    """TRL's own command line, which comes with TRL."""
    generic.write(generic.split_rows(log, Dropped(), Plan()), tmp_path / "out")
    command = [
        str(Path(sys.executable).with_name("trl")),
        "reward",
        "--model_name_or_path",
        str(shipped("tiny_base")),
        "--dataset_name",
        str(tmp_path / "out"),
        "--output_dir",
        str(tmp_path / "run"),
        "--max_steps",
        "2",
        "--use_cpu",
        "--bf16",
        "False",
        "--report_to",
        "none",
        "--eval_strategy",
        "no",
    ]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "run" / "model.safetensors").exists()
