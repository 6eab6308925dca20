"""Several processes that train together: the reward model is whole on each of them, and stays equal.

The summarizer is the trainer's, so accelerate distributes it. The reward model is not: under
gradient accumulation a prepared optimizer would skip its steps, and DeepSpeed drives one model
only. Each process backpropagates its own rows, gradients are summed here, and every process takes
the same step. With one process each function does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import distributed

_parted = False


def several() -> bool:
    """Tell if this process is one of a group that works together."""
    return (
        not _parted and distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
    )


def is_main() -> bool:
    """Tell if this process writes the files."""
    return not several() or distributed.get_rank() == 0


def total(count: int, device: torch.device) -> int:
    """Sum every process's count."""
    if not several():
        return count
    sums = torch.tensor(count, device=device)
    distributed.all_reduce(sums)
    return int(sums)


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Add up every process's gradients, in place; one that a process did not need counts as 0."""
    if several():
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)


def same_start(module: torch.nn.Module) -> None:
    """Give every process the weights of the first."""
    if several():
        for tensor in module.state_dict().values():
            distributed.broadcast(tensor, src=0)


def part() -> None:
    """Part from the group: from here on each process is on its own.

    The group itself stays until they exit: gloo may hang when one process takes it down while another still
    waits in it.
    """
    global _parted
    _parted = True
