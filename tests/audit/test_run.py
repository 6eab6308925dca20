"""The audit as a job and as a command: what it loads, what it refuses, what it writes."""

from __future__ import annotations

import json
from pathlib import Path

from support.running import data_of

import plus
from plus.audit.run import names_of


def test_the_python_door_gives_the_same_audit_as_the_command(selected, plus_here):
    found = plus.audit(selected, max_examples=20)
    status, printed, noise = plus_here("audit", selected, "--max_examples", "20", "--json")
    assert status == 0, noise
    assert data_of(printed) == json.loads(json.dumps(found.to_json()))
    assert found.verdict == found.to_json()["verdict"] and len(found.findings) == len(found.to_json()["findings"])
    evaluation = plus.evaluate(selected)
    status, printed, noise = plus_here("evaluate", selected, "--json")
    assert status == 0, noise
    assert data_of(printed) == json.loads(json.dumps(evaluation.to_json()))


def test_a_report_names_other_runs_and_not_where_they_lie(tmp_path):
    a, b, other = tmp_path / "a" / "pets-1", tmp_path / "b" / "pets-1", tmp_path / "b" / "pets-2"
    assert names_of([a, other]) == {"pets-1": a, "pets-2": other}
    assert names_of([a, b, other]) == {str(a): a, str(b): b, "pets-2": other}, "none is lost"


def test_the_command_audits_a_run_and_writes_its_report(demo, tmp_path, plus_here):
    out = tmp_path / "audit"
    status, printed, noise = plus_here(
        *("audit", demo["run"], "--other_run", demo["run"], "--max_examples", "60", "--output_dir", out, "--json")
    )
    assert status == 0, noise
    result = data_of(printed)
    assert result["verdict"].startswith("the summary matters")
    assert result["targets"] == 60
    names = {"report.json", "report.md", "predictions.jsonl", "accuracy.png", "reliability.png"}
    names |= {"learning_curve.png", "summary_gain.png", "length.png"}
    assert {path.name for path in out.iterdir()} == names
    assert "![length](length.png)" in (out / "report.md").read_text()
    assert all((out / name).stat().st_size > 5000 for name in names if name.endswith("png"))
    status, _, noise = plus_here("audit", demo["run"], "--output_dir", out)
    assert status == 2
    assert "nothing is overwritten" in noise


REWARDS = '''
def likes(prompts, completions, **columns):
    """A TRL reward function that reads the text in the prompt."""
    liked = [p[-1]["content"].split("Chosen - ")[-1].split(".")[0].split()[-1] for p in prompts]
    return [float(animal in c[-1]["content"]) for animal, c in zip(liked, completions)]

def nothing(prompts, completions, **columns):
    return [None] * len(prompts)
'''


def test_the_command_audits_reward_functions_and_reward_models(demo, tmp_path, monkeypatch, plus_here):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_rewards.py").write_text(REWARDS)
    rows = ("--dataset_name", "pets", "--max_examples", "60", "--json")
    status, printed, noise = plus_here("audit", "--reward_function", "my_rewards:likes", *rows)
    assert status == 0, noise
    pasted = data_of(printed)
    assert pasted["readings"]["own"]["mean"] > 0.9
    assert pasted["verdict"].startswith("the summary matters"), "the past itself, pasted in, is no private code"
    status, printed, noise = plus_here("audit", "--reward_model", Path(demo["run"]) / "reward_model", *rows)
    assert status == 0, noise
    assert data_of(printed)["verdict"].startswith("no sign of personalization"), "it was never shown raw pasts"
    for words, complaint in [
        (("--reward_function", "my_rewards:nothing", *rows), "returned None for a completion"),
        (("--reward_function", "my_rewards", *rows), "write module:function"),
        (("--reward_function", "my_rewards:absent", *rows), "cannot be found"),
        (rows, "nothing to audit"),
        (("--reward_function", "my_rewards:likes"), "--dataset_name is missing"),
        (("--judge_model", "m", *rows), "--judge_model and --base_url belong together"),
        ((demo["run"], "--reward_model", "x"), "audit one scorer at a time"),
        ((tmp_path, "--json"), "is no run folder (no config.json)"),
    ]:
        status, _, noise = plus_here("audit", *words)
        assert status == 2, words
        assert complaint in noise, words


def test_a_run_of_another_version_is_named(tmp_path, plus_here):
    (tmp_path / "config.json").write_text('{"dataset": "pets"}')
    status, _, noise = plus_here("audit", tmp_path)
    assert status == 2
    assert "has no 'dataset_name', so another version of plus wrote it" in noise
