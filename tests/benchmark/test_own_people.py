"""Rows of one's own: folds that they allow, reasons for those left out, samples, and mistakes in one line."""

from __future__ import annotations

import random

import pytest
from support.own_rows import choices, likes, written

from plus.benchmark import own_people
from plus.errors import SettingError, SourceError
from plus.sources.folds import answers, slice_of
from plus.types import Dropped


def own(person: int, n: int) -> tuple[str, str]:
    return f"good {person} {n}", f"bad {person} {n}"


def test_statements_that_recur_give_all_three_tests(tmp_path):
    dropped = Dropped()
    found = own_people.load(written(tmp_path / "my.jsonl", choices(12, 24)), dropped)
    assert [fold.name for fold in found.folds] == [
        f"my/{group}/{n}" for group in ("new users", "new answers", "same users") for n in range(3)
    ]
    assert found.notes[:4] == [
        "12 people, 288 events",
        "new users: each of 12 people in one fold",
        "new answers: 12 of 12 answers are met again and again, 1 prompts",
        "same users: 12 users have 20 or more choices",
    ]
    assert found.seeds == 3
    assert not dropped
    # Nobody is tested on new users whom the fold trains on, and everybody is tested once.
    tested = [fold.population.users("test") for fold in found.folds[:3]]
    assert sorted(user for users in tested for user in users) == sorted(f"p{n}" for n in range(12))
    assert all(not set(users) & set(fold.events) for users, fold in zip(tested, found.folds, strict=False))


def test_prompts_that_several_people_answered_are_held_out_whole(tmp_path):
    def shared(person: int, n: int) -> str:
        return f"question {n}"

    found = own_people.load(written(tmp_path / "my.jsonl", choices(8, 9, shared, own)), Dropped())
    assert [fold.group for fold in found.folds] == ["new users"] * 3 + ["new prompts"] * 3
    assert "new prompts: 9 of 9 prompts were answered by several people" in found.notes
    assert "same users: left out, no user has 20 choices" in found.notes
    for fold in found.folds[3:]:
        trained = {event.content.prompt for past in fold.events.values() for event in past}
        assert not trained & {example.target.prompt for example in fold.population.split("test")}


def test_what_is_never_met_twice_needs_no_test_of_its_own(tmp_path):
    def unique(person: int, n: int) -> str:
        return f"question {person} {n}"

    found = own_people.load(written(tmp_path / "my.jsonl", choices(8, 6, unique, own)), Dropped())
    assert {fold.group for fold in found.folds} == {"new users"}
    assert (
        "new answers or prompts: left out, 0 of 48 prompts and 0 of 96 answers are met twice, "
        "so that choices of others are on new ones already" in found.notes
    )


def test_few_people_with_many_choices_are_tested_on_themselves(tmp_path):
    found = own_people.load(written(tmp_path / "my.jsonl", choices(3, 30)), Dropped())
    assert {fold.group for fold in found.folds} == {"same users"}
    assert "new users: left out, 3 people, 6 needed" in found.notes


def test_one_kind_of_test_can_be_asked_for(tmp_path):
    source = written(tmp_path / "my.jsonl", choices(12, 24))
    found = own_people.load(source, Dropped(), split_by="same")
    assert {fold.group for fold in found.folds} == {"same users"}
    assert "new users: left out, --split_by same" in found.notes
    with pytest.raises(SettingError, match="takes users, topics, same"):
        own_people.load(source, Dropped(), split_by="later")


def test_many_people_get_one_seed_and_one_fold_of_what_is_tested_beside_new_users(tmp_path, monkeypatch):
    monkeypatch.setattr(own_people, "MANY_PEOPLE", 11)
    found = own_people.load(written(tmp_path / "my.jsonl", choices(12, 24)), Dropped())
    assert [fold.group for fold in found.folds] == ["new users"] * 3 + ["new answers", "same users"]
    assert found.seeds == 1
    assert "same users: 12 users have 20 or more choices; one fold of 3, since there are many people" in found.notes


def test_choices_between_answers_that_stand_equally_are_a_slice_of_known_and_of_new_answers(tmp_path):
    found = own_people.load(written(tmp_path / "my.jsonl", choices(40, 24)), Dropped())
    slices = {slice_of(fold, e.target) for fold in found.folds for e in fold.population.split("test")}
    groups = {"new users", "new answers", "same users"}
    assert slices >= {f"{group}, controversial" for group in groups}, "random choices: about one half each"
    for fold in found.folds[3:6]:
        hidden = {e.target.chosen for e in fold.population.split("test")}
        assert hidden and not hidden & {text for past in fold.events.values() for e in past for text in answers(e)}


def test_large_data_are_sampled_by_a_hash_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(own_people, "MOST_PEOPLE", 8)
    monkeypatch.setattr(own_people, "MOST_EVENTS", 10)
    rows = choices(20, 12)
    dropped = Dropped()
    found = own_people.load(written(tmp_path / "my.jsonl", rows), dropped)
    assert found.notes[0] == "8 people, 80 events"
    assert dropped["users beyond the first 8 by a hash of their id, which fit half an hour"] == 12
    assert dropped["events beyond the newest 10 of a user"] == 16
    # The order of the rows says nothing.
    random.Random(0).shuffle(rows)
    assert own_people.load(written(tmp_path / "my.jsonl", rows), Dropped()).fingerprint == found.fingerprint
    rows[0]["chosen"] = "another answer"
    assert own_people.load(written(tmp_path / "other.jsonl", rows), Dropped()).notes[0] == "8 people, 80 events"


def test_long_texts_leave_room_for_fewer_people(tmp_path, monkeypatch):
    monkeypatch.setattr(own_people, "MOST_CHARACTERS", 8 * 10 * 40)
    rows = choices(20, 5, answer=lambda person, n: (f"{person} {n} {'a' * 80}"[:40], f"{person} {n} {'b' * 80}"[:40]))
    dropped = Dropped()
    assert own_people.load(written(tmp_path / "my.jsonl", rows), dropped).notes[0] == "8 people, 40 events"
    assert sum(dropped.values()) == 12


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (choices(1, 30), r"holds the rows of one user \('user_id' has one value\); .* --user_id_column"),
        (choices(1, 30) + likes(True)[1:], "has choices of 1 of its 9 users; .* rows of 6 or more"),
        (likes(True), r"holds no choice to predict \(9 likes and 0 dislikes\); give \{prompt, chosen, rejected\}"),
        (choices(4, 3), "has nothing to test: new users: left out, 4 people, 6 needed; .* no user has 20 choices"),
        (choices(8, 1), "has nothing to test: new users: left out, a fold has fewer than two people with a later"),
    ],
)
def test_data_that_cannot_be_tested_are_refused_in_a_line(tmp_path, rows, complaint):
    with pytest.raises(SourceError, match=complaint) as error:
        own_people.load(written(tmp_path / "my.jsonl", rows), Dropped())
    assert "\n" not in str(error.value)
