"""Additive baseline: leniency and answer rates, no interaction. Influence: against exact refits without a user."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from support.love_logs import START, log
from support.words import embeddings

from plus.love import regressions
from plus.love.measures import auroc, auroc_difference, calibration_slope
from plus.love.model import FrozenLoveModel
from plus.love.regressions import COLUMNS, Additive, influence
from plus.love.report import features_of
from plus.love.run import scored_reactions
from plus.love.splits import HeldOutUser, split_by_user
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


def score(events, columns):
    rows = []
    for split in split_by_user(events, 3):
        rows += scored_reactions(split.held_out, Additive(split.train, columns).predict(split.held_out))
    return rows


def test_where_users_differ_in_leniency_alone_each_column_adds_and_it_is_calibrated():
    events = lenient_log()
    rate, own, lenient = (score(events, columns) for columns in COLUMNS.values())
    assert auroc_difference(own, rate).low > 0.05
    assert auroc_difference(lenient, own).mean > -0.005
    slope = calibration_slope(lenient)
    assert slope.slope.low < 1 < slope.slope.high
    assert slope.intercept.low < 0 < slope.intercept.high


def test_the_additive_baseline_has_no_interaction_of_user_and_answer():
    """Users love cats or dogs only; the AUROC may not be better than half-way between chance and the truth."""
    rows = score(log(users=30, each=30, strength=3.0), 3)
    assert auroc(rows).mean < 0.72


def test_a_training_users_own_reactions_are_left_out_of_the_answers_rates():
    """Every answer has one reaction, so a rate that counted it would give the label away."""
    rng = random.Random(1)
    events = {
        f"u{u}": [
            Event(f"e{n}", "reaction", Reaction("", f"answer {u} {n}", rng.random() < 0.4), START + n)
            for n in range(20)
        ]
        for u in range(40)
    }
    split = split_by_user(events, 3)[0]
    model = Additive(split.train, 1)
    assert abs(float(model.model.coef_[0][0])) < 0.5
    values = [value for of_user in model.predict(split.held_out) for value in of_user]
    assert values == pytest.approx([math.log(0.4 / 0.6)] * len(values), abs=0.35)


def test_features_on_worked_numbers():
    """x: 6 of 8 loved; y: 0 of 8. Overall 6 of 16. A new user's past: loved y, did not love x; pulls 2 and 1."""
    events = {f"u{n}": [Event("e", "reaction", Reaction("", "x" if n < 8 else "y", n < 6), START)] for n in range(16)}
    assert all(len(split.held_out) == len(events) - len(split.train) for split in split_by_user(events))
    model = Additive(events)
    past = tuple(Event(text, "reaction", Reaction("", text, text == "y"), START) for text in "xy")
    target = (
        Event("z", "reaction", Reaction("", "x", True), START + 1),
        Event("w", "reaction", Reaction("", "new", True), START + 1),
    )
    tested = [HeldOutUser("new", past, target)]
    x, y = (6 + 2 * 6 / 16) / 10, (0 + 2 * 6 / 16) / 10
    own, lenient = (1 + 6 / 16) / 3, (1 - x - y) / 3
    found = model._features(model._table(tested, own_left_out=False), (2.0, 1.0))
    logit = lambda p: math.log(p / (1 - p))  # noqa: E731
    assert found.tolist() == [
        pytest.approx([logit(x), logit(own), lenient]),
        pytest.approx([logit(6 / 16), logit(own), lenient]),
    ]
    # Of a training user their own are taken out first: x is then 5 of 7.
    mine = [HeldOutUser("u0", (), tuple(events["u0"]))]
    assert model._features(model._table(mine, own_left_out=True), (2.0, 1.0))[0][0] == pytest.approx(
        logit((5 + 0.75) / 9)
    )


def test_a_user_without_a_past_is_predicted_from_the_answer_alone():
    events = lenient_log(40)
    model = Additive(events)
    targets = tuple(events["u0"])
    values = model.predict([HeldOutUser("new", (), targets)])[0]
    best = max(targets, key=lambda e: int(e.content.completion.split()[1]))
    worst = min(targets, key=lambda e: int(e.content.completion.split()[1]))
    assert values[targets.index(best)] > values[targets.index(worst)]


def features(events):
    return features_of(FrozenLoveModel(embeddings()), events)


def test_a_planted_flooding_user_is_first_with_the_answer_that_they_push():
    events = log(users=40, each=20)
    answer = events["u000"][0].content.completion
    events["mallory"] = [Event(f"m{n}", "reaction", Reaction("p", answer, True), START + n) for n in range(200)]
    first, second, *_ = influence(events, features(events))
    assert (first.user_id, first.answer, first.reactions) == ("mallory", answer, 200)
    assert first.change > 2 * abs(second.change)


def test_the_first_order_ranking_agrees_with_exact_refits(monkeypatch):
    """Against the exact change of every user; with gradients of one sign planted, it does not agree."""
    events = log(users=30, each=20)
    exact = {one.user_id: abs(one.change) for one in influence(events, features(events), top=30)}
    assert len(exact) == 30
    order = sorted(exact, key=lambda user: -exact[user])
    few = [one.user_id for one in influence(events, features(events), top=5)]
    assert len(set(few) & set(order[:8])) >= 4
    monkeypatch.setattr(regressions, "expit", lambda x: np.zeros_like(x) + 0.5 * (x == x))
    assert {one.user_id for one in influence(events, features(events), top=5)} != set(few)


def test_a_user_whose_reactions_are_as_predicted_changes_little():
    events = log(users=40, each=20)
    quiet = log(users=40, each=20)
    quiet["u000"] = quiet["u000"][:1]
    change = {one.user_id: abs(one.change) for one in influence(quiet, features(quiet), top=40)}
    assert change["u000"] < np.median(list(change.values()))
    assert len(events) == len(quiet)


def test_influence_on_worked_numbers_with_one_answer(monkeypatch):
    """One answer, so the model is its rate: 3 of 4 loved; without bob, 2 of 3. log 3 - log 2 = 0.405 (no ridge)."""
    monkeypatch.setattr(regressions, "RIDGE", 1e-9)
    labels = {"ann": [True], "bob": [True], "cid": [True], "dan": [False]}
    events = {user: [Event("e", "reaction", Reaction("", "x", one)) for one in told] for user, told in labels.items()}
    found = {one.user_id: one.change for one in influence(events, {"x": [1.0], "y": [2.0]})}
    assert found["bob"] == pytest.approx(np.log(3) - np.log(2), abs=1e-3)
