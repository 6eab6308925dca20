"""Calibration and AUROC: worked numbers, scikit-learn, and simulated models that are known to be calibrated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import sem
from scipy.stats import t as student
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from plus.evaluate.calibration import auroc, calibration, calibration_error, calibration_slope, reliability
from plus.evaluate.intervals import user_interval
from plus.evaluate.predictions import Prediction
from plus.measures import accuracy


def predictions(margins, first=None) -> list[Prediction]:
    first = [None] * len(margins) if first is None else first
    return [
        Prediction("m", 0, f"user-{n % 150}", str(n), float(m), f)
        for n, (m, f) in enumerate(zip(margins, first, strict=True))
    ]


def simulated(count: int, slope: float = 1.0, seed: int = 0) -> list[Prediction]:
    """A model whose true log-odds are `slope` times what it says; 1 is calibrated."""
    rng = np.random.default_rng(seed)
    said = rng.normal(0, 2, count)
    chosen = rng.random(count) < 1 / (1 + np.exp(-slope * said))
    return predictions(np.where(chosen, said, -said), list(map(bool, rng.random(count) < 0.5)))


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_calibration_error_on_a_worked_example():
    """Two choices at 0.6, one right; two at 0.92, both right: (2 |.5 - .6| + 2 |1 - .92|) / 4 = 0.09."""
    made = predictions([logit(0.6), -logit(0.6), logit(0.92), logit(0.92)])
    assert calibration_error(made).ece == pytest.approx(0.09)
    assert [(round(b.confidence, 6), b.right, b.targets) for b in reliability(made)] == [(0.6, 0.5, 2), (0.92, 1.0, 2)]


def test_everything_equals_scikit_learn():
    made = simulated(3000)
    first = [bool(p.chosen_first) for p in made]
    score = [p.margin if p.chosen_first else -p.margin for p in made]
    chance = 1 / (1 + np.exp(-np.array(score)))
    assert auroc(made) == pytest.approx(roc_auc_score(first, score))
    assert user_interval(made).mean == pytest.approx(accuracy_score(first, np.array(score) > 0))
    assert -user_interval(made, lambda p: p.log_likelihood).mean == pytest.approx(log_loss(first, chance))
    fitted = LogisticRegression(C=math.inf, fit_intercept=False, tol=1e-10).fit(np.array(score)[:, None], first)
    assert calibration_slope(made).mean == pytest.approx(float(fitted.coef_[0, 0]), rel=1e-4)
    confidence = np.maximum(chance, 1 - chance)
    right = [p.right for p in made]
    # scikit-learn bins 0..1: twenty bins there are our ten over 0.5..1.
    share, mean = calibration_curve(right, confidence, n_bins=20)
    assert [b.right for b in reliability(made)] == pytest.approx(list(share))
    assert [b.confidence for b in reliability(made)] == pytest.approx(list(mean))
    counts = np.histogram(confidence, np.linspace(0.5, 1, 11))[0]
    assert calibration_error(made).ece == pytest.approx((np.abs(share - mean) * counts).sum() / len(made))


def test_ties_count_one_half_wherever_accuracy_is_counted():
    """Right, wrong and two undecided: (1 + 0 + .5 + .5) / 4, in training's log and in a report alike."""
    made = predictions([2.0, -1.0, 0.0, 0.0])
    assert user_interval(made).mean == accuracy([p.log_likelihood for p in made]) == 0.5
    assert accuracy([math.log(0.9), math.log(0.8), math.log(0.5)]) == pytest.approx(5 / 6)


def test_few_users_interval_equals_scipys():
    """Five users with as many choices each: Student's t over their means, as scipy has it."""
    shares = [1.0, 0.5, 0.75, 0.25, 0.75]
    made = [
        Prediction("m", 0, str(user), str(n), 1.0 if n < 4 * share else -1.0)
        for user, share in enumerate(shares)
        for n in range(4)
    ]
    found = user_interval(made)
    low, high = student.interval(0.95, 4, np.mean(shares), sem(shares))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(min(high, 1.0)))


def test_without_an_order_every_pair_is_read_in_both():
    made = predictions([2.0, 1.0, -0.5])
    expected = roc_auc_score([1, 1, 1, 0, 0, 0], [2.0, 1.0, -0.5, -2.0, -1.0, 0.5])
    assert auroc(made) == pytest.approx(expected)


def test_a_calibrated_model_is_within_what_chance_makes_and_an_overconfident_one_is_not():
    good, boastful = calibration_error(simulated(800)), calibration_error(simulated(800, slope=0.4))
    assert 0 < good.if_perfect < good.if_perfect_95
    assert good.ece < good.if_perfect_95, "few choices make even a perfect model's error positive"
    assert boastful.ece > 2 * boastful.if_perfect_95
    assert calibration_error(simulated(20_000)).if_perfect < good.if_perfect / 3, "and more choices make it less"


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
def test_the_slope_is_found_and_its_interval_covers_it(slope):
    found = [calibration_slope(simulated(600, slope, seed)) for seed in range(300)]
    covered = np.mean([f.low <= slope <= f.high for f in found])
    assert 0.92 <= covered <= 0.98
    assert np.mean([f.mean for f in found]) == pytest.approx(slope, rel=0.05)


def test_what_cannot_be_measured_is_nan():
    assert math.isnan(calibration_slope(predictions([1.0, 2.0])).mean), "all right: no finite slope"
    assert math.isnan(calibration_slope(predictions([0.0, 0.0])).mean), "all ties"
    assert math.isnan(auroc(predictions([1.0, -1.0], [True, True]))), "one class"
    ties = calibration_error(predictions([0.0] * 10))
    assert ties == (0.0, 0.0, 0.0)
    assert calibration(predictions([0.0] * 10))["auroc"] == 0.5
    assert calibration_slope(predictions([1.0, -1.0])[:1]).users == 1
