"""kill -9, three times in one run: the resumed run is the uninterrupted one, bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.running import ENVIRONMENT, plus

from plus.jsonl import read_whole_lines
from plus.resources import shipped
from plus.train.run_folder import TIMING
from plus.train.trainer import last_checkpoint

STEPS = 9
OPTIONS = [
    "--preset", "tiny", "--dataset_name", "polis", "--data_dir", str(shipped("polis_sample")),
    "--max_steps", str(STEPS), "--per_device_train_batch_size", "16", "--max_prompt_length", "160",
    "--max_completion_length", "8", "--save_steps", "2", "--seed", "3", "--lr_scheduler_type", "linear",
]  # fmt: skip


def start(folder: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "plus", "train", *more, "--output_dir", str(folder), "--json"]
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def kill_after(process: subprocess.Popen, folder: Path, step: int) -> None:
    """kill -9 as soon as `step` is in metrics.jsonl, at whatever the process is doing then."""
    deadline = time.monotonic() + 800
    while process.poll() is None and time.monotonic() < deadline:
        if any(row["step"] >= step for row in read_whole_lines(folder / "metrics.jsonl")):
            os.killpg(process.pid, signal.SIGKILL)
            break
        time.sleep(0.01)
    process.wait(30)


def lines(folder: Path, name: str) -> list[dict]:
    rows = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in TIMING} for row in rows]


@pytest.mark.slow
def test_killed_three_times_and_resumed_equals_uninterrupted(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert start(whole, *OPTIONS).wait(800) == 0
    rng = random.Random(os.environ.get("PLUS_KILL_SEED", "0"))
    first, second, third = sorted(rng.sample(range(1, STEPS), 3))
    kill_after(start(broken, *OPTIONS), broken, first)
    kill_after(start(broken, "--resume_from_checkpoint"), broken, second)
    kill_after(start(broken, "--resume_from_checkpoint"), broken, third)
    assert not (broken / "report.json").exists(), "it must have been interrupted"
    assert start(broken, "--resume_from_checkpoint").wait(800) == 0
    for name in ("metrics.jsonl", "samples.jsonl", "summaries.jsonl"):
        assert lines(broken, name) == lines(whole, name), name
    assert [row["step"] for row in lines(broken, "metrics.jsonl")] == list(range(1, STEPS + 1)), "no gap, no repeat"
    for part in ("summarizer", "reward_model", "bradley_terry"):
        one, two = (load_file(folder / part / "model.safetensors") for folder in (whole, broken))
        assert one.keys() == two.keys()
        assert all(torch.equal(tensor, two[name]) for name, tensor in one.items()), part
    assert json.loads((whole / "report.json").read_text()) == json.loads((broken / "report.json").read_text())
    assert len(list(broken.glob("checkpoint-*"))) == 2, "the last two are kept"

    # A checkpoint that a crash cut short is passed over, and continuing with other options is refused.
    newest = last_checkpoint(broken)
    state = (newest / "trainer_state.json").read_text()
    (newest / "trainer_state.json").write_text(state[: len(state) // 2])
    assert last_checkpoint(broken) != newest
    refused = plus("train", "--output_dir", broken, "--resume_from_checkpoint", "--beta", "0.5")
    assert refused.returncode == 2
    assert "--beta is 0.5 and the run was started with None" in refused.stderr
