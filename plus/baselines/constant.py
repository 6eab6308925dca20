"""Constant: every pair is undecided.

Models: P(chosen > rejected) = 1/2.
Relation to PLUS: the line at which a method has learned nothing; ties count one half.
"""

from __future__ import annotations

from collections.abc import Sequence

from plus.baselines.methods import ScorerRow
from plus.measures import UNDECIDED
from plus.types import Preference


class Constant:
    """`Scorer` that never decides."""

    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """Return log 1/2 for every pair."""
        return [UNDECIDED] * len(pairs)


EMBEDDING_METHODS = LANGUAGE_MODEL_METHODS = {"constant": ScorerRow(10, lambda events: Constant())}
