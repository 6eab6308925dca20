"""A trainer's progress, handed to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from transformers import TrainerCallback


class Progress(TrainerCallback):
    """Calls `show(step, total, metrics)` at the start and after every update."""

    def __init__(self, show: Callable[[int, int, Mapping[str, Any]], None]) -> None:
        self.show = show

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.show(state.global_step, state.max_steps, {})

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if state.is_world_process_zero and logs and "reward" in logs:
            self.show(state.global_step, state.max_steps, logs)
