"""scripts/reproduce_paper.sh: every command that it prints is one that plus takes, and it refuses in one line."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest
import typer.main
from support.running import ENVIRONMENT, ROOT, data_of

from plus.cli.main import app

SCRIPT = ROOT / "scripts" / "reproduce_paper.sh"


def script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The script itself, where no GPU can be seen."""
    return subprocess.run(
        ["bash", SCRIPT, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=600,
        env={**ENVIRONMENT, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": "", **environment},
    )  # fmt: skip


def commands() -> list[list[str]]:
    done = script("runs/paper", "--dry-run")
    assert done.returncode == 0, done.stderr
    return [shlex.split(line) for line in done.stdout.splitlines()]


def test_it_prints_a_benchmark_and_an_audit_of_every_data_set_of_the_table():
    found = commands()
    assert len(found) == 15
    assert [line[5] for line in found if "benchmark" in line] == ["pets", "pets_ood", "uf_p_2", "uf_p_4", "prism"]
    assert not (ROOT / "runs" / "paper").exists()


def test_every_printed_command_is_one_that_plus_takes(plus_here, monkeypatch):
    monkeypatch.chdir(ROOT)
    click = typer.main.get_command(app)
    for words in commands():
        if words[0] == "mv":
            continue
        verb, arguments = words[3], words[4:]
        parsed = click.commands[verb].make_context(verb, list(arguments))
        if verb == "benchmark":  # Nothing is fetched: options are resolved as a run would.
            status, out, err = plus_here(verb, *arguments, "--dry-run")
            assert status == 0, err
            options = data_of(out)
            assert options["reward_model_name_or_path"] == "Qwen/Qwen2.5-0.5B-Instruct"
            assert (options["learning_rate"], options["reward_learning_rate"], options["beta"]) == (5e-7, 9e-6, 0.01)
            assert options["per_device_train_batch_size"] * options["gradient_accumulation_steps"] == 256
            assert options["lr_scheduler_type"] == "cosine_with_min_lr"
        else:
            assert parsed.params["other_run"], words


def test_the_methods_it_names_are_those_of_the_benchmark(tmp_path):
    from plus.benchmark.bases import shipped_base
    from plus.benchmark.language_models import Budget, LanguageModelMethods

    known = LanguageModelMethods("pets", tmp_path, Budget(1), shipped_base).methods()
    named = commands()[0][commands()[0].index("--methods") + 1].split(",")
    assert set(named) <= known.keys()
    assert {"bradley_terry", "vpl", "in_context", "untrained", "plus", "oracle"} <= set(named)


@pytest.mark.parametrize("has_gpu", [False, True])
def test_without_a_gpu_or_without_the_hub_it_refuses_in_one_line(tmp_path, has_gpu):
    python = tmp_path / "python"  # The question about the GPU is answered as a machine with one would.
    answer = "exit 0" if has_gpu else f'exec {sys.executable} "$@"'
    python.write_text(f'#!/bin/sh\ncase "$2" in *torch*) {answer};; *) exec {sys.executable} "$@";; esac\n')
    python.chmod(0o755)
    done = script(str(tmp_path / "out"), PYTHON=str(python), PATH=os.environ["PATH"])
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert ("the Hugging Face Hub cannot be reached" if has_gpu else "no GPU that torch can use here") in line
    assert not (tmp_path / "out").exists()
