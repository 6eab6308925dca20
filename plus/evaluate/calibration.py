"""Calibration of predicted probabilities: of 100 choices predicted at 0.8, about 80 should come true.

A prediction has no order of its own, so it is read as the answer it favours: `confidence` is that
answer's probability, from 0.5 to 1, and `right` whether the user chose it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from plus.evaluate.intervals import Interval
from plus.evaluate.predictions import Prediction

BINS = 10
SIMULATIONS = 500


class Bin(NamedTuple):
    """Choices predicted with about the same confidence: its mean, the share right, and how many."""

    confidence: float
    right: float
    targets: int


class CalibrationError(NamedTuple):
    """`ece` beside what a perfectly calibrated model scores on as many choices with the same
    confidences: its mean, and the 95th percentile, above which miscalibration shows."""

    ece: float
    if_perfect: float
    if_perfect_95: float


def reliability(predictions: Sequence[Prediction], bins: int = BINS) -> list[Bin]:
    """Sort predictions into bins of equal width over 0.5..1, empty ones left out."""
    confidence_N, right_N = _confidence(predictions)  # (N,) each
    where_N = _bins(confidence_N, bins)
    return [
        Bin(float(confidence_N[where_N == b].mean()), float(right_N[where_N == b].mean()), int((where_N == b).sum()))
        for b in np.unique(where_N)
    ]


def calibration_error(predictions: Sequence[Prediction], bins: int = BINS) -> CalibrationError:
    """Compute the expected calibration error: |confidence - share right| averaged over choices, by bins.

    Few choices make it positive even for a perfect model, so its value under perfect calibration is
    simulated: each outcome is drawn with the probability that was predicted. (Naeini et al., AAAI
    2015; consistency by resampling: Broecker and Smith, Weather and Forecasting 22, 2007.)
    """
    if not predictions:
        return CalibrationError(math.nan, math.nan, math.nan)
    confidence_N, right_N = _confidence(predictions)  # (N,) each
    where_N, rng = _bins(confidence_N, bins), np.random.default_rng(0)

    def ece(outcome_N: np.ndarray) -> float:
        gap = np.bincount(where_N, outcome_N - confidence_N, minlength=bins)
        return float(np.abs(gap).sum() / len(outcome_N))

    tied_N = confidence_N == 0.5  # An undecided prediction is half right however it turns out.
    # The same error for outcomes that are drawn as predicted.
    drawn = [ece(np.where(tied_N, 0.5, rng.random(len(right_N)) < confidence_N)) for _ in range(SIMULATIONS)]
    return CalibrationError(ece(right_N), float(np.mean(drawn)), float(np.quantile(drawn, 0.95)))


def calibration_slope(predictions: Sequence[Prediction]) -> Interval:
    """Fit b in P(chosen) = sigmoid(b * margin) by maximum likelihood.

    1 is calibrated, below 1 over-confident, above 1 under-confident (Cox, Biometrika 45, 1958). There is
    no intercept, since the order of a pair is arbitrary. The interval's error is clustered by user (the
    sandwich estimate). NaN where every decided choice is right, or every one wrong: no finite slope is
    the likeliest then.
    """
    users = list(dict.fromkeys(p.user_id for p in predictions))
    margin_N = np.array([p.margin for p in predictions], dtype=float).clip(-700, 700)
    none = Interval(math.nan, math.nan, math.nan, len(users), len(predictions))
    if not ((margin_N > 0).any() and (margin_N < 0).any()):
        return none
    # The slope by Newton steps: the log-likelihood is concave.
    slope = 0.0
    for _ in range(100):
        chance_N = _sigmoid(slope * margin_N)
        gradient = ((1 - chance_N) * margin_N).sum()
        curvature = (chance_N * (1 - chance_N) * margin_N**2).sum()
        change = gradient / max(curvature, 1e-12)
        slope += float(np.clip(change, -1, 1))
        if abs(change) < 1e-9:
            break
    if len(users) < 2:
        return none._replace(mean=slope)
    # Its error: scores summed by user, since the choices of one user resemble each other.
    number = {user: place for place, user in enumerate(users)}
    score_U = np.bincount([number[p.user_id] for p in predictions], (1 - _sigmoid(slope * margin_N)) * margin_N)
    error = math.sqrt((score_U**2).sum() * len(users) / (len(users) - 1)) / max(curvature, 1e-12)
    half = float(student.ppf(0.975, len(users) - 1)) * error  # of a 95 % interval, over users
    return Interval(slope, slope - half, slope + half, len(users), len(predictions))


def auroc(predictions: Sequence[Prediction]) -> float:
    """Compute the area under the ROC curve of "the first answer is chosen".

    Where the rows do not say which stood first, every pair is read in both orders. NaN where only
    one order was ever chosen (one class).
    """
    from sklearn.metrics import roc_auc_score

    if all(p.chosen_first is not None for p in predictions):
        first = [bool(p.chosen_first) for p in predictions]
        scores = [p.margin if p.chosen_first else -p.margin for p in predictions]
    else:
        first = [True] * len(predictions) + [False] * len(predictions)
        scores = [p.margin for p in predictions] + [-p.margin for p in predictions]
    return float(roc_auc_score(first, scores)) if len(set(first)) == 2 else math.nan


def calibration(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Compute all measures of calibration as plain values, for report.json."""
    error, slope = calibration_error(predictions), calibration_slope(predictions)
    return {
        **error._asdict(),
        "slope": slope.mean,
        "slope_low": slope.low,
        "slope_high": slope.high,
        "auroc": auroc(predictions),
        "reliability": [bin._asdict() for bin in reliability(predictions)],
    }


def _confidence(predictions: Sequence[Prediction]) -> tuple[np.ndarray, np.ndarray]:
    """Compute, (N,) both, the favoured answer's probability and whether it was chosen (1, 0 or one half)."""
    confidence_N = _sigmoid(np.abs(np.array([p.margin for p in predictions], dtype=float)))
    return confidence_N, np.array([p.right for p in predictions], dtype=float)


def _bins(confidence_N: np.ndarray, bins: int) -> np.ndarray:
    where_N: np.ndarray = np.minimum(((confidence_N - 0.5) * 2 * bins).astype(int), bins - 1)
    return where_N


def _sigmoid(values: np.ndarray) -> np.ndarray:
    chance: np.ndarray = 1 / (1 + np.exp(-values.clip(-700, 700)))
    return chance
