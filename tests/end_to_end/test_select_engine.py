"""The select engine through the command line, on the shipped votes of real people: one folder, every door."""

from __future__ import annotations

import json

import pytest
from support.running import data_of
from support.running import plus as command

import plus
from plus.resources import shipped

SAMPLE = str(shipped("polis_sample"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("select") / "run"
    words = ["train", "polis", "--data_dir", SAMPLE, "--output_dir", folder, "--max_steps", "40", "--seed", "1"]
    done = command(*words, "--json")
    assert done.returncode == 0, done.stderr
    assert "selection   log-likelihood of validation choices" in done.stderr
    return folder, data_of(done.stdout)


def test_the_report_compares_with_what_has_to_be_beaten(run):
    folder, report = run
    assert report["engine"] == "select" and report == json.loads((folder / "report.json").read_text())
    names = {"plus - bradley_terry", "plus - shuffled", "plus - random_8", "plus - in_context"}
    assert set(report["gains"]["all"]) == names
    for found in report["gains"]["all"].values():
        assert found["users"] == report["test"]["users"] and found["targets"] == report["test"]["targets"]
    assert json.loads((folder / "config.json").read_text())["engine"] == "select"
    assert (folder / "data.jsonl").is_file() and (folder / "metrics.jsonl").is_file()


def test_summaries_are_lines_of_what_people_said(run):
    folder, _ = run
    rows = [json.loads(line) for line in (folder / "summaries.jsonl").read_text().splitlines()]
    assert len(rows) == 24
    for row in rows:
        lines = row["summary"].split("\n")
        assert len(lines) <= 8 and all(line.startswith(("Agreed: ", "Disagreed: ")) for line in lines if line)


def test_the_run_opens_as_one_object(run):
    folder, _ = run
    opened = plus.load(folder)
    past = [{"prompt": "q", "completion": "We should leave.", "label": True}, "I care about trade."]
    assert opened.summarize(past) == "Agreed: We should leave.\nSaid: I care about trade."
    one = opened.score("I want to stay in the union.", "q", "We should stay.")
    assert one != opened.score("", "q", "We should stay.")
    assert 0 < opened.prefer(past, "q", "We should stay.", "We should leave.") < 1
    reward = opened.as_reward_function()
    assert (
        len(reward(["q", "q"], ["We should stay.", "We should leave."], summary=["", "Agreed: We should leave."])) == 2
    )


def test_evaluate_repeats_the_report(run, plus_here):
    folder, report = run
    status, out, err = plus_here("evaluate", folder, "--json")
    assert status == 0, err
    found = data_of(out)
    assert found["accuracy"] == pytest.approx(report["accuracy"]) and found["controls"] == pytest.approx(
        report["controls"]
    )


def test_a_person_edits_what_is_known_and_the_reward_model_reads_it(run, plus_here):
    folder, _ = run
    user = json.loads((folder / "summaries.jsonl").read_text().splitlines()[0])["user_id"]
    status, _, err = plus_here("profile", "edit", user, "--add", "I want a second referendum.", "--store", folder)
    assert status == 0, err
    status, out, err = plus_here("profile", "show", user, "--store", folder, "--json")
    assert "I want a second referendum." in data_of(out)["text"], err


def test_a_run_goes_on_only_as_what_it_is(run, plus_here, tmp_path):
    folder, _ = run
    again = ["train", "polis", "--data_dir", SAMPLE, "--output_dir", folder]
    status, _, err = plus_here(*again)
    assert status == 2 and "is in use and nothing is overwritten" in err
    status, _, err = plus_here(*again, "--preset", "tiny", "--resume_from_checkpoint")
    assert status == 2 and len(err.strip().splitlines()) == 1, err
    status, _, err = plus_here("train", "a.jsonl", "--dataset_name", "pets", "--output_dir", tmp_path / "r")
    assert status == 2 and "a.jsonl and --dataset_name pets are two data sets; give one" in err
