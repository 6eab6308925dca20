"""A run of the write engine from the command line: which run it is, what it forecasts, and kill -9."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.running import ENVIRONMENT, data_of
from support.running import plus as command
from support.smollm2 import smollm2_file

import plus
from plus.jsonl import read_whole_lines
from plus.resources import shipped
from plus.train.run_folder import TIMING

__all__ = ["smollm2_file"]  # a fixture
SAMPLE = str(shipped("polis_sample"))
READS = ["--reward_model_name_or_path", "embeddings"]
FEW = [
    "--select_steps", "10", "--reading_steps", "4", "--imitation_steps", "4", "--max_steps", "6", "--save_steps", "2",
    "--users_per_step", "4", "--events_per_summary", "2", "--max_prompt_length", "160", "--eval_users", "3",
    "--max_completion_length", "12", "--seed", "3",
]  # fmt: skip
RUN = ["--dataset_name", "polis", "--data_dir", SAMPLE, "--model_name_or_path", "tiny", *READS, *FEW]


def test_the_options_say_what_is_wrong(plus_here, tmp_path):
    words = ["train", "--dataset_name", "polis", "--data_dir", SAMPLE, "--output_dir", tmp_path / "r", *READS]
    for more, complaint in [
        ([], "--model_name_or_path is missing"),
        (["--model_name_or_path", "tiny", "--use_peft"], "--use_peft is no option of a run whose summaries embeddings"),
        (["--model_name_or_path", "tiny", "--imitation_step", "3"], "did you mean --imitation_steps?"),
        (["--model_name_or_path", "tiny", "--num_generations", "1"], "--num_generations is 1 and needs to be at least"),
        (["--model_name_or_path", "tiny", "--lora_layers_to_transform", "7"], "names no layers of the llama model"),
    ]:
        status, _, err = plus_here(*words, *more)
        assert status == 2 and complaint in err, err
    assert not (tmp_path / "r").exists()


def test_a_dry_run_says_sizes_and_whether_it_fits(plus_here, tmp_path, monkeypatch):
    from plus.train import estimate

    words = ["train", *RUN, "--output_dir", tmp_path / "r", "--dry-run"]
    status, out, err = plus_here(*words)
    assert status == 0, err
    found = data_of(out)
    assert found["engine"] == "write" and found["max_steps"] == 6 and found["select_steps"] == 10
    assert "of them trained (adapters); reads about" in err and "6 grpo; each of these three with 4 users" in err
    assert "an update of grpo takes about" in err and "will not fit" not in err
    monkeypatch.setattr(estimate, "memory", lambda: 0.5 * estimate.GIB)
    status, _, err = plus_here(*words)
    assert status == 0 and "0.5 GiB are there; lower --users_per_step" in err
    assert not (tmp_path / "r").exists()


def test_a_dry_run_of_the_select_engine_prints_its_options(plus_here, tmp_path):
    status, out, err = plus_here("train", "polis", "--data_dir", SAMPLE, "--output_dir", tmp_path / "r", "--dry-run")
    assert status == 0 and data_of(out)["engine"] == "select", err


def start(folder: Path, *more: str) -> subprocess.Popen:
    words = [sys.executable, "-m", "plus", "train", *more, "--output_dir", str(folder), "--json"]
    return subprocess.Popen(
        words, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def kill_at(process: subprocess.Popen, file: Path, step: int, stage: str) -> None:
    """kill -9 as soon as the step of this stage is in the file."""
    deadline = time.monotonic() + 3000
    while process.poll() is None and time.monotonic() < deadline:
        if any(row["step"] >= step and row["stage"] == stage for row in read_whole_lines(file)):
            os.killpg(process.pid, signal.SIGKILL)
            break
        time.sleep(0.02)
    process.wait(60)


def lines(file: Path) -> list[dict]:
    return [{key: value for key, value in row.items() if key not in TIMING} for row in read_whole_lines(file)]


@pytest.mark.slow
@pytest.mark.timeout(9000)
@pytest.mark.parametrize("model", ["tiny", "smollm2"])
def test_killed_twice_and_resumed_equals_uninterrupted(model, tmp_path, plus_here, request):
    run = RUN
    if model == "smollm2":
        request.getfixturevalue("smollm2_file")
        run = [*RUN, "--model_name_or_path", model, "--lora_layers_to_transform", "26-29", "--users_per_step", "2"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = command("train", *run, "--output_dir", whole, "--json", timeout=3000)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.startswith(f"engine      write: past events are selected, {model} writes about those alone")
    kill_at(start(broken, *run), broken / "warm_up.jsonl", 3, "imitation")
    kill_at(start(broken, "--resume_from_checkpoint"), broken / "metrics.jsonl", 3, "grpo")
    assert (broken / "checkpoint.pt").exists() and not (broken / "report.json").exists()
    assert start(broken, "--resume_from_checkpoint").wait(3000) == 0
    for name in ("metrics.jsonl", "warm_up.jsonl", "summaries.jsonl"):
        assert lines(broken / name) == lines(whole / name), name
    for part in ("summarizer/writer", "summarizer/selector", "reward_model", "bradley_terry"):
        one, two = (load_file(folder / part / "model.safetensors") for folder in (whole, broken))
        assert one.keys() == two.keys() and all(torch.equal(tensor, two[name]) for name, tensor in one.items()), part
    report = data_of(done.stdout)
    assert report == json.loads((broken / "report.json").read_text())
    assert [row["step"] for row in report["steps"]][-3:] == ["zero-shot", "imitation", "grpo"]
    assert not (whole / "checkpoint.pt").exists()
    # What is finished is not begun anew, another option is refused, and evaluate repeats the report.
    status, _, err = plus_here("train", "--output_dir", whole, "--resume_from_checkpoint")
    assert status == 2 and "is finished: nothing is left to continue" in err
    status, _, err = plus_here("train", "--output_dir", whole, "--resume_from_checkpoint", "--beta", "0.5")
    assert status == 2 and "--beta is 0.5 and the run was started with 0.02" in err
    status, out, err = plus_here("evaluate", whole, "--json")
    assert status == 0 and data_of(out)["accuracy"] == pytest.approx(report["accuracy"]), err


@pytest.mark.slow
def test_smollm2_takes_one_update_and_its_run_opens(smollm2_file, tmp_path):
    words = ["train", "polis", "--data_dir", SAMPLE, "--model_name_or_path", "smollm2", *READS]
    words += ["--lora_layers_to_transform", "26-29", "--select_steps", "20", "--imitation_steps", "2"]
    words += ["--max_steps", "1", "--users_per_step", "2", "--num_generations", "2", "--events_per_summary", "3"]
    words += ["--eval_users", "2", "--max_completion_length", "16", "--output_dir", tmp_path / "run"]
    done = command(*words, "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    report = data_of(done.stdout)
    assert [row["step"] for row in report["steps"]][-3:] == ["zero-shot", "imitation", "grpo"]
    opened = plus.load(tmp_path / "run")
    text = opened.summarize(["I want lower taxes.", "I like parks."])
    assert text and opened.count_tokens(text) <= 16


@pytest.mark.slow
def test_the_results_page_shows_every_arm_and_ten_users_before_and_after(tmp_path):
    run, script = tmp_path / "run", Path(__file__).parents[2] / "scripts" / "real_model.py"
    assert command("train", *RUN, "--output_dir", run).returncode == 0
    for _ in range(2):  # The second time what is written is read.
        done = subprocess.run([sys.executable, script, run], env=ENVIRONMENT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((run / "real_model.json").read_text())
    rows = found["groups"]["new users"]["rows"]
    assert {"population_mean", "nothing", "rule", "selected", "in_context", "zero_shot", "plus"} <= rows.keys()
    assert 0 <= rows["plus"]["all"][0] <= 1 and "plus - zero_shot" in found["groups"]["new users"]["differences"]
    page = (run / "real_model.md").read_text()
    assert page.count("- zero-shot: ") == page.count("- plus: ") == min(10, rows["plus"]["all"][3])
    # A second run, of another seed: its people count once each, its differences stand beside the first's.
    other = shutil.copytree(run, tmp_path / "other")
    rows = [json.loads(line) | {"seed": 4} for line in (run / "predictions.jsonl").read_text().splitlines()]
    (other / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    seeds = [sys.executable, script.with_name("real_model_seeds.py")]
    done = subprocess.run([*seeds, run, other], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("2 seeds, "), done.stderr
    assert f"| plus - nothing | {found['groups']['new users']['differences']['plus - nothing']['all'][0]:+.3f} [" in (
        done.stdout
    )
    done = subprocess.run([*seeds, run, run], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 1 and "has seed 3, as a run before it" in done.stderr
