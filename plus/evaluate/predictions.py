"""Predictions of test choices: the rows that every measure is computed from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plus.measures import margin
from plus.types import Example, Scorer


@dataclass(frozen=True)
class Prediction:
    """One test choice of one user, predicted by one run of one method.

    `margin` is r(chosen) - r(rejected), the log-odds of the truth: above 0 right, below 0 wrong, 0
    undecided. `chosen_first` tells which answer stood first where the rows say so (position habit).
    `group` names a slice of the test set ("known", "new topics", ...), "" where there is one. `tokens`
    counts what was read about the user, where that is a text and was counted.
    """

    method: str
    seed: int
    user_id: str
    example: str
    margin: float
    chosen_first: bool | None = None
    group: str = ""
    tokens: int | None = None

    @property
    def right(self) -> float:
        """1 right, 0 wrong, one half undecided."""
        return 0.5 if self.margin == 0 else float(self.margin > 0)

    @property
    def log_likelihood(self) -> float:
        """log P(chosen preferred to rejected): log sigmoid of the margin, without overflow."""
        return -math.log1p(math.exp(-abs(self.margin))) + min(self.margin, 0.0)

    def of(self, method: str, margin: float) -> Prediction:
        """Copy this prediction for another method's margin on the same choice."""
        return replace(self, method=method, margin=margin)


def predict(
    method: str, seed: int, scorer: Scorer, texts: Sequence[str], examples: Sequence[Example]
) -> list[Prediction]:
    """Predict every example, given one text for each.

    Returns one `Prediction` an example, in order; its `example` is the place in the list.
    """
    values = scorer.log_likelihood(texts, [example.target for example in examples])
    return [
        Prediction(method, seed, example.history.user_id, str(number), margin(value))
        for number, (example, value) in enumerate(zip(examples, values, strict=True))
    ]


def to_rows(predictions: Iterable[Prediction]) -> list[dict[str, Any]]:
    """Turn predictions into plain rows, as they are written to predictions.jsonl; tokens where they were counted."""
    return [{k: v for k, v in vars(one).items() if k != "tokens" or v is not None} for one in predictions]
