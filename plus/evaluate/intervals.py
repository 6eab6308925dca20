"""Intervals: 95 % of repeats over users and seeds (or another `level`), for lists of `Prediction`.

The estimand is the share of choices predicted right (a user with more choices counts for more).
Choices of one user resemble each other, and users are what a new population brings, so users are
drawn, never choices: by bootstrap, or by Student's t over their means where there are fewer than
50, whose spread a bootstrap would understate. A user keeps their choices of all seeds when drawn.

Seeds are the outer level. Three of them cannot be bootstrapped: drawing seeds and then users counts
the users' noise twice, and misses a third of the seeds' own. So the variance of the seeds' means,
which already holds whatever differs from seed to seed, is joined by the part of the users' variance
that all seeds share. The quantile is the mean of both parts' Student t, weighted by their variances
(Cochran and Cox, Experimental Designs, 1950). With two or three seeds such an interval is wide, and
rightly so.

Where several methods are compared, `corrected(m)` is the level at which all m intervals hold at once in
95 % of repeats (Bonferroni). A bootstrap has too few draws so far out: there Student's t is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from plus.errors import EvidenceError
from plus.evaluate.predictions import Prediction

FEW_USERS = 50  # below this many, Student's t
REPLICATES = 2000
IN_A_TAIL = 10  # draws that a bootstrap quantile needs beyond it
LEVEL = 0.95
Value = tuple[int, str, float]  # (seed, user_id, what is averaged)


class Interval(NamedTuple):
    """A mean with its interval (95 % where no other level was asked for), and what it was computed over. One user has
    no interval (NaN), and nothing at all has no mean either."""

    mean: float
    low: float
    high: float
    users: int
    targets: int

    def __str__(self) -> str:
        if not self.targets:
            return "-"
        return f"{self.mean:.3f}" + ("" if math.isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]")


def corrected(comparisons: int) -> float:
    """Return the level of each interval at which all of `comparisons` hold at once in 95 % of repeats (Bonferroni)."""
    return 1 - (1 - LEVEL) / max(1, comparisons)


def right(prediction: Prediction) -> float:
    """Return 1 for right, 0 for wrong, one half for undecided: what accuracy averages."""
    return prediction.right


def user_interval(
    predictions: Sequence[Prediction], value: Callable[[Prediction], float] = right, level: float = LEVEL
) -> Interval:
    """Average accuracy, or another `value` of a prediction, with its interval over users and seeds."""
    found = interval(((p.seed, p.user_id, value(p)) for p in predictions), level)
    if value is right and found.users > 1 and found.mean in (0.0, 1.0):
        # Nobody differs, so nothing can be drawn: the exact bound for no failure among so many users.
        reach = 1 - _tail(level) ** (1 / found.users)
        return found._replace(low=max(0.0, found.mean - reach), high=min(1.0, found.mean + reach))
    if value is right and found.users > 1:
        return found._replace(low=max(0.0, found.low), high=min(1.0, found.high))
    return found


def paired_difference(
    a: Sequence[Prediction],
    b: Sequence[Prediction],
    value: Callable[[Prediction], float] = right,
    level: float = LEVEL,
) -> Interval:
    """Average a's value minus b's over the same choices, matched by (seed, user, example).

    Raises EvidenceError where the two were not judged on the same choices.
    """
    ours, theirs = _by_choice(a), _by_choice(b)
    if odd := ours.keys() ^ theirs.keys():
        seed, user, example = min(odd)
        raise EvidenceError(
            f"{len(odd):,} choices were judged by one of {_name(a)} and {_name(b)} only "
            f"(seed {seed}, user {user}, example {example}); judge both on the same rows"
        )
    return interval(((p.seed, p.user_id, value(p) - value(theirs[key])) for key, p in ours.items()), level)


def interval(values: Iterable[Value], level: float = LEVEL) -> Interval:
    """Average all values, with the interval over users and seeds.

    NaN bounds for one user; a NaN mean for no value at all.
    """
    sums_SU, counts_SU = _table(values)
    targets, users = int(counts_SU.sum()), counts_SU.shape[1]
    if not targets:
        return Interval(math.nan, math.nan, math.nan, 0, 0)
    mean = sums_SU.sum() / targets
    if users < 2:
        return Interval(mean, math.nan, math.nan, users, targets)
    # Over users: bootstrap quantiles, or Student's t where there are few users or few draws so far out.
    means_B, seeds_BS = _drawn(sums_SU, counts_SU)
    tail = _tail(level)
    low, high = np.quantile(means_B, (tail, 1 - tail))
    if users < FEW_USERS or tail * REPLICATES < IN_A_TAIL:
        half = student.ppf(1 - tail, users - 1) * _standard_error(sums_SU.sum(0), counts_SU.sum(0))
        low, high = mean - half, mean + half
    below, above = mean - low, high - mean
    # Over seeds too: the same shape, as wide as users and seeds together make it.
    if len(sums_SU) > 1:
        half = _over_seeds(sums_SU, counts_SU, means_B, seeds_BS, tail)
        spread = (below + above) / 2
        below, above = (half * below / spread, half * above / spread) if spread > 0 else (half, half)
    return Interval(float(mean), float(mean - below), float(mean + above), users, targets)


def _tail(level: float) -> float:
    """The share of repeats on one side of the interval; rounded, so that 95 % leaves 0.025 to the last bit."""
    return round((1 - level) / 2, 12)


def _table(values: Iterable[Value]) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts by seed and user: (S, U) both."""
    rows = list(values)
    seeds = {seed: number for number, seed in enumerate(dict.fromkeys(seed for seed, _, _ in rows))}
    users = {user: number for number, user in enumerate(dict.fromkeys(user for _, user, _ in rows))}
    sums_SU, counts_SU = np.zeros((len(seeds), len(users))), np.zeros((len(seeds), len(users)))
    # Added at each row's (seed, user): a pair that occurs twice is summed.
    where = ([seeds[seed] for seed, _, _ in rows], [users[user] for _, user, _ in rows])
    np.add.at(sums_SU, where, [value for _, _, value in rows])
    np.add.at(counts_SU, where, 1)
    return sums_SU, counts_SU


def _drawn(sums_SU: np.ndarray, counts_SU: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over users drawn with replacement, of all seeds (B,) and of each (B, S)."""
    means, by_seed = [], []
    # A hundred replicates at a time, which keeps the products small.
    for times_BU in np.array_split(_times_drawn(sums_SU.shape[1], REPLICATES), REPLICATES // 100):
        sums_BS, counts_BS = times_BU @ sums_SU.T, times_BU @ counts_SU.T
        means.append(sums_BS.sum(1) / np.maximum(counts_BS.sum(1), 1))
        by_seed.append(sums_BS / np.maximum(counts_BS, 1))
    return np.concatenate(means), np.concatenate(by_seed)


@lru_cache(maxsize=4)
def _times_drawn(users: int, replicates: int) -> np.ndarray:
    """How often each user is drawn, (B, U): a byte each, and the same draws for every method."""
    rng, chance = np.random.default_rng(0), np.full(users, 1 / users)
    return np.concatenate([rng.multinomial(users, chance, size=100).astype(np.uint8) for _ in range(replicates // 100)])


def _standard_error(sums_U: np.ndarray, counts_U: np.ndarray) -> float:
    """Of a ratio of sums over users, linearized: with equal counts that of the mean of user means."""
    users, mean = len(sums_U), sums_U.sum() / counts_U.sum()
    spread = np.square(sums_U - mean * counts_U).sum() * users / (users - 1)
    return float(math.sqrt(spread) / counts_U.sum())


def _over_seeds(
    sums_SU: np.ndarray, counts_SU: np.ndarray, means_B: np.ndarray, seeds_BS: np.ndarray, tail: float
) -> float:
    """The half width over users and two or more seeds.

    Drawing users moves the seeds' means together, as far as the seeds judge the same users alike,
    and apart; what moves them apart is in the spread of their means already.
    """
    seeds, users = sums_SU.shape
    between = (sums_SU.sum(1) / counts_SU.sum(1)).var(ddof=1) / seeds
    larger = users / (users - 1)  # a bootstrap's variance is smaller than the truth by this
    apart = max(0.0, seeds_BS.var(axis=1, ddof=1).mean() / seeds - between) * larger
    shared = max(0.0, means_B.var() * larger - apart)
    total = float(between + shared)
    if total == 0:
        return 0.0
    # The quantile: that of each part's Student t, weighted by the parts' variances.
    of_seeds, of_users = float(student.ppf(1 - tail, seeds - 1)), float(student.ppf(1 - tail, users - 1))
    return float((between * of_seeds + shared * of_users) / total) * math.sqrt(total)


def _by_choice(predictions: Sequence[Prediction]) -> dict[tuple[int, str, str], Prediction]:
    found = {(p.seed, p.user_id, p.example): p for p in predictions}
    if len(found) < len(predictions):
        raise EvidenceError(
            f"{len(predictions) - len(found):,} predictions of {_name(predictions)} name a choice twice; "
            "give every example of a user a name of its own"
        )
    return found


def _name(predictions: Sequence[Prediction]) -> str:
    return predictions[0].method if predictions else "nothing"
