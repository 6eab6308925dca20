"""The command line as a person meets it: quick help, clean stdout, and one line for each mistake."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from support.running import ENVIRONMENT, ROOT, data_of, plus

from plus.cli.main import app
from plus.resources import shipped

TRAIN = ["train", "--preset", "tiny", "--max_steps", "2", "--per_device_train_batch_size", "16"]


def test_help_imports_nothing_slow():
    """Help answers at once: of plus it loads the command line alone, of others typer and what that brings."""
    code = """
import sys
from plus.cli.main import main
sys.argv = ["plus", "--help"]
try:
    main()
except SystemExit as stop:
    assert not stop.code
print("modules:", *sorted(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    for verb in ("demo", "train", "summarize", "evaluate", "audit", "benchmark", "data"):
        assert verb in done.stdout
    loaded = done.stdout.split("modules: ")[1].split()
    rooms = {name.split(".")[1] for name in loaded if name.startswith("plus.")}
    assert rooms <= {"cli", "doors", "errors", "progress", "train", "types"}, "a verb's own imports wait until it runs"
    of_train = {name for name in loaded if name.startswith("plus.train")}
    assert of_train == {"plus.train", "plus.train.option_help"}, "the help of the options, and nothing that trains"
    heavy = {
        "torch",
        "transformers",
        "numpy",
        "openai",
        "httpx2",
        "yaml",
        "sqlite3",
        "asyncio",
        "pydantic",
        "starlette",
    }
    assert not heavy & {name.split(".")[0] for name in loaded}


@pytest.mark.parametrize(
    "verb",
    [
        "demo",
        "train",
        "summarize",
        "evaluate",
        "audit",
        "benchmark",
        "prompt",
        "proxy",
        "ingest",
        "signals",
        "gate",
        "chat",
        "judge",
        "love",
    ],
)
def test_the_help_of_every_verb_begins_with_an_example(verb, plus_here):
    status, out, _ = plus_here(verb, "--help")
    _, first, *_ = re.split(r"\n\s*\n", out.strip())
    assert status == 0 and first.strip().startswith("Example: plus " + verb), out


def commands(command):
    for inner in getattr(command, "commands", {}).values():
        yield from [inner] if not hasattr(inner, "commands") else commands(inner)


def test_output_is_a_path_and_output_dir_a_folder_in_every_verb():
    """One of them a verb; --format (-o) says in which form a result is written, to a path or to the terminal."""
    verbs = list(commands(typer.main.get_command(app)))
    assert len(verbs) > 40
    for verb in verbs:
        names = {name.replace("_", "-"): option for option in verb.params for name in option.opts}
        assert len({"--output", "--output-dir"} & names.keys()) <= 1, verb.name
        assert "-o" not in names or names["-o"] is names["--format"], verb.name
        assert all(name in ("--output", "--output-dir") for name in names if name.startswith("--out")), verb.name
        for folder in {"--output-dir"} & names.keys():
            assert re.search("[Ff]older|Write what would be sent here", names[folder].help), verb.name


def test_help_shows_common_options_first_and_the_rest_in_a_panel(plus_here):
    """Of judge: what its example names, then what few need; a verb whose rest is one option has no panel for it."""
    first, more = plus_here("judge", "--help")[1].split("More options")
    assert {"--output-dir", "--judge-model", "--base-url", "--store"} <= set(re.findall(r"--[a-z-]+", first))
    assert {"--workers", "--timeout", "--dry-run"} <= set(re.findall(r"--[a-z-]+", more))
    assert "--workers" not in first and "More options" not in plus_here("ingest", "--help")[1]


@pytest.mark.parametrize(
    "module",
    ["plus", "plus.cli.main", "plus.sources.polis", "plus.worlds.pets", "plus.prompts", "plus.feedback.ingest"],
)
def test_the_light_part_imports_no_torch(module):
    """In a process where torch, transformers, datasets and numpy cannot be imported at all."""
    code = f"""
import sys
for name in ("torch", "transformers", "trl", "datasets", "numpy", "tokenizers"):
    sys.modules[name] = None
import {module}
"""
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_dry_run_resolves_preset_then_file_then_flags(tmp_path, plus_here):
    file = tmp_path / "options.yaml"
    file.write_text("preset: tiny\ndataset_name: pets\nbeta: 0.05\nlearning_rate: 5e-6\nmax_steps: 7\n")
    status, out, err = plus_here(
        "train", "--config", file, "--max-steps", "9", "--output_dir", tmp_path / "r", "--dry-run", "--save_steps=4"
    )
    assert status == 0, err
    resolved = data_of(out)
    assert resolved["beta"] == 0.05  # file
    assert resolved["learning_rate"] == 5e-6  # file, though YAML reads 5e-6 as text
    assert resolved["max_steps"] == 9  # flag
    assert resolved["save_steps"] == 4  # any option of TRL's, and the = form
    assert resolved["num_generations"] == 4  # preset
    assert resolved["scale_rewards"] == "batch"  # default
    assert not (tmp_path / "r").exists()


def mistakes(folder: Path) -> dict[str, tuple[list[str], str]]:
    """name -> (arguments, what the one line must say)."""
    used = folder / "used"
    used.mkdir()
    (used / "precious.txt").write_text("keep me")
    no_column = folder / "no_column"
    shutil.copytree(shipped("llmfao_sample"), no_column)
    rows = (no_column / "crowd-comparisons.csv").read_text().replace("worker", "person", 1)
    (no_column / "crowd-comparisons.csv").write_text(rows)
    no_model = folder / "no_model"
    no_model.mkdir()
    (no_model / "notes.txt").write_text("no weights here")
    conversations = folder / "conversations"
    shutil.copytree(shipped("polis_sample"), conversations / "one")
    polis = ["--dataset_name", "polis", "--data_dir", str(shipped("polis_sample"))]
    out = ["--output_dir", str(folder / "new")]
    return {
        "unknown data set": (
            [*TRAIN, *out, "--dataset_name", "pols"],
            "a file, a folder or a Hub id; did you mean polis?",
        ),
        "no folder": (
            [*TRAIN, *out, "--dataset_name", "llmfao", "--data_dir", "/nowhere"],
            "there is no folder /nowhere; give --data_dir",
        ),
        "folder not given": ([*TRAIN, *out, "--dataset_name", "llmfao"], "give their folder with --data_dir"),
        "folder of folders": (
            [*TRAIN, *out, "--dataset_name", "polis", "--data_dir", str(conversations)],
            "holds 1 conversations; give --data_dir one of them",
        ),
        "missing column": (
            [*TRAIN, *out, "--dataset_name", "llmfao", "--data_dir", str(no_column)],
            "has no column 'worker'; found id, prompt",
        ),
        "no model": ([*TRAIN, *out, *polis, "--model_name_or_path", str(no_model)], "the folder holds notes.txt"),
        "no reward model": (
            [*TRAIN, *out, *polis, "--reward_model_name_or_path", "/nowhere"],
            "there is no such folder",
        ),
        "output in use": (
            [*TRAIN, *polis, "--output_dir", str(used)],
            "is in use and nothing is overwritten; give another --output_dir",
        ),
        "nothing to resume": (
            [*TRAIN, *polis, "--output_dir", str(used), "--resume_from_checkpoint"],
            "holds no run to continue",
        ),
        "unknown option": (
            [*TRAIN, *out, *polis, "--learning_rat", "1"],
            "unknown option --learning_rat; did you mean --learning_rate?",
        ),
        "wrong value": ([*TRAIN, *out, *polis, "--num_generations", "3"], "must be divisible by num_generations"),
        "not a number": ([*TRAIN, *out, *polis, "--beta", "much"], "--beta"),
        "no output": ([*TRAIN, *polis], "--output_dir is missing"),
        "no preset": ([*TRAIN[:1], *out, *polis, "--preset", "huge"], "no preset 'huge'; --preset takes tiny"),
        "tiny window": ([*TRAIN, *out, *polis, "--max_prompt_length", "8"], "raise --max_prompt_length to at least"),
        "no run": (["evaluate", str(used)], "is no run folder (no config.json)"),
        "no choices": (["summarize", str(used), str(folder / "absent.jsonl")], "there is no file"),
    }


def test_each_mistake_is_one_line_that_names_the_remedy(tmp_path, plus_here):
    for name, (arguments, expected) in mistakes(tmp_path).items():
        status, out, err = plus_here(*arguments)
        assert status == 2, (name, err)
        assert expected in (err.strip().splitlines()[-1] if "--beta" not in expected else err), (name, err)
        assert "Traceback" not in err, name
        assert out == "", name
    assert (tmp_path / "used" / "precious.txt").read_text() == "keep me"
    assert list((tmp_path / "used").iterdir()) == [tmp_path / "used" / "precious.txt"]
    assert not (tmp_path / "new").exists(), "a run that could not start leaves nothing behind"


def test_debug_shows_the_traceback(tmp_path):
    done = plus("profile", "show", "ann", "--store", tmp_path / "nowhere.db", "--debug")
    assert "Traceback" in done.stderr
    assert "ProfileError" in done.stderr


def test_a_file_of_choices_becomes_summaries(demo, tmp_path, plus_here):
    """`plus summarize` on rows as people have them: the bad ones counted, the rest used."""
    rows = [
        {
            "user_id": "ann",
            "prompt": "Tell me about home.",
            "chosen": f"I saw some cats {n}.",
            "rejected": "I saw some dogs.",
        }
        for n in range(3)
    ]
    bad = ["no json", '{"user_id": "ann"}', json.dumps(rows[0] | {"chosen": "x", "rejected": "x"})]
    file = tmp_path / "choices.jsonl"
    file.write_text("\n".join([*map(json.dumps, rows), *bad]) + "\n")
    out = tmp_path / "out.jsonl"
    status, _, err = plus_here("summarize", demo["run"], file, "--output", out)
    assert status == 0, err
    assert "1 x lines that are no JSON object (first: choices.jsonl line 4)" in err
    assert "1 x rows whose chosen answer equals the rejected one (first: choices.jsonl line 6)" in err
    (row,) = map(json.loads, out.read_text().splitlines())
    assert len(row.pop("read")) == 32, "a hash of what was read, by which --resume skips"
    assert row == {"user_id": "ann", "summary": "The user likes cats best."}
    status, _, err = plus_here("summarize", demo["run"], file, "--output", out)
    assert status == 2 and "nothing is overwritten" in err


def test_evaluate_repeats_the_report_and_never_trains(demo, plus_here):
    weights = {path: path.read_bytes() for path in Path(demo["run"]).glob("*/model.safetensors")}
    status, out, err = plus_here("evaluate", demo["run"], "--json")
    assert status == 0, err
    report = data_of(out)
    for group in ("accuracy", "controls"):
        for name, value in report[group].items():
            assert value == demo[group][name], name
    assert all(path.read_bytes() == content for path, content in weights.items())


def test_the_repository_root_is_where_the_tests_think():
    assert (ROOT / "pyproject.toml").exists()
