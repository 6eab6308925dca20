"""How sure is a number? 95 % intervals over users and seeds, for lists of `Prediction`.

The estimand is the share of choices predicted right (a user with more choices counts for more).
Choices of one user resemble each other, and users are what a new population brings, so users are
drawn, never choices: by bootstrap, or by Student's t over their means where there are fewer than
50, whose spread a bootstrap would understate. A user keeps their choices of all seeds when drawn.

Seeds are the outer level. Three of them cannot be bootstrapped: drawing seeds and then users counts
the users' noise twice, and misses a third of the seeds' own. So the spread of the seeds' means that
drawing users does not explain becomes a half width of its own (Student's t with one less than the
number of seeds), and the two are added in quadrature (MOVER; Zou and Donner, Stat. Med. 27, 2008).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from plus.errors import EvidenceError
from plus.evaluate.predictions import Prediction

FEW_USERS = 50  # below this many, Student's t
REPLICATES = 2000
Value = tuple[int, str, float]  # (seed, user_id, what is averaged)


class Interval(NamedTuple):
    """A mean with its 95 % interval, and what it was computed over. One user has no interval (NaN),
    and nothing at all has no mean either."""

    mean: float
    low: float
    high: float
    users: int
    targets: int

    def __str__(self) -> str:
        if not self.targets:
            return "-"
        return f"{self.mean:.3f}" + ("" if math.isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]")


def right(prediction: Prediction) -> float:
    """1 right, 0 wrong, one half undecided: what accuracy averages."""
    return prediction.right


def user_interval(predictions: Sequence[Prediction], value: Callable[[Prediction], float] = right) -> Interval:
    """Accuracy, or the mean of another `value` of a prediction, over users and seeds."""
    found = interval((p.seed, p.user_id, value(p)) for p in predictions)
    if value is right and found.users > 1 and found.mean in (0.0, 1.0):
        # Nobody differs, so nothing can be drawn: the exact bound for no failure among so many users.
        reach = 1 - 0.025 ** (1 / found.users)
        return found._replace(low=max(0.0, found.mean - reach), high=min(1.0, found.mean + reach))
    if value is right and found.users > 1:
        return found._replace(low=max(0.0, found.low), high=min(1.0, found.high))
    return found


def paired_difference(
    a: Sequence[Prediction], b: Sequence[Prediction], value: Callable[[Prediction], float] = right
) -> Interval:
    """Mean of a's value minus b's over the same choices, matched by (seed, user, example).

    Raises EvidenceError where the two were not judged on the same choices.
    """
    ours, theirs = _by_choice(a), _by_choice(b)
    if odd := ours.keys() ^ theirs.keys():
        seed, user, example = min(odd)
        raise EvidenceError(
            f"{len(odd):,} choices were judged by one of {_name(a)} and {_name(b)} only (seed {seed}, user {user}, example {example}); judge both on the same rows"
        )
    return interval((p.seed, p.user_id, value(p) - value(theirs[key])) for key, p in ours.items())


def interval(values: Iterable[Value]) -> Interval:
    """The mean of all values with its interval over users and seeds."""
    sums_SU, counts_SU = _table(values)
    targets, users = int(counts_SU.sum()), counts_SU.shape[1]
    if not targets:
        return Interval(math.nan, math.nan, math.nan, 0, 0)
    mean = sums_SU.sum() / targets
    if users < 2:
        return Interval(mean, math.nan, math.nan, users, targets)
    means_B, seeds_BS = _drawn(sums_SU, counts_SU)
    low, high = np.quantile(means_B, (0.025, 0.975))
    if users < FEW_USERS:
        half = student.ppf(0.975, users - 1) * _standard_error(sums_SU.sum(0), counts_SU.sum(0))
        low, high = mean - half, mean + half
    outer = _seed_half_width(sums_SU, counts_SU, seeds_BS)
    below, above = math.hypot(mean - low, outer), math.hypot(high - mean, outer)
    return Interval(float(mean), float(mean - below), float(mean + above), users, targets)


def _table(values: Iterable[Value]) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts by seed and user: (S, U) both."""
    rows = list(values)
    seeds = {seed: number for number, seed in enumerate(dict.fromkeys(seed for seed, _, _ in rows))}
    users = {user: number for number, user in enumerate(dict.fromkeys(user for _, user, _ in rows))}
    sums_SU, counts_SU = np.zeros((len(seeds), len(users))), np.zeros((len(seeds), len(users)))
    where = ([seeds[seed] for seed, _, _ in rows], [users[user] for _, user, _ in rows])
    np.add.at(sums_SU, where, [value for _, _, value in rows])
    np.add.at(counts_SU, where, 1)
    return sums_SU, counts_SU


def _drawn(sums_SU: np.ndarray, counts_SU: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over users drawn with replacement, of all seeds (B,) and of each (B, S)."""
    rng, users = np.random.default_rng(0), sums_SU.shape[1]
    means, by_seed = [], []
    for _ in range(REPLICATES // 100):  # in parts: a draw takes a number a user
        times_BU = rng.multinomial(users, np.full(users, 1 / users), size=100)
        sums_BS, counts_BS = times_BU @ sums_SU.T, times_BU @ counts_SU.T
        means.append(sums_BS.sum(1) / np.maximum(counts_BS.sum(1), 1))
        by_seed.append(sums_BS / np.maximum(counts_BS, 1))
    return np.concatenate(means), np.concatenate(by_seed)


def _standard_error(sums_U: np.ndarray, counts_U: np.ndarray) -> float:
    """Of a ratio of sums over users, linearized: with equal counts that of the mean of user means."""
    users, mean = len(sums_U), sums_U.sum() / counts_U.sum()
    spread = np.square(sums_U - mean * counts_U).sum() * users / (users - 1)
    return float(math.sqrt(spread) / counts_U.sum())


def _seed_half_width(sums_SU: np.ndarray, counts_SU: np.ndarray, seeds_BS: np.ndarray) -> float:
    """What the seeds add: the variance of their means, less the part that drawing users makes."""
    seeds, users = sums_SU.shape
    if seeds < 2:
        return 0.0
    between = (sums_SU.sum(1) / counts_SU.sum(1)).var(ddof=1)
    by_users = (seeds_BS.var(axis=1, ddof=1).mean() - between) * users / (users - 1)
    own = max(0.0, between - by_users)
    return float(student.ppf(0.975, seeds - 1) * math.sqrt(own / seeds))


def _by_choice(predictions: Sequence[Prediction]) -> dict[tuple[int, str, str], Prediction]:
    found = {(p.seed, p.user_id, p.example): p for p in predictions}
    if len(found) < len(predictions):
        raise EvidenceError(
            f"{len(predictions) - len(found):,} predictions of {_name(predictions)} name a choice twice; give every example of a user a name of its own"
        )
    return found


def _name(predictions: Sequence[Prediction]) -> str:
    return predictions[0].method if predictions else "nothing"
