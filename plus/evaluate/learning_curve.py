"""How many past events does it take? The same choices, from the newest n events of each past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from plus.evaluate.counterfactuals import texts_of
from plus.evaluate.intervals import Interval, user_interval
from plus.evaluate.predictions import Prediction, predict
from plus.types import Example, Scorer, Summarizer, UserHistory

CHOICES = 500  # of them, since each takes a summary at every number of events


def learning_curve(
    summarizer: Summarizer, scorer: Scorer, examples: Sequence[Example], method: str = "plus", seed: int = 0
) -> list[Prediction]:
    """Predictions whose group is the number of past events: 0, 1, 2, 4, ... and all. Zero events is no text."""
    examples = examples[:CHOICES]
    most = max((len(example.history.events) for example in examples), default=0)
    found = [replace(p, group="0") for p in predict(method, seed, scorer, [""] * len(examples), examples)]
    for count in sorted({*_doubled(most), most} - {0}):
        shorter = {id(e.history): UserHistory(e.history.user_id, e.history.events[-count:]) for e in examples}
        cut = [replace(example, history=shorter[id(example.history)]) for example in examples]
        made = predict(method, seed, scorer, texts_of(summarizer, cut), cut)
        found += [replace(p, group=str(count)) for p in made]
    return found


def curve(predictions: Sequence[Prediction]) -> dict[int, Interval]:
    """Number of past events -> accuracy."""
    counts = sorted({int(p.group) for p in predictions})
    return {count: user_interval([p for p in predictions if p.group == str(count)]) for count in counts}


def _doubled(most: int) -> list[int]:
    counts = [1]
    while counts[-1] * 2 < most:
        counts.append(counts[-1] * 2)
    return counts
