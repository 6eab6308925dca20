"""Columns of one's own are read under ours, labels of many spellings alike, and a pass is no dislike."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plus import datasets
from plus.errors import SettingError
from plus.sources import generic
from plus.sources.check import check
from plus.sources.columns import NAMES, Renaming, parse
from plus.sources.fields import UnusableError, label_of
from plus.types import Dropped

OWN = {"user_id": "who", "prompt": "question", "completion": "statement", "label": "vote", "timestamp": "when"}
MAP = "user_id=who,prompt=question,completion=statement,label=vote,timestamp=when"
PASSES = "rows whose label is 0 where others are -1, so neither for nor against"


def reactions(labels=(1, -1), users: int = 10, each: int = 8) -> list[dict]:
    """Rows under our names: each user reacts to `each` statements, the labels in turn."""
    return [
        {"user_id": f"u{u}", "prompt": "Q?", "completion": f"s{n}", "label": labels[(u + n) % len(labels)],
         "timestamp": 1_700_000_000 + n}
        for u in range(users) for n in range(each)
    ]  # fmt: skip


def renamed(rows: list[dict], names=OWN) -> list[dict]:
    return [{names.get(column, column): value for column, value in row.items()} for row in rows]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_map_is_read_from_text_and_from_a_mapping():
    assert parse(" prompt = question ,user_id=who,label=a=b") == {
        "prompt": "question",
        "user_id": "who",
        "label": "a=b",
    }
    assert parse({"prompt": "the question, as asked"}) == {"prompt": "the question, as asked"}
    assert parse(None) == {}


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("prompt", "--map holds 'prompt'; each part is OURS=THEIRS, as user_id=who,prompt=question"),
        ("prompt=question,", "--map holds ''; each part is"),
        ("prompt=", "--map holds 'prompt='; each part is"),
        ("=question", "--map holds '=question'; each part is"),
        (
            "propmt=question",
            r"which is no column of ours \(user_id, prompt, chosen, .*, split\); did you mean prompt\?",
        ),
        ("who=user_id", "--map names 'who', which is no column of ours .*; ours comes first: user_id=who"),
        ("xyz=question", r"--map names 'xyz', which is no column of ours \([^)]*\)$"),
        ("prompt=a,label=b,prompt=c", "--map names prompt twice, as 'a' and 'c'; give one"),
    ],
)
def test_a_map_that_cannot_be_read_says_why(value, line):
    with pytest.raises(SettingError, match=line):
        parse(value)


def test_a_row_has_our_names_and_what_stood_there_is_not_read():
    row = {"who": 7, "chosen": "a", "rejected": "b", "prompt": "old", "question": "new"}
    assert Renaming("user_id=who,prompt=question").row(row) == {
        "user_id": 7, "prompt": "new", "chosen": "a", "rejected": "b",
    }  # fmt: skip
    assert Renaming("chosen=rejected,rejected=chosen").row(row) == {**row, "chosen": "b", "rejected": "a"}
    assert Renaming("completion=chosen").row(row) == {
        "who": 7, "completion": "a", "rejected": "b", "prompt": "old", "question": "new",
    }  # fmt: skip
    one_for_two = Renaming("session_id=who,source=who", "who")
    assert one_for_two.row(row) == {**row, "session_id": 7, "source": 7} and one_for_two.user_id == "who"
    assert Renaming("prompt=absent").row(row) == {name: value for name, value in row.items() if name != "prompt"}
    assert Renaming("user_id=who").row({"user_id": "other"}) == {}, "the map says where the user stands"
    with pytest.raises(SettingError, match="--map says user_id=who and --user_id_column says name; give one"):
        Renaming("user_id=who", "name")


@given(st.data())
def test_any_renaming_is_undone_by_its_map(data):
    names = data.draw(st.lists(st.sampled_from(NAMES), unique=True))
    foreign = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=","), min_size=1)
    theirs = foreign.map(str.strip).filter(lambda name: name and name not in NAMES)
    columns = data.draw(st.lists(theirs | st.sampled_from(names), min_size=len(names), max_size=len(names), unique=True)
                        if names else st.just([]))  # fmt: skip
    row = {name: number for number, name in enumerate(names)}
    written = {column: row[name] for name, column in zip(names, columns, strict=True)}
    text = ",".join(f"{name}={column}" for name, column in zip(names, columns, strict=True))
    for value in (dict(zip(names, columns, strict=True)), text if names else None):
        renaming = Renaming(value)
        assert renaming.row(written) == row and not renaming.unseen


def test_a_file_under_other_names_is_the_same_population(tmp_path):
    rows = reactions()
    ours, theirs = tmp_path / "a" / "my.jsonl", tmp_path / "b" / "my.jsonl"
    for path, lines in ((ours, rows), (theirs, [{"label": "of the export", **row} for row in renamed(rows)])):
        path.parent.mkdir()
        write(path, lines)
    one, two = generic.load(ours, seed=3), generic.load(theirs, seed=3, columns=MAP)
    assert one.examples and (one.examples, one.histories) == (two.examples, two.histories)
    settings = {"dataset_name": str(theirs), "data_dir": None, "seed": 3, "map": OWN}
    assert datasets.from_settings(settings).examples == one.examples
    assert datasets.count_users({**settings, "user_id_column": "user_id"}) == 10
    assert check(theirs, columns=MAP).to_json()["kept"] == 80
    assert list(datasets.head(str(theirs), 80, columns=MAP)) == list(datasets.head(str(ours), 80))
    datasets.split(str(theirs), tmp_path / "s", columns=MAP)
    datasets.split(str(ours), tmp_path / "t")
    assert all((tmp_path / "t" / path.name).read_bytes() == path.read_bytes() for path in (tmp_path / "s").iterdir())


def test_a_column_that_no_row_has_is_refused_and_one_that_some_rows_have_is_not(tmp_path):
    path = write(tmp_path / "my.jsonl", renamed(reactions()))
    wrong = MAP.replace("=when", "=wehn")
    line = r"--map says timestamp=wehn, and no row of .*my.jsonl has a column 'wehn'; its columns are who, question, "
    for call in (
        lambda: generic.load(path, columns=wrong),
        lambda: check(path, columns=wrong),
        lambda: next(datasets.head(str(path), 1, columns=wrong)),
        lambda: datasets.split(str(path), tmp_path / "s", columns=wrong),
    ):
        with pytest.raises(SettingError, match=line + r"statement, vote, when; did you mean when\?$"):
            call()
    assert not (tmp_path / "s").exists()
    # The last of 81 rows has one: the first ones are shown.
    write(path, [*renamed(reactions()), {**renamed(reactions())[0], "wehn": 1}])
    assert len(list(datasets.head(str(path), 1, columns=wrong))) == 1
    with pytest.raises(SettingError, match="--map is for rows of your own; pets has its own rule"):
        next(datasets.head("pets", 1, columns="prompt=question"))


@pytest.mark.parametrize(
    ("yes", "no"),
    [(True, False), (1, 0), (1, -1), (1.0, -1.0), ("1", "-1"), ("+1", "-1"), ("yes", "no"), ("Agree", "Disagree"),
     ("agreed ", "disagreed"), ("up", "down"), ("UPVOTE", "downvote"), ("like", "dislike"),
     ("thumbs_up", "thumbs_down"), ("👍", "👎")],
)  # fmt: skip
def test_labels_are_read_in_their_usual_spellings(yes, no):
    assert label_of(yes) is True and label_of(no) is False


@pytest.mark.parametrize("value", ["pass", "unsure", "", "2", 5, -2, None, [], "yesno", float("nan")])
def test_other_labels_are_not_understood_and_counted(value, tmp_path):
    with pytest.raises(UnusableError, match="rows whose label is neither true nor false"):
        label_of(value)
    rows = [*reactions(), {**reactions()[0], "label": value}]
    (reason,) = check(write(tmp_path / "my.jsonl", rows)).dropped
    missing = "rows with neither {chosen, rejected}, {completion, label} nor {messages}"
    assert reason == (missing if value is None else "rows whose label is neither true nor false")


@pytest.mark.parametrize("order", ["first", "last", "mixed"])
def test_a_label_of_zero_is_a_pass_beside_minus_one_wherever_that_stands(order, tmp_path):
    rows = reactions((1, 0, -1, 1))
    random.Random(0).shuffle(rows)
    if order != "mixed":
        rows.sort(key=lambda row: row["label"] == 0, reverse=order == "first")
    path = write(tmp_path / "my.jsonl", renamed(rows))
    assert check(path, columns=MAP).to_json()["dropped"] == {PASSES: 20}
    dropped = Dropped()
    kept = list(generic.read(path, dropped, renaming=Renaming(MAP)))
    assert len(kept) == 60 and sum(row.event.content.label for row in kept) == 40 and dropped == {PASSES: 20}


def test_a_label_of_zero_is_a_dislike_without_minus_one(tmp_path):
    found = check(write(tmp_path / "my.jsonl", reactions((1, 0, True, "0"))))
    assert found.kept == 80 and not found.dropped
