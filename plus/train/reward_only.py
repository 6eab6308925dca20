"""Training without a summarizer: a reward model on fixed texts, or a baseline's own loss; early stopping.

The baselines' side of the method: same reward model, same rows, same optimizer and the same
Bradley-Terry step as PLUS. Only the texts differ: none at all, a frozen model's, or the true persona.
Baselines with a head of their own (`plus/baselines`) bring a loss and share the loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch

from plus.measures import mean
from plus.train.coadapt import CoAdaptation, Row
from plus.types import Context, UserHistory


def train_reward_model(
    coadaptation: CoAdaptation,
    texts: Mapping[str, str] | Callable[[Sequence[UserHistory]], Sequence[str]],
    batches: Iterator[Sequence[Context]],
    max_steps: int,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Take `max_steps` Bradley-Terry steps, a batch each; `on_step` receives each loss.

    texts: user_id -> text, or a function that writes a text for each history, called anew at each step.
    """
    for number in range(1, max_steps + 1):
        contexts = next(batches)
        histories = [context.history for context in contexts]
        written = texts(histories) if callable(texts) else [texts[history.user_id] for history in histories]
        rows = [Row(text, c.history.user_id, c.pairs) for text, c in zip(written, contexts, strict=True)]
        items = [item for index, row in enumerate(rows) for item in coadaptation.items(index, row)]
        values = coadaptation.step(items)
        on_step(number, -mean(v for v, item in zip(values, items, strict=True) if item.loss))


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: two add numbers up in another order each time, and hundreds of updates later the same seed
    would give other numbers. Networks this small gain nothing from a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@one_thread()
def fit(
    parameters: Iterable[torch.nn.Parameter],
    loss: Callable[[Sequence[Context], int], torch.Tensor],
    batches: Iterator[Sequence[Context]],
    max_steps: int,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.05,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Minimise `loss(batch, step)` with AdamW for `max_steps` steps; `on_step` receives each loss."""
    trained = list(parameters)
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=weight_decay)
    for number in range(1, max_steps + 1):
        value = loss(next(batches), number)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        on_step(number, value.item())


class Best:
    """Early stopping: a copy of `parameters` from the evaluation with the lowest validation loss so far."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.loss, self.step = math.inf, 0
        self.kept: list[torch.Tensor] = []

    def look(self, step: int, loss: float) -> None:
        """Record the validation loss after `step` updates; keep the weights if it is the lowest."""
        if loss < self.loss:
            self.loss, self.step = loss, step
            self.kept = [parameter.detach().clone() for parameter in self.parameters]

    @torch.no_grad()
    def restore(self) -> None:
        """Load the kept weights; without any evaluation the weights stay."""
        for parameter, kept in zip(self.parameters, self.kept, strict=False):
            parameter.copy_(kept)
