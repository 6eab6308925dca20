"""Training a reward model on texts that stay as they are: the baselines' side of the method.

Same reward model, same rows, same optimizer and the same Bradley-Terry step as PLUS; only the
texts differ: none at all, a frozen model's, or the true persona.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from plus.measures import mean
from plus.train.coadapt import CoAdaptation, Row
from plus.train.loop import shuffled
from plus.types import Context, UserHistory


def train_reward_model(
    coadaptation: CoAdaptation,
    texts: Mapping[str, str] | Callable[[Sequence[UserHistory]], Sequence[str]],
    contexts: Sequence[Context],
    max_steps: int,
    users_per_step: int,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
    redraw: Callable[[Context], Context] = lambda context: context,
) -> None:
    """`max_steps` Bradley-Terry steps with `texts[user_id]`, or with what `texts` writes of the
    histories at each step; `on_step` receives each loss, `redraw` is that of `train/loop.py`."""
    batches = shuffled(contexts, users_per_step, coadaptation.seed)
    for number in range(max_steps):
        batch = [redraw(context) for context in next(batches)]
        histories = [context.history for context in batch]
        written = texts(histories) if callable(texts) else [texts[history.user_id] for history in histories]
        rows = [Row(text, c.history.user_id, c.pairs) for text, c in zip(written, batch, strict=True)]
        items = [item for index, row in enumerate(rows) for item in coadaptation.items(index, row)]
        values = coadaptation.step(items)
        on_step(number + 1, -mean(v for v, item in zip(values, items, strict=True) if item.loss))
