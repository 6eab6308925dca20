"""A method's measures on worked predictions, and what is said where one cannot be had."""

from __future__ import annotations

import json

import pytest
from support.populations import rows as rows_of

from plus.evaluate.predictions import Prediction
from plus.evaluate.scorecard import by_group, groups, per_user, scorecard, worst_decile
from plus.types import Event, Example, Population, Preference, UserHistory


def made(rights: dict[str, list[float]], group: str = "", first: bool | None = None) -> list[Prediction]:
    return [
        Prediction("m", 0, user, f"{group}{number}", margin, first, group)
        for user, margins in rights.items()
        for number, margin in enumerate(margins)
    ]


def test_a_users_accuracy_has_wilsons_interval():
    """3 of 4: Wilson's interval is [0.3006, 0.9544]; the worst user stands first."""
    found = per_user(made({"good": [1, 1, 1, -1], "bad": [-1, 0]}))
    assert [(u.user_id, u.mean, u.targets) for u in found] == [("bad", 0.25, 2), ("good", 0.75, 4)]
    assert (found[1].low, found[1].high) == pytest.approx((0.3006, 0.9544), abs=1e-4)


def test_the_worst_decile_is_a_tenth_of_the_users():
    """20 users; two are right once in two, the others always: the tenth is those two."""
    rights = {f"user-{n:02}": [1.0, 1.0] for n in range(18)} | {"x": [1.0, -1.0], "y": [-1.0, 1.0], "single": [-1.0]}
    worst = worst_decile(made(rights))
    assert (worst.mean, worst.users, worst.targets) == (0.5, 2, 4)


def test_slices_by_what_training_knew():
    past = UserHistory("a", (Event("1", "message", "hello"),))
    known = Example(past, Preference("p", "x", "y"), "train")
    test = [
        Example(past, Preference("new", "x", "y"), "test"),
        Example(UserHistory("b"), Preference("p", "x", "z"), "test"),
    ]
    names = groups(Population("rows", rows_of((known, *test)), {}), test)
    assert names == ["known users, new topics", "new users, known topics"]
    found = by_group(made({"a": [1, -1], "b": [1, 1]}, names[0]) + made({"c": [1]}, names[1]) + made({"d": [1]}))
    counted = {name: (at.mean, at.users, at.targets) for name, at in found.items()}
    assert counted == {names[0]: (0.75, 2, 4), names[1]: (1.0, 1, 1)}


def test_a_scorecard_is_json_and_prints_its_denominators():
    card = scorecard(made({str(n): [1.0, -0.5, 2.0] for n in range(60)}, "1 past event"))
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    assert (card["users"], card["targets"], card["seeds"], card["notes"]) == (60, 180, 1, [])
    assert card["accuracy"]["mean"] == pytest.approx(2 / 3)
    assert card["slices"]["1 past event"]["users"] == 60
    assert 0 < card["calibration"]["auroc"] < 1


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        ({}, "no choice was predicted"),
        ({"a": [1.0, -1.0]}, "one user only"),
        ({"a": [0.0, 0.0], "b": [0.0]}, "every choice is undecided"),
        ({"a": [1.0, 2.0], "b": [0.0, 1.0]}, "no finite calibration slope"),
        ({"a": [1.0], "b": [-1.0]}, "2 of 2 users have a single choice"),
    ],
)
def test_what_cannot_be_measured_is_said_and_the_rest_is_computed(rows, note):
    card = scorecard(made(rows))
    assert any(note in line for line in card["notes"])
    json.dumps(card, allow_nan=False)
    if rows:
        assert card["accuracy"]["mean"] is not None


def test_one_class_is_said():
    card = scorecard(made({"a": [1.0, -1.0], "b": [2.0, 1.0]}, first=True))
    assert any("one class only" in line for line in card["notes"])
    assert card["calibration"]["auroc"] is None
