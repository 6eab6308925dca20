"""The line to beat: it knows what it should, and nothing of who likes what."""

from __future__ import annotations

import math
import random

import pytest
from support.love_logs import START, log

from plus.love.additive import COLUMNS, Additive
from plus.love.measures import auroc, auroc_difference, calibration_slope
from plus.love.report import judged
from plus.love.splits import Tested, new_users
from plus.types import Event, Reaction


def lenient_log(users=90, each=24):
    """Users differ in how easily they love anything, and answers in how good they are; nothing else."""
    rng = random.Random(0)
    found = {}
    for user in range(users):
        level = rng.gauss(0, 1.5)
        past = []
        for place in rng.sample(range(40), each):
            chance = 1 / (1 + math.exp(-level - (place - 19.5) / 10))
            past.append(
                Event(
                    f"e{place}", "reaction", Reaction("", f"answer {place}", rng.random() < chance), START + len(past)
                )
            )
        found[f"u{user}"] = past
    return found


def judge(events, columns):
    rows = []
    for split in new_users(events, 3):
        rows += judged(split.tested, Additive(split.train, columns).of(split.tested))
    return rows


def test_where_users_differ_in_leniency_alone_each_column_adds_and_it_is_calibrated():
    events = lenient_log()
    rate, own, lenient = (judge(events, columns) for columns in COLUMNS.values())
    assert auroc_difference(own, rate).low > 0.05
    assert auroc_difference(lenient, own).mean > -0.005
    slope = calibration_slope(lenient)
    assert slope.slope.low < 1 < slope.slope.high
    assert slope.intercept.low < 0 < slope.intercept.high


def test_of_who_likes_what_it_knows_nothing():
    """Loves are cats' or dogs' alone: it may not do better than half-way between nothing and the truth."""
    rows = judge(log(users=30, each=30, strength=3.0), 3)
    assert auroc(rows).mean < 0.72


def test_a_training_users_own_reactions_are_left_out_of_the_rates_they_are_explained_by():
    """Every answer has one reaction, so a rate that counted it would know it; new users' answers are unknown."""
    rng = random.Random(1)
    events = {
        f"u{u}": [
            Event(f"e{n}", "reaction", Reaction("", f"answer {u} {n}", rng.random() < 0.4), START + n)
            for n in range(20)
        ]
        for u in range(40)
    }
    split = new_users(events, 3)[0]
    model = Additive(split.train, 1)
    assert abs(float(model.model.coef_[0][0])) < 0.5
    values = [value for of_user in model.of(split.tested) for value in of_user]
    assert values == pytest.approx([math.log(0.4 / 0.6)] * len(values), abs=0.35)


def test_worked_features():
    """x: 6 of 8 loved; y: 0 of 8. Overall 6 of 16. A new user's past: loved y, did not love x; pulls 2 and 1."""
    events = {f"u{n}": [Event("e", "reaction", Reaction("", "x" if n < 8 else "y", n < 6), START)] for n in range(16)}
    assert all(len(split.tested) == len(events) - len(split.train) for split in new_users(events))
    model = Additive(events)
    past = tuple(Event(text, "reaction", Reaction("", text, text == "y"), START) for text in "xy")
    target = (
        Event("z", "reaction", Reaction("", "x", True), START + 1),
        Event("w", "reaction", Reaction("", "new", True), START + 1),
    )
    tested = [Tested("new", past, target)]
    x, y = (6 + 2 * 6 / 16) / 10, (0 + 2 * 6 / 16) / 10
    own, lenient = (1 + 6 / 16) / 3, (1 - x - y) / 3
    found = model._features(model._table(tested, own_left_out=False), (2.0, 1.0))
    logit = lambda p: math.log(p / (1 - p))  # noqa: E731
    assert found.tolist() == [
        pytest.approx([logit(x), logit(own), lenient]),
        pytest.approx([logit(6 / 16), logit(own), lenient]),
    ]
    # Of a training user their own are taken out first: x is then 5 of 7.
    mine = [Tested("u0", (), tuple(events["u0"]))]
    assert model._features(model._table(mine, own_left_out=True), (2.0, 1.0))[0][0] == pytest.approx(
        logit((5 + 0.75) / 9)
    )


def test_a_user_without_a_past_is_judged_by_the_answer_alone():
    events = lenient_log(40)
    model = Additive(events)
    targets = tuple(events["u0"])
    values = model.of([Tested("new", (), targets)])[0]
    best = max(targets, key=lambda e: int(e.content.completion.split()[1]))
    worst = min(targets, key=lambda e: int(e.content.completion.split()[1]))
    assert values[targets.index(best)] > values[targets.index(worst)]
