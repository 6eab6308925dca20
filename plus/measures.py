"""Numbers that training and evaluation share; standard library only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

UNDECIDED = math.log(0.5)


def mean(values: Iterable[float]) -> float:
    """The mean, or 0 of nothing."""
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def accuracy(log_likelihoods: Sequence[float]) -> float:
    """Share of choices predicted right; an undecided one (log 0.5) counts one half, so that a
    model which always says 0.5 scores 0.5 and not 0."""
    return mean(0.5 if abs(value - UNDECIDED) < 1e-12 else float(value > UNDECIDED) for value in log_likelihoods)


def margin(log_likelihood: float) -> float:
    """The margin whose log sigmoid is `log_likelihood`: log(p / (1 - p))."""
    return log_likelihood - math.log(-math.expm1(log_likelihood)) if log_likelihood < 0 else math.inf
