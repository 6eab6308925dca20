"""Training a reward model on texts that stay as they are: the baselines' side of the method.

Same reward model, same rows, same optimizer and the same Bradley-Terry step as PLUS; only the
texts differ: none at all, a frozen model's, or the true persona.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from plus.measures import mean
from plus.train.coadapt import CoAdaptation, Row
from plus.train.loop import Context, shuffled


def train_reward_model(
    coadaptation: CoAdaptation,
    texts: Mapping[str, str],
    contexts: Sequence[Context],
    max_steps: int,
    users_per_step: int,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """`max_steps` Bradley-Terry steps with `texts[user_id]`; `on_step` receives each loss."""
    batches = shuffled(contexts, users_per_step, coadaptation.seed)
    for number in range(max_steps):
        rows = [Row(texts[c.history.user_id], c.history.user_id, c.pairs) for c in next(batches)]
        items = [item for index, row in enumerate(rows) for item in coadaptation.items(index, row)]
        values = coadaptation.step(items)
        on_step(number + 1, -mean(v for v, item in zip(values, items, strict=True) if item.loss))
