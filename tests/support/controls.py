"""Accuracies of a scorer with each control's texts, and the number of choices each rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plus.evaluate.controls import readings
from plus.measures import mean
from plus.types import Example, Scorer


def accuracies(
    scorer: Scorer, examples: Sequence[Example], summaries: Mapping[str, str]
) -> tuple[dict[str, float], dict[str, int]]:
    """Control -> accuracy, and control -> choices."""
    found = readings(scorer, examples, summaries)
    shares = {name: mean(p.right for p in rows) for name, rows in found.items()}
    return shares, {name: len(rows) for name, rows in found.items()}
