"""Intervals on worked numbers, and that they cover what they promise to cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from plus.errors import EvidenceError
from plus.evaluate import intervals
from plus.evaluate.intervals import corrected, interval, paired_difference, user_interval
from plus.evaluate.predictions import Prediction


def predictions(method: str, margins: dict[tuple[int, str], list[float]]) -> list[Prediction]:
    return [
        Prediction(method, seed, user, str(number), margin)
        for (seed, user), values in margins.items()
        for number, margin in enumerate(values)
    ]


def test_few_users_get_students_t_over_their_means():
    """Means 1, 0 and 1/2: standard deviation 1/2, error 1/(2 sqrt 3), t(2) at 97.5 % is 4.3027."""
    found = user_interval(predictions("m", {(0, "a"): [1, 2], (0, "b"): [-1, -3], (0, "c"): [5, -5]}))
    assert (found.mean, found.users, found.targets) == (0.5, 3, 6)
    half = 4.302653 * 0.5 / math.sqrt(3)
    assert interval([(0, "a", 1.0), (0, "b", 0.0), (0, "c", 0.5)]).low == pytest.approx(0.5 - half, abs=1e-5)
    assert (found.low, found.high) == (0.0, 1.0), "an accuracy stays between 0 and 1"


def test_a_user_with_more_choices_counts_for_more():
    """3 of 4 and 0 of 1: 3/5, not the mean of 3/4 and 0."""
    found = user_interval(predictions("m", {(0, "a"): [1, 1, 1, -1], (0, "b"): [-1]}))
    assert found.mean == pytest.approx(0.6)


def test_a_bootstrap_agrees_with_the_textbook_where_both_hold():
    """400 users with one choice each, 300 right: 0.75 +- 1.96 sqrt(.75 * .25 / 400)."""
    found = user_interval(predictions("m", {(0, str(n)): [1.0 if n % 4 else -1.0] for n in range(400)}))
    assert found.mean == 0.75
    assert found.low == pytest.approx(0.75 - 0.0424, abs=0.004)
    assert found.high == pytest.approx(0.75 + 0.0424, abs=0.004)
    assert found == user_interval(predictions("m", {(0, str(n)): [1.0 if n % 4 else -1.0] for n in range(400)}))


def test_choices_of_one_user_are_not_independent():
    """The same 400 choices from 40 users who are always right or always wrong: three times as wide."""
    alone = user_interval(predictions("m", {(0, str(n)): [1.0 if n % 4 else -1.0] for n in range(400)}))
    together = user_interval(predictions("m", {(0, str(n)): [1.0 if n % 4 else -1.0] * 10 for n in range(40)}))
    assert together.mean == alone.mean
    assert 2.8 < (together.high - together.low) / (alone.high - alone.low) < 3.8


def test_seeds_that_disagree_widen_the_interval_and_seeds_that_agree_do_not():
    users = [str(n) for n in range(300)]
    one = {(0, user): [1.0 if n % 3 else -1.0] for n, user in enumerate(users)}
    same = {(seed, user): one[0, user] for seed in range(3) for user in users}
    # Seeds with accuracies 1/2, 2/3 and 5/6: standard deviation 1/6, t(2) = 4.30 over sqrt 3.
    apart = {(s, u): [1.0 if n % 6 >= 3 - s else -1.0] for s in range(3) for n, u in enumerate(users)}
    alone, agreed, differing = (user_interval(predictions("m", rows)) for rows in (one, same, apart))
    assert (agreed.low, agreed.high) == pytest.approx((alone.low, alone.high), abs=0.006)
    half = 4.302653 / 6 / math.sqrt(3)
    assert interval([(s, u, p) for (s, u), (p,) in apart.items()]).targets == 900
    raw = interval([(s, u, float(p > 0)) for (s, u), (p,) in apart.items()])
    assert raw.mean - raw.low == pytest.approx(half, rel=0.05), "users, whom all seeds share, lend it a little freedom"
    assert differing.high - differing.low > 5 * (alone.high - alone.low)


def test_differences_are_paired():
    """Two methods that err on different users by the same rate: the difference is 0, its interval
    comes from the choices on which they differ. A constant lead has no spread at all."""
    a = predictions("a", {(0, str(n)): [-1.0 if n % 4 == 0 else 1.0] for n in range(400)})
    b = predictions("b", {(0, str(n)): [-1.0 if n % 4 == 1 else 1.0] for n in range(400)})
    found = paired_difference(a, b)
    assert found.mean == 0
    assert found.high == pytest.approx(1.96 * math.sqrt(0.5 / 400), abs=0.007)
    same = paired_difference(a, list(reversed(a)))
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    lead = paired_difference(
        predictions("a", {(0, str(n)): [1.0, 1.0] for n in range(60)}),
        predictions("b", {(0, str(n)): [1.0, -1.0] for n in range(60)}),
    )
    assert (lead.mean, lead.low, lead.high) == (0.5, 0.5, 0.5)


def test_other_rows_cannot_be_paired():
    a = predictions("ours", {(0, "u"): [1.0, 2.0]})
    b = predictions("theirs", {(0, "u"): [1.0]})
    message = r"1 choices were judged by one of ours and theirs only \(seed 0, user u, example 1\)"
    with pytest.raises(EvidenceError, match=message):
        paired_difference(a, b)
    with pytest.raises(EvidenceError, match="1 predictions of theirs name a choice twice"):
        paired_difference(b, [*b, *b])


def test_what_has_no_interval_says_so():
    nothing = user_interval([])
    assert math.isnan(nothing.mean)
    assert (nothing.users, nothing.targets, str(nothing)) == (0, 0, "-")
    alone = user_interval(predictions("m", {(0, "u"): [1.0, -1.0]}))
    assert alone.mean == 0.5
    assert math.isnan(alone.low)
    assert str(alone) == "0.500", "one user: a mean without an interval"
    ties = user_interval(predictions("m", {(0, str(n)): [0.0] for n in range(80)}))
    assert (ties.mean, ties.low, ties.high) == (0.5, 0.5, 0.5)


def test_nobody_wrong_is_not_certainty():
    """No failure among 100 users: the exact 97.5 % bound is 1 - .025 ** (1/100), about 3.6 in 100."""
    found = user_interval(predictions("m", {(0, str(n)): [1.0] for n in range(100)}))
    assert (found.mean, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.0250 ** (1 / 100))
    assert user_interval(predictions("m", {(0, str(n)): [-1.0] for n in range(100)})).high == pytest.approx(
        1 - found.low
    )


def covered(seeds: int, users: int, accuracy: float, seed_spread: float, same_users: bool, populations: int) -> float:
    """The share of synthetic populations whose interval holds the accuracy they were drawn with.
    Users differ (standard deviation 0.1) and have one to eight choices each."""
    rng, hits = np.random.default_rng(seeds + users), 0
    for _ in range(populations):
        tastes, rows = rng.normal(0, 0.1, users), []
        for seed in range(seeds):
            tastes = tastes if same_users else rng.normal(0, 0.1, users)
            chance = np.clip(accuracy + tastes + rng.normal(0, seed_spread), 0, 1)
            count = rng.integers(1, 9, users)
            right = rng.binomial(count, chance)
            for user in range(users):
                rows += [(seed, str(user), float(number < right[user])) for number in range(count[user])]
        found = interval(rows)
        hits += found.low <= accuracy <= found.high
    return hits / populations


def test_an_interval_covers_its_truth(monkeypatch):
    monkeypatch.setattr(intervals, "REPLICATES", 400)
    assert 0.91 <= covered(1, 200, 0.7, 0.0, False, 300) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "users", "seed_spread", "same_users"),
    [
        (1, 200, 0.0, False), (1, 400, 0.0, False), (1, 30, 0.0, False), (5, 200, 0.0, False), (5, 200, 0.0, True),
        (5, 200, 0.05, False), (3, 200, 0.02, True), (3, 200, 0.05, True),
    ],
)  # fmt: skip
def test_95_percent_means_93_to_97_in_a_thousand_populations(seeds, users, seed_spread, same_users):
    assert 0.93 <= covered(seeds, users, 0.7, seed_spread, same_users, 1000) <= 0.97


@pytest.mark.slow
def test_where_shared_users_and_seeds_weigh_alike_the_interval_is_a_little_wide():
    """Measured 0.973: Cochran and Cox's quantile errs to the safe side there."""
    assert 0.95 <= covered(5, 200, 0.7, 0.02, True, 1000) <= 0.98


def test_a_corrected_interval_is_wider_and_that_of_one_comparison_is_the_usual_one():
    rows = [Prediction("m", 0, f"u{n}", "x", 1.0 if n % 3 else -1.0) for n in range(90)]
    usual, four, twenty = (user_interval(rows, level=corrected(count)) for count in (1, 4, 20))
    assert usual == user_interval(rows)
    assert usual.high - usual.low < four.high - four.low < twenty.high - twenty.low
    # Twenty comparisons leave 2.5 of 2,000 draws in a tail: Student's t with the users' spread.
    half = student.ppf(1 - 0.025 / 20, 89) * (2 / 3 * 1 / 3 / 89) ** 0.5
    assert (twenty.low, twenty.high) == (pytest.approx(2 / 3 - half), pytest.approx(2 / 3 + half))
