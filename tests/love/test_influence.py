"""Leave-one-user influence: against really leaving them out, and a loud user planted among quiet ones."""

from __future__ import annotations

import numpy as np
import pytest
from support.love_logs import START, log
from support.words import embeddings

from plus.love import influence as module
from plus.love.influence import influence
from plus.love.model import FrozenReader
from plus.love.report import features_of
from plus.types import Event, Reaction


def features(events):
    return features_of(FrozenReader(embeddings()), events)


def test_the_loud_user_comes_first_with_the_answer_that_they_push():
    events = log(users=40, each=20)
    answer = events["u000"][0].content.completion
    events["mallory"] = [Event(f"m{n}", "reaction", Reaction("p", answer, True), START + n) for n in range(200)]
    first, second, *_ = influence(events, features(events))
    assert (first.user_id, first.answer, first.reactions) == ("mallory", answer, 200)
    assert first.change > 2 * abs(second.change)


def test_the_ranking_agrees_with_really_leaving_each_user_out(monkeypatch):
    """The first-order ranking against the exact change of every user, and its planted fault: gradients of one sign."""
    events = log(users=30, each=20)
    exact = {one.user_id: abs(one.change) for one in influence(events, features(events), top=30)}
    assert len(exact) == 30
    order = sorted(exact, key=lambda user: -exact[user])
    few = [one.user_id for one in influence(events, features(events), top=5)]
    assert len(set(few) & set(order[:8])) >= 4
    monkeypatch.setattr(module, "expit", lambda x: np.zeros_like(x) + 0.5 * (x == x))
    assert {one.user_id for one in influence(events, features(events), top=5)} != set(few)


def test_a_user_whose_reactions_are_as_predicted_changes_little():
    events = log(users=40, each=20)
    quiet = log(users=40, each=20)
    quiet["u000"] = quiet["u000"][:1]
    change = {one.user_id: abs(one.change) for one in influence(quiet, features(quiet), top=40)}
    assert change["u000"] < np.median(list(change.values()))
    assert len(events) == len(quiet)


def test_worked_numbers_with_one_answer(monkeypatch):
    """One answer, so the model is its rate: 3 of 4 loved; without bob, 2 of 3. log 3 - log 2 = 0.405 (no ridge)."""
    monkeypatch.setattr(module, "RIDGE", 1e-9)
    labels = {"ann": [True], "bob": [True], "cid": [True], "dan": [False]}
    events = {user: [Event("e", "reaction", Reaction("", "x", one)) for one in told] for user, told in labels.items()}
    found = {one.user_id: one.change for one in influence(events, {"x": [1.0], "y": [2.0]})}
    assert found["bob"] == pytest.approx(np.log(3) - np.log(2), abs=1e-3)
