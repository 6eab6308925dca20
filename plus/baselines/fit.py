"""AdamW on a loss over batches of contexts: what the baselines with a head of their own share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch

from plus.train.loop import shuffled
from plus.types import Context


def fit(
    parameters: Iterable[torch.nn.Parameter],
    loss: Callable[[Sequence[Context], int], torch.Tensor],
    contexts: Sequence[Context],
    max_steps: int,
    users_per_step: int = 32,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.05,
    seed: int = 0,
    redraw: Callable[[Context], Context] = lambda context: context,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """`max_steps` steps on `loss(batch, step)`; batches and `redraw` are those of `train/loop.py`."""
    trained = list(parameters)
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=weight_decay)
    batches = shuffled(contexts, users_per_step, seed)
    for number in range(1, max_steps + 1):
        value = loss([redraw(context) for context in next(batches)], number)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        on_step(number, value.item())
