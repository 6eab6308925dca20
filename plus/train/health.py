"""A run that is going nowhere says so while it can still be stopped, and names the knobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from transformers import TrainerCallback

# By this update every run that learned in trials had left chance (notebooks/LOG.md).
PATIENCE = 40
WINDOW = 10


class Health(TrainerCallback):
    """Looks at the last updates' metrics and hands each complaint to `warn`, once."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self.recent: list[Mapping[str, Any]] = []
        self.said: set[str] = set()

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if logs and "reward_model_loss" in logs:
            self.recent = [*self.recent, logs][-WINDOW:]
            for name, complaint in complaints(state.global_step, self.recent, args.generation_batch_size).items():
                if name not in self.said:
                    self.said.add(name)
                    self.warn(complaint)


def complaints(step: int, recent: list[Mapping[str, Any]], summaries: int) -> dict[str, str]:
    """What is wrong after `step` updates of `summaries` summaries each, by name, given the latest metrics."""
    if step < PATIENCE or len(recent) < WINDOW:
        return {}

    def mean(key: str) -> float:
        return sum(row.get(key, 0.0) for row in recent) / len(recent)

    found: dict[str, str] = {}
    if mean("reward_model_loss") > 0.68:
        found["loss"] = (
            f"after {step} updates the reward model is still at chance (loss {mean('reward_model_loss'):.3f}, log 2 = 0.693): "
            "try --reward_learning_rate three times lower or higher, more users per update (--per_device_train_batch_size), "
            "or a base whose samples already hold some preferences"
        )
    elif abs(mean("summary_gain")) < 0.02:
        found["gain"] = (
            f"after {step} updates own and another user's summary predict alike (gain {mean('summary_gain'):+.3f}): the reward model ignores the text; "
            "try --separate_pairs, check the data for leaks, or lower --beta"
        )
    if mean("distinct_summaries") <= 1.5 / summaries:
        found["collapse"] = (
            f"every user gets the same summary after {step} updates: raise --beta, lower --learning_rate, or raise --num_generations"
        )
    return found
