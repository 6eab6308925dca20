"""Measures that training and evaluation share: mean, accuracy and margin; standard library only."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence

UNDECIDED = math.log(0.5)
Z = 1.959964  # two-sided 95 %
DRAWS = 1000  # of a bootstrap


def mean(values: Iterable[float]) -> float:
    """Compute the mean; 0 of no values."""
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def accuracy(log_likelihoods: Sequence[float]) -> float:
    """Compute the share of choices predicted right.

    An undecided one (log 0.5) counts one half, so that a model that always says 0.5 scores 0.5.
    """
    return mean(0.5 if abs(value - UNDECIDED) < 1e-12 else float(value > UNDECIDED) for value in log_likelihoods)


def margin(log_likelihood: float) -> float:
    """Compute the margin from its log sigmoid: log(p / (1 - p)) for a log-likelihood log p."""
    return log_likelihood - math.log(-math.expm1(log_likelihood)) if log_likelihood < 0 else math.inf


def wilson(share: float, n: int) -> tuple[float, float]:
    """Compute Wilson's 95 % interval of a share of `n` (Wilson 1927): sensible for few choices, and at 0 and 1."""
    if n == 0:
        return 0.0, 1.0
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(values: Sequence[float]) -> tuple[float, float]:
    """Compute the 95 % interval of the mean, from `DRAWS` draws with replacement, the same each time."""
    rng = random.Random(0)
    means = sorted(mean(rng.choices(values, k=len(values))) for _ in range(DRAWS))
    return means[round(0.025 * (DRAWS - 1))], means[round(0.975 * (DRAWS - 1))]


def estimate_tokens(text: str) -> int:
    """Estimate the number of tokens: one for four ASCII characters, one for any other character.

    The tokenizer of an endpoint is not known here.
    """
    ascii_count = len(text.encode("ascii", "ignore"))  # Without a loop here: long answers are measured often.
    return -(-ascii_count // 4) + len(text) - ascii_count
