"""Offline to online: lifts that P[Love] predicts for policies against measured ones (RLUF: r = 0.95, 10 policies).

A policy shows some answers more often than the log did. Here it is a reweighting of the log,
weight = exp(s * g(answer)), where g is random and independent of P[Love] and of labels: half of it is a random
direction in the space of answer features, half of it one random number an answer. The strength s is set so that
the policy's lift is a number drawn uniformly between -10 and +10 points of love rate.

Two halves of the *test* users are compared. On one half s is set and the lift is predicted, from log-odds alone;
on the other half the lift is measured, from labels. The halves share no user, so neither a user's leniency nor a
chance outcome can make prediction and measurement agree. Chance counts against the model: noise in the measured
lift flattens the slope.

Shapes: K policies, N rows, U users, A answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import expit

from plus.errors import EvidenceError
from plus.evaluate.intervals import Interval
from plus.love.measures import ScoredReaction

LIFT = 0.10
STRONGEST = 3.0
TRIES = 100
REPLICATES = 1000


@dataclass(frozen=True)
class OfflineToOnline:
    """Predicted and measured lift of each policy, in love rate, with correlation and slope of predicted on measured.

    Intervals draw users of both halves, and policies.
    """

    predicted: tuple[float, ...]
    measured: tuple[float, ...]
    r: Interval
    slope: Interval

    def to_json(self) -> dict[str, Any]:
        """Give the values of report.json."""
        return {
            "policies": len(self.predicted), "r": list(self.r[:3]), "slope": list(self.slope[:3]),
            "lowest": min(self.measured), "highest": max(self.measured), "users": self.r.users,
        }  # fmt: skip


def offline_to_online(
    rows: Sequence[ScoredReaction],
    features: Mapping[str, Sequence[float]],
    policies: int = 100,
    seed: int = 0,
    lift: float = LIFT,
) -> OfflineToOnline:
    """Predict and measure the lifts of random policies on test reactions; `features` are by answer.

    Raises EvidenceError where reweighting the log reaches no such lift.
    """
    # Halves that share no user.
    users = sorted({row.user_id for row in rows})
    Random(f"halves-{seed}").shuffle(users)
    half = set(users[::2])
    here = [row for row in rows if row.user_id in half]
    there = [row for row in rows if row.user_id not in half]
    drawn = _policies(here, features, policies, seed, lift)
    # Predicted from log-odds on one half, measured from labels on the other.
    offline = _Half(here, drawn, [float(expit(row.logit)) for row in here])
    online = _Half(there, drawn, [float(row.label) for row in there])
    predicted_K, measured_K = offline.lifts(np.ones(offline.users)), online.lifts(np.ones(online.users))
    # Bootstrap over policies and over the users of each half.
    rng, draws = np.random.default_rng(seed), []
    for _ in range(REPLICATES):
        places = rng.integers(0, policies, policies)
        one = offline.lifts(rng.multinomial(offline.users, np.full(offline.users, 1 / offline.users)).astype(float))
        two = online.lifts(rng.multinomial(online.users, np.full(online.users, 1 / online.users)).astype(float))
        draws.append(_correlation_and_slope(one[places], two[places]))
    r, slope = _correlation_and_slope(predicted_K, measured_K)
    # Noise in the measured lift flattens the line, and every draw adds that noise once more: the draws lie as far
    # below the estimate as it lies below the truth, so they are reflected about it (the basic bootstrap).
    low_2, high_2 = np.array([2 * r, 2 * slope]) - np.nanquantile(draws, (0.975, 0.025), axis=0)
    return OfflineToOnline(
        tuple(predicted_K.tolist()), tuple(measured_K.tolist()),
        Interval(r, float(low_2[0]), min(1.0, float(high_2[0])), len(users), len(rows)),
        Interval(slope, float(low_2[1]), float(high_2[1]), len(users), len(rows)),
    )  # fmt: skip


class _Half:
    """One half of the users: sums by user, from which the lifts under any draw of users follow."""

    def __init__(
        self, rows: Sequence[ScoredReaction], policies: Sequence[Mapping[str, float]], values: Sequence[float]
    ) -> None:
        number = {user: place for place, user in enumerate(dict.fromkeys(row.user_id for row in rows))}
        self.users = len(number)
        user_N, value_N = np.array([number[row.user_id] for row in rows]), np.array(values)
        weight_KN = np.array([[policy.get(row.answer, 1.0) for row in rows] for policy in policies])
        member_NU = csr_matrix((np.ones(len(rows)), (np.arange(len(rows)), user_N)))
        self.loved_KU, self.shown_KU = (weight_KN * value_N) @ member_NU, weight_KN @ member_NU
        self.base_loved_U, self.base_shown_U = member_NU.T @ value_N, np.bincount(user_N)

    def lifts(self, times_U: np.ndarray) -> np.ndarray:
        """Compute the love rate under each policy minus that of the log (K,)."""
        rate_K: np.ndarray = (self.loved_KU @ times_U) / (self.shown_KU @ times_U)
        log_rate = float(self.base_loved_U @ times_U) / float(self.base_shown_U @ times_U)
        return rate_K - log_rate


def _policies(
    rows: Sequence[ScoredReaction], features: Mapping[str, Sequence[float]], count: int, seed: int, most: float
) -> list[dict[str, float]]:
    """Draw policies as weights by answer; each policy's lift on `rows` is the one drawn for it."""
    rng = np.random.default_rng(seed)
    answers = sorted(features)
    place = {answer: number for number, answer in enumerate(answers)}
    features_AD = np.array([features[answer] for answer in answers], dtype=float)
    answer_N = np.array([place[row.answer] for row in rows])
    label_N = np.array([row.label for row in rows], dtype=float)

    found: list[dict[str, float]] = []
    for wanted in rng.uniform(-most, most, count):
        for _ in range(TRIES):  # Some directions reach that lift at no strength.
            random_A = rng.standard_normal(len(answers))
            direction_A = _unit(_unit(features_AD @ rng.standard_normal(features_AD.shape[1])) + random_A)
            strength = _strength(direction_A[answer_N], label_N, wanted)
            if strength is not None:
                break
        else:
            raise EvidenceError(
                f"no policy reaches a lift of {100 * wanted:+.1f} points by showing other answers of this log; "
                "give a log with more answers that several users met"
            )
        found.append(dict(zip(answers, np.exp(strength * direction_A).tolist(), strict=True)))
    return found


def _strength(direction_N: np.ndarray, label_N: np.ndarray, wanted: float) -> float | None:
    """Find by bisection the s whose weights exp(s * direction) have the wanted lift; None where there is none."""

    def lift(s: float) -> float:
        weight_N = np.exp(s * direction_N)
        return float(weight_N @ label_N / weight_N.sum() - label_N.mean())

    # The end of the range with the lower lift comes first.
    low, high = sorted((-STRONGEST, STRONGEST), key=lift)
    if not lift(low) < wanted < lift(high):
        return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if lift(middle) < wanted else (low, middle)
    return low


def _unit(values: np.ndarray) -> np.ndarray:
    unit: np.ndarray = (values - values.mean()) / max(float(values.std()), 1e-9)
    return unit


def _correlation_and_slope(predicted_K: np.ndarray, measured_K: np.ndarray) -> tuple[float, float]:
    """Compute r, and the slope of predicted on measured."""
    covariance = np.cov(predicted_K, measured_K)
    spread = covariance[0, 0] * covariance[1, 1]
    if spread <= 0:
        return float("nan"), float("nan")
    return float(covariance[0, 1] / np.sqrt(spread)), float(covariance[0, 1] / covariance[1, 1])
