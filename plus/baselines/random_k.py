"""Random k: k past events of the user, drawn at random.

Models: P(chosen > rejected | k events, every set equally likely).
Loss: -mean log sigmoid(margin), over fresh draws at every update.
Relation to PLUS: the extractive summarizer before it has learned anything; what selection adds is
the difference to this line.
"""

from __future__ import annotations

from functools import partial
from random import Random

from plus.baselines.methods import Given, Write, WriterRow
from plus.models.extractive import random_selection


def writer(given: Given, k: int) -> Write:
    """Draw anew at each call, so that a test user's accuracy is the mean over draws."""
    return partial(random_selection, k=k, rng=Random(f"random-{given.seed}"))


EMBEDDING_METHODS = {"random": WriterRow(40, writer, of_k=True)}
