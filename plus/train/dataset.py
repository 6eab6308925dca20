"""Training rows that trainers share: one row per context, with its targets."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from datasets import Dataset

from plus.models.language_model import LanguageModelSummarizer
from plus.models.text import as_paragraphs
from plus.types import Context


def dataset(contexts: Sequence[Context], summarizer: LanguageModelSummarizer) -> Dataset:
    """A TRL prompt-only data set: `prompt` (messages within the window, or text where the tokenizer
    has no chat template), and the columns that `CoAdaptation` reads: `user_id`, `pairs`, `split`."""
    templated = summarizer.tokenizer.chat_template is not None
    rows: list[dict[str, Any]] = [
        {
            "prompt": messages if templated else as_paragraphs(messages),
            "user_id": context.history.user_id,
            "pairs": [asdict(pair) for pair in context.pairs],
            "split": context.split,
        }
        for context in contexts
        for messages in [summarizer.messages(context.history)]
    ]
    return Dataset.from_list(rows)


def in_training_order(rows: Dataset, count: int, seed: int) -> Dataset:
    """`count` rows in the order of training: every row once in random order, then again.

    The order is data, not a sampler's state, so a resumed run continues it exactly, and a batch
    may be larger than the data set.
    """
    rng = random.Random(f"order-{seed}")
    order: list[int] = []
    while len(order) < count:
        order += rng.sample(range(len(rows)), len(rows))
    return rows.select(order[:count])
