"""The weights of the best look at the validation users."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch


class Best:
    """Keeps a copy of `parameters` whenever the validation loss is the lowest so far; `patience`
    looks in a row that are not are enough."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], patience: int = 3) -> None:
        self.parameters, self.patience = list(parameters), patience
        self.loss, self.step, self.stale = math.inf, 0, 0
        self.kept: list[torch.Tensor] = []

    def look(self, step: int, loss: float) -> bool:
        """The validation loss after `step` updates; whether to stop."""
        self.stale += 1
        if loss < self.loss:
            self.loss, self.step, self.stale = loss, step, 0
            self.kept = [parameter.detach().clone() for parameter in self.parameters]
        return self.stale >= self.patience

    @torch.no_grad()
    def restore(self) -> None:
        """Go back to the best look; without any the weights stay."""
        for parameter, kept in zip(self.parameters, self.kept, strict=False):
            parameter.copy_(kept)
