"""Last k: the k newest events of the user.

Models: P(chosen > rejected | the k newest events).
Loss: -mean log sigmoid(margin).
Relation to PLUS: what a chat history that is cut to a window does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from plus.baselines.methods import WriterRow
from plus.models.extractive import write
from plus.train.select import once
from plus.types import UserHistory


def texts(histories: Sequence[UserHistory], k: int) -> list[str]:
    """Write the k newest events of each history (or all, where there are fewer)."""
    return [write(h, range(len(h.events))[-k:]) for h in histories]


EMBEDDING_METHODS = {"last": WriterRow(41, lambda given, k: partial(once, partial(texts, k=k)), of_k=True)}
