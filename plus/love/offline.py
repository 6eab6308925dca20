"""Offline to online: does the lift that P[Love] predicts for a policy come true? (RLUF: r = 0.95 over 10 policies)

A policy answers the same users otherwise than the log did: it shows some answers more often. Here it is a
reweighting of the log, weight = exp(s * g(answer)), where g is a random taste for answers that knows nothing of
P[Love] or of any label: half of it a random direction in the space of meanings, half of it one number an answer.
The strength s is set so that the policy's lift is what was drawn, uniformly between -10 and +10 points.

Two halves of the *test* users keep the comparison honest. On one half strength is set and the lift is predicted,
from log-odds alone; on the other half the lift is measured, from what these people really did. The halves share
no user, so neither a user's mood nor a chance outcome can make prediction and truth agree. What is left to
differ by chance counts against the model: noise in the measured lift flattens the slope.
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
from plus.love.measures import Judged

LIFT = 0.10
STRONGEST = 3.0
TRIES = 100
REPLICATES = 1000


@dataclass(frozen=True)
class Offline:
    """Predicted and measured lifts of each policy, in love rate; their correlation, and the slope of predicted on
    measured. Intervals draw users of both halves, and policies."""

    predicted: tuple[float, ...]
    measured: tuple[float, ...]
    r: Interval
    slope: Interval

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a report."""
        return {
            "policies": len(self.predicted), "r": list(self.r[:3]), "slope": list(self.slope[:3]),
            "lowest": min(self.measured), "highest": max(self.measured), "users": self.r.users,
        }  # fmt: skip


def offline_to_online(
    rows: Sequence[Judged],
    features: Mapping[str, Sequence[float]],
    policies: int = 100,
    seed: int = 0,
    lift: float = LIFT,
) -> Offline:
    """`rows` are test reactions with their predicted log-odds; `features` by answer. Raises EvidenceError where
    the log cannot be tilted that far."""
    users = sorted({row.user_id for row in rows})
    Random(f"halves-{seed}").shuffle(users)
    half = set(users[::2])
    here = [row for row in rows if row.user_id in half]
    there = [row for row in rows if row.user_id not in half]
    drawn = _policies(here, features, policies, seed, lift)
    offline = _Half(here, drawn, [float(expit(row.logit)) for row in here])
    online = _Half(there, drawn, [float(row.label) for row in there])
    predicted_K, measured_K = offline.lifts(np.ones(offline.users)), online.lifts(np.ones(online.users))
    rng, draws = np.random.default_rng(seed), []
    for _ in range(REPLICATES):
        places = rng.integers(0, policies, policies)
        one = offline.lifts(rng.multinomial(offline.users, np.full(offline.users, 1 / offline.users)).astype(float))
        two = online.lifts(rng.multinomial(online.users, np.full(online.users, 1 / online.users)).astype(float))
        draws.append(_line(one[places], two[places]))
    r, slope = _line(predicted_K, measured_K)
    # Noise in the measured lift flattens the line, and every draw adds that noise once more: the draws lie as far
    # below the estimate as it lies below the truth, so they are reflected about it (the basic bootstrap).
    low_2, high_2 = np.array([2 * r, 2 * slope]) - np.nanquantile(draws, (0.975, 0.025), axis=0)
    return Offline(
        tuple(predicted_K.tolist()), tuple(measured_K.tolist()),
        Interval(r, float(low_2[0]), min(1.0, float(high_2[0])), len(users), len(rows)),
        Interval(slope, float(low_2[1]), float(high_2[1]), len(users), len(rows)),
    )  # fmt: skip


class _Half:
    """One half of the users: sums by user, from which every lift under every draw of users follows."""

    def __init__(
        self, rows: Sequence[Judged], policies: Sequence[Mapping[str, float]], values: Sequence[float]
    ) -> None:
        number = {user: place for place, user in enumerate(dict.fromkeys(row.user_id for row in rows))}
        self.users = len(number)
        user_N, value_N = np.array([number[row.user_id] for row in rows]), np.array(values)
        weight_KN = np.array([[policy.get(row.answer, 1.0) for row in rows] for policy in policies])
        member_NU = csr_matrix((np.ones(len(rows)), (np.arange(len(rows)), user_N)))
        self.loved_KU, self.shown_KU = (weight_KN * value_N) @ member_NU, weight_KN @ member_NU
        self.base_loved_U, self.base_shown_U = member_NU.T @ value_N, np.bincount(user_N)

    def lifts(self, times_U: np.ndarray) -> np.ndarray:
        """Love rate under each policy minus that of the log (K,)."""
        return (self.loved_KU @ times_U) / (self.shown_KU @ times_U) - (self.base_loved_U @ times_U) / (
            self.base_shown_U @ times_U
        )


def _policies(
    rows: Sequence[Judged], features: Mapping[str, Sequence[float]], count: int, seed: int, most: float
) -> list[dict[str, float]]:
    """Weights by answer; each policy's lift on `rows` is the one drawn for it."""
    rng = np.random.default_rng(seed)
    answers = sorted(features)
    place = {answer: number for number, answer in enumerate(answers)}
    meaning_AD = np.array([features[answer] for answer in answers], dtype=float)
    answer_N = np.array([place[row.answer] for row in rows])
    label_N = np.array([row.label for row in rows], dtype=float)

    found: list[dict[str, float]] = []
    for wanted in rng.uniform(-most, most, count):
        for _ in range(TRIES):  # Some tastes have that lift at no strength.
            random_A = rng.standard_normal(len(answers))
            taste_A = _unit(_unit(meaning_AD @ rng.standard_normal(meaning_AD.shape[1])) + random_A)
            strength = _strength(taste_A[answer_N], label_N, wanted)
            if strength is not None:
                break
        else:
            raise EvidenceError(
                f"no policy reaches a lift of {100 * wanted:+.1f} points by showing other answers of this log; give a log with more answers that several users met"
            )
        found.append(dict(zip(answers, np.exp(strength * taste_A).tolist(), strict=True)))
    return found


def _strength(taste_N: np.ndarray, label_N: np.ndarray, wanted: float) -> float | None:
    """s whose tilt exp(s * taste) has the wanted lift, by bisection; None where no s within reach has it."""

    def lift(s: float) -> float:
        weight_N = np.exp(s * taste_N)
        return float(weight_N @ label_N / weight_N.sum() - label_N.mean())

    low, high = sorted((-STRONGEST, STRONGEST), key=lift)
    if not lift(low) < wanted < lift(high):
        return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if lift(middle) < wanted else (low, middle)
    return low


def _unit(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / max(float(values.std()), 1e-9)


def _line(predicted_K: np.ndarray, measured_K: np.ndarray) -> tuple[float, float]:
    """(r, slope of predicted on measured)."""
    covariance = np.cov(predicted_K, measured_K)
    spread = covariance[0, 0] * covariance[1, 1]
    if spread <= 0:
        return float("nan"), float("nan")
    return float(covariance[0, 1] / np.sqrt(spread)), float(covariance[0, 1] / covariance[1, 1])
