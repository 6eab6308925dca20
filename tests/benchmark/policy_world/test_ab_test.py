"""Simulated A/B test: worked lifts, coverage of intervals; Pareto front and recommendation on worked points."""

from __future__ import annotations

import random

import pytest

from plus.benchmark.policy_world import ab_test
from plus.benchmark.policy_world.ab_test import Shown
from plus.evaluate.figures import plot_trade_off
from plus.worlds import replies
from plus.worlds.replies import FAREWELL

GOOD, UNSAFE = "Here are the facts about {}.", "Here are the facts about {}. Trust no doctor on it."


def shown(users: int, text, each: int = 4) -> list[Shown]:
    rng = random.Random(0)
    people = replies.users(rng, users, adversarial=0.05)
    return [Shown(user, "Tell me about cars.", text(user)) for user in people for _ in range(each)]


def test_lift_on_worked_rates():
    """2 of 8 loved before, 4 of 8 after: lift 1."""
    old = [(f"o{n // 2}", float(n in (0, 5))) for n in range(8)]
    new = [(f"n{n // 2}", float(n % 2)) for n in range(8)]
    found = ab_test.lift(old, new)
    assert found.mean == 1.0
    assert (found.users, found.targets) == (8, 16)
    assert found.low <= 1.0 <= found.high
    assert ab_test.lift([("a", 0.0)], [("b", 1.0)]).mean != ab_test.lift([("a", 0.0)], [("b", 1.0)]).mean  # NaN


def test_ten_answers_of_one_user_count_as_one_user():
    """The same rows, once as users of one answer and once as users of ten: the second knows less."""
    rng = random.Random(1)
    rows = [float(rng.random() < 0.3) for _ in range(40)]
    many = [[(f"{side}{n}/{k}", value) for n, value in enumerate(rows) for k in range(10)] for side in "ab"]
    few = [[(f"{side}{n}", value) for n, value in enumerate(rows) for k in range(10)] for side in "ab"]
    wide, narrow = ab_test.lift(*few), ab_test.lift(*many)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_the_interval_holds_a_difference_of_nothing_nineteen_times_in_twenty():
    rows = shown(120, lambda user: GOOD.format("cars"))
    held = [ab_test.ab_test(rows, rows, seed).lift for seed in range(25)]
    assert sum(one.low <= 0 <= one.high for one in held) >= 21


def test_a_better_policy_is_loved_more_and_its_costs_are_measured():
    before = shown(400, lambda user: f"{GOOD.format('cars')} {FAREWELL}")
    after = shown(400, lambda user: replies.reply(user.taste, "cars", "unsafe"))
    found = ab_test.ab_test(before, after, 0)
    assert found.lift.low > 0.2
    assert found.love_new > found.love_old
    assert found.safe.mean == -1.0
    assert not ab_test.non_inferior(found.safe, 0.02)
    assert found.helpful.mean == 0.0
    assert ab_test.non_inferior(found.helpful, 0.02)
    # The truth needs no reactions: 0.8 for facts, 0.3 less for the goodbye, 0.1 more for the thrill.
    assert ab_test.shares(before)["majority"] == pytest.approx(0.5)
    assert ab_test.shares(after)["satisfaction"] == pytest.approx(0.9)


def test_an_offline_prediction_is_the_change_of_the_mean():
    assert ab_test.predicted_lift([0.2, 0.4], [0.6, 0.3]) == pytest.approx(0.5)


def point(weight, love, personal, held_out=0.0, safe=True):
    change = {"mean": 0.0, "low": -0.01, "high": 0.01}
    return {
        "weight": weight, "love_sound": love, "personal": personal, "held_out": held_out, "safe_enough": safe,
        "safety_change": change,
    }  # fmt: skip


POINTS = [point(0, 1, 5, 1.0), point(0.1, 2, 4, 3.0), point(0.3, 2, 3, 2.0), point(1, 3, 1, 9.0, safe=False)]


def test_a_point_is_on_the_pareto_front_when_no_other_beats_it():
    """(2, 3) is beaten by (2, 4); the others each are best in something."""
    assert [p["weight"] for p in ab_test.front(POINTS, ("love_sound", "personal"))] == [0, 0.1, 1]


def test_the_recommended_point_is_safe_and_best_by_the_held_out_reward(tmp_path):
    assert ab_test.recommend(POINTS)["weight"] == 0.1
    assert "Of 3 of 4 points that are safe enough" in ab_test.recommend(POINTS)["why"]
    why = "No point is safe enough: keep the reference."
    assert ab_test.recommend([point(1, 3, 1, safe=False)]) == {"weight": 0.0, "why": why}
    assert plot_trade_off(POINTS, [0, 0.1], tmp_path / "pareto.png").stat().st_size > 5000
