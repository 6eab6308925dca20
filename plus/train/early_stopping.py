"""The weights of the best look at the validation users."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch


class Best:
    """Keeps a copy of `parameters` whenever the validation loss is the lowest so far."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.loss, self.step = math.inf, 0
        self.kept: list[torch.Tensor] = []

    def look(self, step: int, loss: float) -> None:
        """The validation loss after `step` updates."""
        if loss < self.loss:
            self.loss, self.step = loss, step
            self.kept = [parameter.detach().clone() for parameter in self.parameters]

    @torch.no_grad()
    def restore(self) -> None:
        """Go back to the best look; without any the weights stay."""
        for parameter, kept in zip(self.parameters, self.kept, strict=False):
            parameter.copy_(kept)
