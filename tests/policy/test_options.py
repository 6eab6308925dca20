"""`plus policy` as people run it."""

from __future__ import annotations

import json

import pytest
from support.pets_policy import asked
from support.running import data_of

import plus
from plus.jsonl import read_whole_lines, write_jsonl
from plus.policy.card import PolicyReport, SweepPoint, recommend_point
from plus.resources import shipped

GOALS = """
goals:
  suits: {function: "support.pets_policy:suits"}
  brief: {words: 4, weight: 0.2}
  flat: {words: 500, weight: 0.2}
held_out: {function: "support.pets_policy:true_reward"}
"""
SMALL = [
    "--max_steps", "2", "--per_device_train_batch_size", "16", "--num_generations", "4", "--learning_rate", "0.003",
    "--save_steps", "1", "--max_completion_length", "16",
]  # fmt: skip


@pytest.fixture
def given(tmp_path, monkeypatch):
    """A folder with prompts, goals and summaries; (the command's words, the folder)."""
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": one.prompt, "user_id": one.user_id} for one in asked(40)]
    known = {one.user_id: one.summary for one in asked(40)}
    known.pop("user-3")
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"user_id": "x"}]))
    write_jsonl(tmp_path / "summaries.jsonl", [{"user_id": user, "summary": text} for user, text in known.items()])
    (tmp_path / "goals.yaml").write_text(GOALS)
    words = ["policy", "prompts.jsonl", "--goals", "goals.yaml", "--model_name_or_path", str(shipped("tiny_base"))]
    words += ["--summaries", "summaries.jsonl", *SMALL]
    return words, tmp_path


def test_a_run_from_start_to_card(given, plus_here):
    words, folder = given
    status, out, err = plus_here(*words, "--output_dir", "run", "--json")
    assert status == 0, err
    assert "2 x prompts whose user has no summary: asked without one (first: row 7, user user-3)" in err
    assert "1 x rows without a prompt (first: row 41)" in err
    assert "set aside: flat gives every answer of the reference the same number" in err
    report = data_of(out)
    assert (report["method"], report["stopped"], report["set_aside"]) == ("grpo", [], ["flat"])
    assert report["prompts"] + report["panel"] == 40
    run = folder / "run"
    assert [row["step"] for row in read_whole_lines(run / "metrics.jsonl")] == [1, 2]
    answers = read_whole_lines(run / "answers.jsonl")
    trained_users = {row["user_id"] for row in answers}
    assert len(answers) == report["panel"]
    assert len(trained_users) >= 4
    card = (run / "README.md").read_text()
    assert "vllm serve run/policy" in card
    assert "No alarm stopped the run." in card
    assert "suits:" in card
    assert (run / "policy" / "model.safetensors").exists()
    again = plus_here(*words, "--output_dir", "run")
    assert again[0] == 2
    assert "holds this run already, finished" in again[2]
    other = plus_here(*words, "--output_dir", "run", "--beta", "0.5")
    assert other[0] == 2
    assert "holds a run with options" in other[2]


def test_the_door_of_the_package_gives_the_report_of_the_command_line(given, plus_here):
    words, folder = given
    options = dict(
        zip((word.removeprefix("--") for word in SMALL[::2]), (float(word) for word in SMALL[1::2]), strict=True)
    )
    options = {name: value if name == "learning_rate" else int(value) for name, value in options.items()}
    said = []
    result = plus.policy(
        "prompts.jsonl", "goals.yaml", shipped("tiny_base"), "door", summaries="summaries.jsonl",
        screen=plus.Screen(say=said.append), **options,
    )  # fmt: skip
    status, out, err = plus_here(*words, "--output_dir", "run", "--json")
    assert status == 0, err
    assert json.loads(json.dumps(result.to_json())) == data_of(out)
    assert json.loads((folder / "door" / "report.json").read_text()) == data_of(out)
    assert PolicyReport.from_json(data_of(out)) == result
    assert (folder / "door" / "config.json").read_text() == (folder / "run" / "config.json").read_text()
    assert all(line in err for line in said)


def test_best_of_n_writes_the_answers(given, plus_here):
    words, folder = given
    assert plus_here(*words, "--output_dir", "best", "--method", "best_of_n")[0] == 0
    rows = read_whole_lines(folder / "best" / "answers.jsonl")
    assert len(rows) == 40
    assert sum(row["summary"].split()[-2] in row["answer"] for row in rows if row["summary"]) > 25


@pytest.mark.slow
def test_a_sweep_makes_a_table_a_picture_and_a_recommendation(given, plus_here):
    words, folder = given
    status, out, err = plus_here(*words, "--output_dir", "dial", "--sweep", "brief=0.1,1", "--json")
    assert status == 0, err
    report = data_of(out)
    assert [point["weight"] for point in report["points"]] == [0.1, 1.0]
    assert report["recommended"]["weight"] in (0.1, 1.0)
    assert "| weight of brief |" in (folder / "dial" / "sweep.md").read_text()
    assert (folder / "dial" / "pareto.png").stat().st_size > 5000
    assert plus_here(*words, "--output_dir", "dial", "--sweep", "brief=0.1,1", "--json")[1] == out, (
        "no run is made twice"
    )


@pytest.mark.slow
def test_rounds_wait_for_choices_and_go_on(given, plus_here):
    words, folder = given
    (folder / "goals.yaml").write_text(f"goals:\n  liked: {{reward_model: {shipped('tiny_base')}}}\n")
    status, _, err = plus_here(*words, "--output_dir", "loop", "--rounds", "1")
    assert status == 2
    assert "pairs of answers wait in loop/round-1/to_judge.jsonl" in err
    rows = read_whole_lines(folder / "loop" / "round-1" / "to_judge.jsonl")
    chosen = [
        {**{k: row[k] for k in ("user_id", "summary", "prompt")}, "chosen": row["a"], "rejected": row["b"]}
        for row in rows
    ]
    write_jsonl(folder / "loop" / "round-1" / "choices.jsonl", chosen)
    status, _, err = plus_here(*words, "--output_dir", "loop", "--rounds", "1")
    assert status == 0, err
    files = {"policy", "reward_model", "choices.jsonl", "to_judge.jsonl", "looks.jsonl"}
    assert files <= {path.name for path in (folder / "loop" / "round-1").iterdir()}
    report = json.loads((folder / "loop" / "report.json").read_text())
    assert [(one["choices"], one["updates"]) for one in report["rounds"]] == [(len(rows), 2)]
    assert report["stopped"] == []


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--method", "magic"], "--method is 'magic'"),
        (["--max_stepz", "3"], "unknown option --max_stepz"),
        (["--sweep", "brief"], "--sweep is 'brief'"),
        (["--sweep", "nothing=1"], "there is no goal 'nothing'"),
        (["--sweep", "brief=1", "--rounds", "2"], "cannot be given together"),
        (["--rounds", "2"], "--rounds updates a reward model, and no goal has one"),
        (["--store", "p.db"], "--store is where --rounds finds the choices of plus chat"),
        (["--sft", "prompts.jsonl"], "prompts.jsonl line 1 has no 'chosen'"),
        (["--summaries", "none.jsonl"], "none.jsonl cannot be read"),
    ],
)
def test_bad_input_is_one_line(given, plus_here, more, complaint):
    status, _, err = plus_here(*given[0], "--output_dir", "run", *more)
    assert status == 2
    assert complaint in err
    assert not (given[1] / "run" / "policy").exists()


def test_the_recommended_point_is_sound_and_best_by_the_held_out_reward():
    def point(weight, held_out, floor=1.0, stopped=()):
        return SweepPoint(weight, {}, {}, held_out, floor, 0.95, 0.0, tuple(stopped))

    points = [point(0, 0.5), point(0.1, 0.9), point(0.3, 1.5, floor=0.9), point(1, 2.0, stopped=["phrase"])]
    assert recommend_point(points).weight == 0.1
    assert recommend_point(points[2:]).weight is None
    assert "no held-out reward" in recommend_point([point(0, None)]).why
