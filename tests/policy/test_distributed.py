"""Two processes train one policy: same weights, same looks, one set of files, and an exact resume."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.running import ENVIRONMENT, SUPPORT

from plus.jsonl import read_whole_lines
from plus.train.run_folder import TIMING


def torchrun(folder: Path, **more) -> None:
    folder.mkdir(exist_ok=True)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
        str(SUPPORT / "one_policy_of_several.py"), str(folder), json.dumps(more),
    ]  # fmt: skip
    done = subprocess.run(
        command, env={**ENVIRONMENT, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=580
    )
    assert done.returncode == 0, done.stderr[-3000:]


def weights(folder: Path, rank: int) -> dict[str, torch.Tensor]:
    return load_file(folder / f"weights-of-process-{rank}.safetensors")


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("options", [{}, {"use_peft": False}], ids=["lora", "full"])
def test_two_processes_agree_and_resume(tmp_path, options):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    torchrun(whole, **options)
    one, two = weights(whole, 0), weights(whole, 1)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(tensor.abs().sum() > 0 for name, tensor in one.items() if "lora_B" in name or options), "it moved"
    looks = [json.loads((whole / f"looks-of-process-{rank}.json").read_text()) for rank in (0, 1)]
    assert looks[0] == looks[1] == read_whole_lines(whole / "looks.jsonl")
    assert [row["step"] for row in read_whole_lines(whole / "metrics.jsonl")] == [1, 2, 3, 4], "one process writes"

    shutil.copytree(whole, resumed)
    shutil.rmtree(resumed / "checkpoint-4")
    torchrun(resumed, **options)
    assert all(torch.equal(tensor, weights(resumed, rank)[name]) for rank in (0, 1) for name, tensor in one.items())
    assert read_whole_lines(resumed / "looks.jsonl") == looks[0]
    rows = [
        [{k: v for k, v in row.items() if k not in TIMING} for row in read_whole_lines(folder / "metrics.jsonl")]
        for folder in (whole, resumed)
    ]
    assert rows[0] == rows[1]
