"""Offline to online where the truth is known; models with planted faults show in the slope."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from plus.errors import EvidenceError
from plus.love.measures import ScoredReaction
from plus.love.offline import offline_to_online

ANSWERS = {f"answer {n}": np.random.default_rng(n).normal(size=8).tolist() for n in range(60)}


def world(seed=0, users=600, each=20, base=-0.5):
    """Every user has a level and every answer a quality; the true log-odds are predicted."""
    rng, names = np.random.default_rng(seed), sorted(ANSWERS)
    quality = rng.normal(0, 1.2, len(names))
    found = []
    for user in range(users):
        level = rng.normal(0, 0.7)
        for place in random.Random(f"{seed}-{user}").sample(range(len(names)), each):
            logit = base + level + quality[place]
            found.append(
                ScoredReaction(f"u{user}", f"{user}-{place}", logit, bool(rng.random() < expit(logit)), names[place])
            )
    return found


def test_the_truth_has_a_slope_of_one_and_lifts_cover_ten_points_both_ways():
    found = offline_to_online(world(), ANSWERS)
    assert len(found.predicted) == 100
    assert found.r.mean > 0.9
    assert found.slope.low < 1 < found.slope.high
    assert 0.8 < found.slope.mean < 1.25
    assert min(found.measured) < -0.06 and max(found.measured) > 0.06
    # Uniform, not heaped about zero: the lift is drawn first, then a direction that reaches it.
    assert np.mean(np.abs(found.measured) > 0.05) > 0.3


@pytest.mark.parametrize(
    ("fault", "holds"),
    [
        (lambda row: row.logit * 0.4, lambda found: found.slope.high < 0.8),  # much too shy
        (lambda row: 3 * row.logit, lambda found: found.slope.low > 1.1 and found.slope.mean > 1.25),  # much too sure
        (lambda row: -row.logit, lambda found: found.r.high < 0),
        (lambda row: 0.01 * len(row.example), lambda found: abs(found.slope.mean) < 0.2),
        # Positives drawn up and never taken back: at a love rate of 4 % lifts are overstated.
    ],
)
def test_planted_faults_show_in_slope_or_correlation(fault, holds):
    assert holds(offline_to_online([replace(row, logit=fault(row)) for row in world()], ANSWERS))


def test_a_recalibration_left_out_overstates_every_lift_of_rare_love():
    rows = world(users=1000, base=-2.5)
    rate = np.mean([row.label for row in rows])
    assert rate < 0.2
    right = offline_to_online(rows, ANSWERS, policies=40, lift=0.03)
    wrong = offline_to_online([replace(row, logit=row.logit + 1.7) for row in rows], ANSWERS, policies=40, lift=0.03)
    assert right.slope.low < 1 < right.slope.high
    assert wrong.slope.low > 1.25


def test_the_halves_share_no_user_so_memory_of_outcomes_predicts_nothing():
    """A model that remembers each outcome of the half it predicts on, and knows nothing else."""
    rng = np.random.default_rng(0)
    rows = [replace(row, label=bool(rng.random() < 0.5)) for row in world()]  # no answer is better than another
    found = offline_to_online([replace(row, logit=4.0 if row.label else -4.0) for row in rows], ANSWERS, lift=0.02)
    assert abs(found.r.mean) < 0.5


def test_a_log_with_one_answer_cannot_be_tilted():
    rows = [replace(row, answer="answer 0") for row in world(users=20)]
    with pytest.raises(EvidenceError, match="give a log with more answers"):
        offline_to_online(rows, ANSWERS)


def test_the_same_seed_gives_the_same_policies():
    assert offline_to_online(world(), ANSWERS, policies=10) == offline_to_online(world(), ANSWERS, policies=10)
    assert offline_to_online(world(), ANSWERS, policies=10, seed=1) != offline_to_online(world(), ANSWERS, policies=10)
