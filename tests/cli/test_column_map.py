"""`--map` on the command line: what it reads, what it refuses in one line, and that a run keeps it."""

from __future__ import annotations

import json
import random

import pytest
from support.running import data_of

MAP = "user_id=who,prompt=question,completion=statement,label=vote,timestamp=when"


@pytest.fixture
def own(tmp_path):
    """Reactions of 20 people to 14 statements, under column names of their own."""
    rng = random.Random(0)
    rows = [
        {"who": f"u{user}", "question": "Which?", "statement": f"Statement {number}.", "when": 1_700_000_000 + number,
         "vote": "agree" if (number + user * (number % 3)) % 2 else "disagree"}
        for user in range(20) for number in rng.sample(range(14), 14)
    ]  # fmt: skip
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


UNSEEN = "--map says timestamp=wehn, and no row of {own} has a column 'wehn'; its columns are who, question, statement,"
REFUSED = {
    "no equals sign": (("--map", "prompt"), "--map holds 'prompt'; each part is OURS=THEIRS, as user_id=who,prompt=q"),
    "nothing": (("--map", ""), "--map holds ''; each part is OURS=THEIRS"),
    "a name that is not ours": (
        ("--map", "user=who"),
        "--map names 'user', which is no column of ours (user_id, prompt, chosen, rejected, completion, label, "
        "messages, timestamp, session_id, id, source, split); did you mean user_id?",
    ),
    "the wrong way round": (("--map", "who=user_id"), "split); ours comes first: user_id=who"),
    "a name twice": (("--map", f"{MAP},label=when"), "--map names label twice, as 'vote' and 'when'; give one"),
    "a column that no row has": (("--map", MAP.replace("=when", "=wehn")), UNSEEN),
    "two columns of the user": (
        ("--map", MAP, "--user_id_column", "when"),
        "--map says user_id=who and --user_id_column says when; give one",
    ),
    "no map": (
        ("--user_id_column", "who"),
        "the row's columns are who, question, statement, when, vote; say with --map which column is which, as",
    ),
    "neither map nor user": ((), "name the user's column with --user_id_column, or every other name with --map, as"),
}


@pytest.mark.parametrize("verb", ["data check", "data split", "train", "benchmark"])
@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_map_is_one_line_and_leaves_nothing_behind(case, verb, own, plus_here):
    options, line = REFUSED[case]
    out_there = ("--output_dir", own.parent / "out") if verb != "data check" else ()
    status, out, err = plus_here(*verb.split(), own, *out_there, *options)
    last = " ".join(err.split("plus: ")[-1].split())
    assert status == 2 and err.count("plus: ") == 1 and "Traceback" not in err, err
    assert line.format(own=own) in last, last
    assert not out or verb == "data check"
    assert [path.name for path in own.parent.iterdir()] == ["own.jsonl"]


def test_head_refuses_too_and_named_sets_have_no_map(own, plus_here):
    status, out, err = plus_here("data", "head", own, "--rows", "1", "--map", MAP.replace("=when", "=wehn"))
    assert status == 2 and not out and UNSEEN.format(own=own) in err
    status, out, err = plus_here("train", "polis", "--output_dir", own.parent / "run", "--map", MAP)
    assert status == 2 and "--map is for rows of your own; polis has its own rule" in err


def test_data_verbs_read_the_columns(own, plus_here):
    status, out, _ = plus_here("data", "check", own, "--map", MAP, "--json")
    assert status == 0
    found = data_of(out)
    assert (found["kept"], found["users"], found["shape"], found["mean_answer_characters"]) == (
        280,
        20,
        "reactions",
        12,
    )
    status, out, _ = plus_here("data", "head", own, "--rows", "1", "--map", MAP)
    row = json.loads(out)
    first = json.loads(own.read_text().splitlines()[0])
    assert row["user_id"] == "u0" and row["completion"] == [{"role": "assistant", "content": first["statement"]}]
    assert row["label"] is (first["vote"] == "agree") and row["timestamp"] == first["when"]
    assert plus_here("data", "split", own, "--map", MAP, "--output_dir", own.parent / "s")[0] == 0
    status, out, _ = plus_here("data", "check", own.parent / "s", "--json")
    assert status == 0 and data_of(out)["kept"] == 280


def test_a_run_keeps_its_map_and_reads_the_same_file_again(own, plus_here):
    run = own.parent / "run"
    words = ("train", own, "--output_dir", run, "--map", MAP, "--max_steps", "3", "--seed", "1", "--json")
    status, out, err = plus_here(*words)
    assert status == 0, err
    report = data_of(out)
    assert report["test"]["targets"] > 0 and json.loads((run / "config.json").read_text())["map"] == MAP
    status, out, err = plus_here("evaluate", run, "--json")
    assert status == 0 and data_of(out)["accuracy"] == pytest.approx(report["accuracy"]), err
    status, out, err = plus_here("audit", run, "--json")
    assert status == 0 and data_of(out)["targets"] == report["test"]["targets"], err
    status, _, err = plus_here("train", "--output_dir", run, "--resume_from_checkpoint", "--map", "user_id=when")
    assert status == 2 and "--map is 'user_id=when' and the run was started with" in err
    status, out, err = plus_here("train", "--output_dir", run, "--resume_from_checkpoint", "--json")
    again = data_of(out)
    assert status == 0 and again["test"] == report["test"], err
    assert again["accuracy"] == pytest.approx(report["accuracy"]) and again["gains"].keys() == report["gains"].keys()
