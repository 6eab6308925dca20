"""Rare positives drawn more often, and the logit that takes it back.

A row is drawn in proportion to the odds weight of its label, so the model learns sigmoid(f) of a population in
which positives are a share s instead of the true rate p. By Bayes' rule the two differ by a constant:

    logit P(love) = f - [logit(s) - logit(p)]

King and Zeng, Logistic regression in rare events data (Political Analysis 9, 2001), section 4.1. With p = 2 %
and s = 10 % the constant is ln(0.1 / 0.9) - ln(0.02 / 0.98) = 1.695: an answer that the model puts at even odds
is loved with 15.5 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from plus.errors import SettingError


@dataclass(frozen=True)
class Upsampling:
    """`rate` of the log, the `share` that training sees, and what follows from the two."""

    rate: float
    share: float

    @classmethod
    def of(cls, rate: float, share: float | None) -> Upsampling:
        """Positives are drawn up to `share` and never down: where the log has more, nothing changes. Raises
        SettingError for a share that is no share, or a log with a single outcome."""
        if share is not None and not 0 < share < 1:
            raise SettingError(f"--positive_share is {share:g}; it must lie between 0 and 1")
        if not 0 < rate < 1:
            raise SettingError(f"the rate of positives is {rate:g}; both outcomes are needed")
        return cls(rate, max(rate, share or 0.0))

    @property
    def weight(self) -> float:
        """How much oftener a positive row is drawn than a negative one."""
        return math.exp(self.shift)

    @property
    def shift(self) -> float:
        """logit(share) - logit(rate): what training adds to every logit, in nats."""
        return logit(self.share) - logit(self.rate)


def logit(p: float) -> float:
    """log(p / (1 - p))."""
    return math.log(p / (1 - p))
