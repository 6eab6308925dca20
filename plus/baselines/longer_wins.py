"""Longer wins: the answer with more words.

Models: P(chosen > rejected) = sigmoid(log words(chosen) - log words(rejected)).
Relation to PLUS: on arguments it comes near published personal models (0.70 to 0.72 on UKPConvArg1),
so a figure without this line beside it shows nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from plus.baselines.methods import ScorerRow
from plus.types import Preference


class LongerWins:
    """`Scorer` that counts words."""

    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """Compute log P(chosen > rejected); the texts are ignored, and an empty answer counts as one word."""
        lengths = [(max(1, len(p.chosen.split())), max(1, len(p.rejected.split()))) for p in pairs]
        return [math.log(chosen / (chosen + rejected)) for chosen, rejected in lengths]


EMBEDDING_METHODS = LANGUAGE_MODEL_METHODS = {"longer_wins": ScorerRow(12, lambda events: LongerWins())}
