"""Two processes: the same weights on both, one set of files, and an exact resume."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.running import ENVIRONMENT, SUPPORT

from plus.jsonl import read_whole_lines
from plus.resources import shipped
from plus.train.run_folder import TIMING

FULL: dict = {}
LORA = {"use_peft": True, "reward_use_peft": True, "lora_r": 4}


def torchrun(processes: int, **more) -> None:
    settings = {
        "preset": "tiny", "dataset_name": "polis", "max_steps": 4, "save_steps": 2,
        "per_device_train_batch_size": 8, "num_generations": 4, "max_prompt_length": 160, "max_completion_length": 8,
        "lr_scheduler_type": "linear", "learning_rate": 1e-3, "seed": 3, "separate_pairs": True, **more,
    }  # fmt: skip
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes),
        str(SUPPORT / "one_of_several.py"),
        json.dumps({key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}),
    ]  # fmt: skip
    done = subprocess.run(
        command, env={**ENVIRONMENT, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]


def weights(folder: Path, name: str, rank: int) -> dict[str, torch.Tensor]:
    return load_file(folder / f"{name}-of-process-{rank}.safetensors")


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def check(tmp_path: Path, accumulation: int, options: dict) -> None:
    """Both ranks agree on both models, and continuing from update 2 ends where the whole run does."""
    options = {**options, "gradient_accumulation_steps": accumulation}
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    torchrun(2, output_dir=whole, **options)
    start = load_file(shipped("tiny_base") / "model.safetensors")
    for name in ("summarizer", "reward_model"):
        assert same(weights(whole, name, 0), weights(whole, name, 1)), f"{name} differs between the processes"
        moved = [
            key
            for key, tensor in weights(whole, name, 0).items()
            if key in start and not torch.equal(tensor, start[key])
        ]
        assert bool(moved) == (options.get("use_peft") is None)
        if not moved:
            assert all(tensor.abs().sum() > 0 for key, tensor in weights(whole, name, 0).items() if "lora_B" in key)
    metrics = read_whole_lines(whole / "metrics.jsonl")
    assert [row["step"] for row in metrics] == [1, 2, 3, 4], "one process writes"

    shutil.copytree(whole, resumed)
    shutil.rmtree(resumed / "checkpoint-4")
    torchrun(2, output_dir=resumed, resume_from_checkpoint=True, **options)
    for name in ("summarizer", "reward_model"):
        for rank in (0, 1):
            assert same(weights(whole, name, rank), weights(resumed, name, rank)), f"{name} of process {rank}"
    timeless = [
        [
            {key: value for key, value in row.items() if key not in TIMING}
            for row in read_whole_lines(folder / "metrics.jsonl")
        ]
        for folder in (whole, resumed)
    ]
    assert timeless[0] == timeless[1]


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("options", [FULL, LORA], ids=["full", "lora"])
def test_two_processes_agree_and_resume(tmp_path, accumulation, options):
    check(tmp_path, accumulation, options)


def one_half(rank: int, folder: Path, fault: bool) -> None:
    """A process of two, with every other user's rows; leaves the gradients of its step."""
    from plus.train import distributed

    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    if fault:
        distributed.sum_gradients = lambda parameters: None
    gradients = step_on(rows_of_votes()[rank::2])
    save_file(gradients, folder / f"gradients-{rank}.safetensors")


def rows_of_votes():
    from plus.sources import polis
    from plus.train.coadapt import Row

    examples = polis.load(shipped("polis_sample")).split("train")[:7]
    return [Row(f"agrees with number {n}", str(n), (example.target,)) for n, example in enumerate(examples)]


def step_on(rows) -> dict[str, torch.Tensor]:
    from plus.models.reward_model import RewardModel
    from plus.train.coadapt import CoAdaptation

    torch.manual_seed(0)
    model = RewardModel.from_pretrained(shipped("tiny_base"), max_length=128)
    model.model.double()
    optimizer = torch.optim.SGD(model.model.parameters(), lr=0.0)
    kept: dict[str, torch.Tensor] = {}
    optimizer.register_step_pre_hook(
        lambda *_: kept.update({name: p.grad.clone() for name, p in model.model.named_parameters()})
    )
    CoAdaptation(model, optimizer, summary_dropout=0.0, max_grad_norm=0.0).update(rows)
    return kept


@pytest.mark.slow
@pytest.mark.parametrize("fault", [False, True])
def test_two_halves_make_the_whole_gradient(tmp_path, fault):
    """4 rows here and 3 there: the mean is over all 7, and gradients that are not summed are noticed."""
    torch.multiprocessing.spawn(one_half, (tmp_path, fault), nprocs=2)
    whole = step_on(rows_of_votes())
    halves = [load_file(tmp_path / f"gradients-{rank}.safetensors") for rank in (0, 1)]
    close = [all(torch.allclose(half[name], g, rtol=0, atol=1e-9) for name, g in whole.items()) for half in halves]
    assert close == [not fault] * 2
