"""Measures of predicted reactions: ranking (AUROC), calibration, length, drift. Bootstraps draw users, never rows.

The two outcomes of a reaction are not alike (love is rare), so everything here is about P(love) itself;
`evaluate/calibration.py` measures the probability of the choice that was predicted.

Shapes: N rows, U users, B bootstrap draws, T distinct scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit
from scipy.stats import spearmanr
from scipy.stats import t as student

from plus.errors import EvidenceError
from plus.evaluate.calibration import SIMULATIONS, CalibrationError
from plus.evaluate.intervals import Interval

REPLICATES = 1000
BINS = 10


@dataclass(frozen=True)
class ScoredReaction:
    """Test reaction with its predicted log-odds of love (`logit`) and its label."""

    user_id: str
    example: str
    logit: float
    label: bool
    answer: str = ""
    time: float | None = None
    group: str = ""


class Slope(NamedTuple):
    """Calibration line: logit P = intercept + slope * predicted log-odds, each with its 95 % interval.

    Calibrated is (1, 0): a slope below 1 is over-confident, an intercept above 0 predicts love too seldom.
    """

    slope: Interval
    intercept: Interval


def auroc(rows: Sequence[ScoredReaction]) -> Interval:
    """Compute the chance that a loved answer scores higher than one not loved, over all pairs of reactions."""
    users_N, count = _users(rows)
    area = _Area([row.logit for row in rows], [row.label for row in rows])
    draws_B = [area(times_U[users_N]) for times_U in _draws(count)]
    return _interval(area(np.ones(len(rows))), draws_B, count, len(rows))


def auroc_difference(ours: Sequence[ScoredReaction], theirs: Sequence[ScoredReaction]) -> Interval:
    """Compute AUROC of `ours` minus `theirs` on the same reactions and draws. Raises EvidenceError for others."""
    if [(row.user_id, row.example) for row in ours] != [(row.user_id, row.example) for row in theirs]:
        raise EvidenceError("two methods were judged on different reactions; judge both on the same rows in one order")
    users_N, count = _users(ours)
    one, other = (_Area([row.logit for row in rows], [row.label for row in rows]) for rows in (ours, theirs))
    draws_B = [one(times_U[users_N]) - other(times_U[users_N]) for times_U in _draws(count)]
    ones_N = np.ones(len(ours))
    return _interval(one(ones_N) - other(ones_N), draws_B, count, len(ours))


def calibration_slope(rows: Sequence[ScoredReaction]) -> Slope:
    """Fit the calibration line: a logistic regression of labels on predicted log-odds (Cox, Biometrika 45, 1958).

    Errors are clustered by user (the sandwich estimate).
    """
    users_N, count = _users(rows)
    logit_N = np.array([row.logit for row in rows]).clip(-50, 50)
    label_N = np.array([row.label for row in rows], dtype=float)
    x_N2 = np.stack([np.ones(len(rows)), logit_N], axis=1)
    # Maximum likelihood, from (0, 1).
    w_2 = np.array([0.0, 1.0])
    for _ in range(50):  # Newton; the log-likelihood is concave.
        p_N = expit(x_N2 @ w_2)
        curvature_22 = (x_N2 * (p_N * (1 - p_N))[:, None]).T @ x_N2 + 1e-9 * np.eye(2)
        change_2 = np.linalg.solve(curvature_22, x_N2.T @ (label_N - p_N))
        w_2 = w_2 + np.clip(change_2, -1, 1)
        if np.abs(change_2).max() < 1e-9:
            break
    # Sandwich estimate of the variance, with each user's scores added up.
    score_U2 = np.zeros((count, 2))
    np.add.at(score_U2, users_N, x_N2 * (label_N - expit(x_N2 @ w_2))[:, None])
    inverse_22 = np.linalg.inv(curvature_22)
    variance_22 = inverse_22 @ (score_U2.T @ score_U2) @ inverse_22 * count / max(1, count - 1)
    half_2 = student.ppf(0.975, max(1, count - 1)) * np.sqrt(np.diag(variance_22))
    made = [Interval(float(w), float(w - h), float(w + h), count, len(rows)) for w, h in zip(w_2, half_2, strict=True)]
    return Slope(made[1], made[0])


def calibration_error(rows: Sequence[ScoredReaction], bins: int = BINS) -> CalibrationError:
    """Compute the ECE of P(love) over `bins` of equal width, beside that of a perfectly calibrated model.

    The latter is the mean and 95th percentile over outcomes drawn with the predicted probabilities.
    """
    p_N = expit(np.array([row.logit for row in rows]))
    label_N = np.array([row.label for row in rows], dtype=float)
    where_N, rng = np.minimum((p_N * bins).astype(int), bins - 1), np.random.default_rng(0)

    def ece(outcome_N: np.ndarray) -> float:
        return float(np.abs(np.bincount(where_N, outcome_N - p_N, minlength=bins)).sum() / len(outcome_N))

    drawn = [ece(rng.random(len(p_N)) < p_N) for _ in range(SIMULATIONS)]
    return CalibrationError(ece(label_N), float(np.mean(drawn)), float(np.quantile(drawn, 0.95)))


def length_correlation(rows: Sequence[ScoredReaction]) -> Interval:
    """Correlate the predicted log-odds with the answer's length in characters (Spearman); NaN for equal lengths.

    RLUF (arXiv 2505.14946) reports 0.10 for its own model.
    """
    users_N, count = _users(rows)
    logit_N, length_N = np.array([row.logit for row in rows]), np.array([len(row.answer) for row in rows])
    if len(set(length_N.tolist())) < 2 or len(set(logit_N.tolist())) < 2:
        return Interval(math.nan, math.nan, math.nan, count, len(rows))
    # Draw users, and rank all their rows anew for each draw.
    places = [np.flatnonzero(users_N == user) for user in range(count)]
    rng, draws = np.random.default_rng(0), []
    for _ in range(200):
        drawn_N = np.concatenate([places[user] for user in rng.integers(0, count, count)])
        draws.append(float(spearmanr(logit_N[drawn_N], length_N[drawn_N]).statistic))
    return _interval(float(spearmanr(logit_N, length_N).statistic), draws, count, len(rows))


class Window(NamedTuple):
    """Window of test time: love rate predicted and observed (`came`), their difference, and AUROC."""

    start: float
    end: float
    reactions: int
    predicted: float
    came: float
    difference: Interval
    auroc: Interval


def drift(rows: Sequence[ScoredReaction], windows: int = 4) -> list[Window]:
    """Measure consecutive windows of equally many reactions; [] where reactions have no times.

    `difference` is the observed love rate minus the predicted one.
    """
    timed = sorted((row for row in rows if row.time is not None), key=lambda row: row.time or 0.0)
    found = []
    # With fewer than two reactions a window nothing can be measured.
    for part in np.array_split(np.arange(len(timed)), windows) if len(timed) >= 2 * windows else []:
        mine = [timed[place] for place in part]
        users_N, count = _users(mine)
        # Calibration in the large: predicted and observed rate of the window.
        p_N, label_N = expit(np.array([row.logit for row in mine])), np.array([row.label for row in mine], dtype=float)
        gap_N = label_N - p_N
        draws = [(w := times_U[users_N]) @ gap_N / max(1, w.sum()) for times_U in _draws(count)]
        found.append(
            Window(
                mine[0].time or 0.0, mine[-1].time or 0.0, len(mine), float(p_N.mean()), float(label_N.mean()),
                _interval(float(gap_N.mean()), draws, count, len(mine)), auroc(mine),
            )
        )  # fmt: skip
    return found


class _Area:
    """AUROC as a function of row weights; the rows are sorted once."""

    def __init__(self, scores: Sequence[float], labels: Sequence[bool]) -> None:
        score_N = np.array(scores)
        self.order = np.argsort(score_N, kind="stable")
        self.label_N = np.array(labels, dtype=float)[self.order]
        ordered_N = score_N[self.order]
        self.starts = np.flatnonzero(np.r_[True, ordered_N[1:] != ordered_N[:-1]])

    def __call__(self, weight_N: np.ndarray) -> float:
        weight_N = weight_N[self.order]
        up_T = np.add.reduceat(weight_N * self.label_N, self.starts)  # by tied scores
        down_T = np.add.reduceat(weight_N * (1 - self.label_N), self.starts)
        below_T = np.cumsum(down_T) - down_T
        total = up_T.sum() * down_T.sum()
        return float((up_T * (below_T + down_T / 2)).sum() / total) if total else math.nan


def _users(rows: Sequence[ScoredReaction]) -> tuple[np.ndarray, int]:
    """Number each row's user (N,), and count the users."""
    number = {user: place for place, user in enumerate(dict.fromkeys(row.user_id for row in rows))}
    return np.array([number[row.user_id] for row in rows], dtype=int), len(number)


def _draws(users: int) -> Iterator[np.ndarray]:
    """Yield how often each user is drawn (U,), for each bootstrap draw; the same draws for every method."""
    rng, chance_U = np.random.default_rng(0), np.full(users, 1 / users)
    return (rng.multinomial(users, chance_U).astype(float) for _ in range(REPLICATES))


def _interval(value: float, draws: Sequence[float], users: int, rows: int) -> Interval:
    usable = [draw for draw in draws if not math.isnan(draw)]
    if users < 2 or not usable:
        return Interval(value, math.nan, math.nan, users, rows)
    low, high = np.quantile(usable, (0.025, 0.975))
    return Interval(value, float(low), float(high), users, rows)
