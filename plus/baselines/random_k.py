"""Random k: k past events of the user, drawn at random.

Models: P(chosen > rejected | k events, every set equally likely).
Loss: -mean log sigmoid(margin), over fresh draws at every update.
Relation to PLUS: the extractive summarizer before it has learned anything; what selection adds is
the difference to this line.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random

from plus.baselines.methods import Given, Write, WriterRow
from plus.models.extractive import write
from plus.types import UserHistory


def texts(histories: Sequence[UserHistory], k: int, rng: Random) -> list[str]:
    """Write k random events of each history (or all, where there are fewer)."""
    return [write(h, rng.sample(range(len(h.events)), min(k, len(h.events)))) for h in histories]


def writer(given: Given, k: int) -> Write:
    """Draw anew at each call, so that a test user's accuracy is the mean over draws."""
    return partial(texts, k=k, rng=Random(f"random-{given.seed}"))


EMBEDDING_METHODS = {"random": WriterRow(40, writer, of_k=True)}
