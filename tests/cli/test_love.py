"""`plus love`: one report, one line for each mistake, and a log with flooders in it."""

from __future__ import annotations

import json

import pytest
from support.logs import write
from support.love_logs import START, log, rows
from support.running import data_of

import plus
from plus.love.reactions import CONTRADICTED
from plus.love.splits import split_by_time

FAST = ["--max_steps", "2", "--seed", "0"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "log.jsonl"
    write(path, rows(log(users=24, each=10)))
    return path


@pytest.fixture
def words(monkeypatch):
    """Sentence embeddings that need no model file, and intervals from few draws."""
    from support import words as made

    from plus.love import measures, model, offline

    monkeypatch.setattr(measures, "REPLICATES", 50)
    monkeypatch.setattr(offline, "REPLICATES", 50)
    monkeypatch.setattr(model, "minilm", lambda: made.encode)


def test_one_json_object_with_every_measure_flooders_named_and_the_model_kept(plus_here, words, tmp_path):
    made = rows(log(users=24, each=10))
    answer = "I really think that everybody who lives here should have some calm cats."
    made += [
        {"user_id": "u000", "prompt": f"p{n}", "completion": answer, "label": True, "timestamp": START + 9e5 + n / 2}
        for n in range(60)
    ]
    made += [
        {**made[30], "label": not made[30]["label"], "timestamp": START + 9e5},
        {"prompt": "p", "completion": "x", "label": True},
    ]
    path = tmp_path / "log.jsonl"
    write(path, made)
    status, out, err = plus_here("love", path, *FAST, "--json", "--output_dir", tmp_path / "love")
    assert status == 0, err
    found = data_of(out)
    assert found["users"] == 24 and found["reactions"] == 240  # The flood is gone, the contradicted one replaced.
    assert found["dropped"][CONTRADICTED] == 1
    assert found["dropped"]["rows without a 'user_id'"] == 1
    assert [one["user_id"] for one in found["suspects"]] == ["u000"]
    assert found["suspects"][0]["bursts"] == 60 and found["suspects"][0]["answer"] == answer
    assert set(found["auroc"]) == {
        "P[Love]",
        "without text",
        "another user's text",
        "rate",
        "rate + own rate",
        "rate + own rate + leniency",
    }
    assert {"ece", "if_perfect", "slope", "intercept"} <= set(found["calibration"])
    assert len(found["drift"]) == 4 and found["timed"]
    assert found["influence"] and found["length_correlation"]
    assert "policies" in found["offline_to_online"] or "not_computed" in found["offline_to_online"]
    assert (tmp_path / "love" / "love.json").exists() and (tmp_path / "love" / "report.json").exists()
    assert "left out: 60 x reactions in a burst" in err
    assert plus_here("love", path, *FAST, "--output_dir", tmp_path / "love")[0] == 2  # never overwritten


def test_columns_of_ones_own_are_mapped_to_the_same_report(plus_here, words, file, tmp_path):
    theirs = {"user_id": "who", "prompt": "question", "completion": "answer", "label": "vote"}
    made = [json.loads(line) for line in file.read_text().splitlines()]
    own = tmp_path / "own.jsonl"
    write(own, [{theirs.get(name, name): value for name, value in row.items()} for row in made])
    columns = ",".join(f"{ours}={name}" for ours, name in theirs.items())
    reports = []
    for path, options in ((file, ()), (own, ("--map", columns))):
        status, out, err = plus_here("love", path, *FAST, "--json", *options)
        assert status == 0, err
        reports.append(data_of(out))
    assert reports[0] == reports[1] and reports[0]["reactions"] == 240
    status, _, err = plus_here("love", own, *FAST, "--map", columns.replace("=vote", "=vot"))
    assert status == 2 and "no row of" in err and "did you mean vote?" in " ".join(err.split())


def test_the_door_of_the_package_gives_the_report_of_the_command_line(plus_here, words, file, tmp_path):
    said = []
    result = plus.love([file], max_steps=2, output_dir=tmp_path / "love", screen=plus.Screen(say=said.append))
    status, out, err = plus_here("love", file, *FAST, "--json")
    assert status == 0, err
    assert json.loads(json.dumps(result.to_json())) == data_of(out)
    assert json.loads((tmp_path / "love" / "report.json").read_text()) == data_of(out)
    assert result.evaluation.auroc["P[Love]"].targets == result.evaluation.test_reactions
    assert result.love.probability("", "", "I saw some old cats.") == pytest.approx(
        plus.Love.load(tmp_path / "love").probability("", "", "I saw some old cats.")
    )
    assert said[-1].startswith("the model and report.json are in")


def test_the_table_without_times_says_nothing_of_time(plus_here, words, tmp_path):
    path = tmp_path / "log.jsonl"
    write(
        path, [{key: value for key, value in row.items() if key != "timestamp"} for row in rows(log(users=24, each=10))]
    )
    status, out, err = plus_here("love", path, *FAST)
    assert status == 0, err
    assert "no times, so nothing here is about time" in out
    assert "window of" not in out
    assert "P[Love] minus rate + own rate + leniency" in out


def test_split_by_time_tests_what_came_after_one_moment(plus_here, words, file):
    status, out, err = plus_here("love", file, *FAST, "--split_by", "time", "--json")
    assert status == 0, err
    found = data_of(out)
    assert found["split"] == "later reactions"
    (split,) = split_by_time(log(users=24, each=10))
    assert found["test_reactions"] == sum(len(one.targets) for one in split.held_out) > 10


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--condition", "mood"], "--condition is 'mood'; it takes none, history, summary"),
        (["--condition", "summary"], "--condition summary needs texts"),
        (["--split_by", "topic"], "--split_by is 'topic'; it takes users or time"),
        (["--positive_share", "1.5"], "--positive_share is 1.5; it must lie between 0 and 1"),
        (
            ["--condition", "summary", "--summaries", "nowhere.jsonl"],
            "nowhere.jsonl cannot be read",
        ),
    ],
)
def test_a_mistake_is_one_line(plus_here, words, file, flags, said):
    status, out, err = plus_here("love", file, *flags)
    assert status == 2
    assert said in err
    assert not out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: {**row, "label": True}, "all 240 reactions are positive"),
        (lambda row: {**row, "label": False}, "all 240 reactions are negative"),
        (lambda row: {**row, "user_id": None}, "no reaction of a known user (240 x rows without a 'user_id'"),
        (lambda row: {**row, "user_id": row["user_id"][:3] + "0"}, "3 users with reactions; at least 12 are needed"),
    ],
)
def test_too_few_users_or_one_outcome_is_one_line(plus_here, tmp_path, change, said):
    path = tmp_path / "log.jsonl"
    write(path, [change(row) for row in rows(log(users=24, each=10))])
    status, out, err = plus_here("love", path)
    assert status == 2
    assert said in err.splitlines()[-1]
    assert not out
