"""Lines for people about a run: its progress, and warnings when it goes nowhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from plus.train.trainer import PLUSConfig

# By this update every run that learned in trials had left chance (notebooks/LOG.md).
PATIENCE = 40
WINDOW = 10  # updates whose metrics are averaged
Logs = dict[str, Any]


class Progress(TrainerCallback):
    """Progress of a trainer: calls `show(step, total, metrics)` at the start and after every update."""

    def __init__(self, show: Callable[[int, int, Mapping[str, Any]], None]) -> None:
        self.show = show

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.show(state.global_step, state.max_steps, {})

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Logs | None = None,
        **kwargs: Any,
    ) -> None:
        if state.is_world_process_zero and logs and "reward" in logs:
            self.show(state.global_step, state.max_steps, logs)


class Health(TrainerCallback):
    """Warnings about a run: hands each complaint about the last updates' metrics to `warn`, once."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self.recent: list[Mapping[str, Any]] = []
        self.warned: set[str] = set()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Logs | None = None,
        **kwargs: Any,
    ) -> None:
        if not logs or "reward_model_loss" not in logs or not isinstance(args, PLUSConfig):
            return
        self.recent = [*self.recent, logs][-WINDOW:]
        for name, complaint in complaints(state.global_step, self.recent, args.generation_batch_size or 1).items():
            if name not in self.warned:
                self.warned.add(name)
                self.warn(complaint)


def complaints(step: int, recent: Sequence[Mapping[str, Any]], summaries: int) -> dict[str, str]:
    """Find what is wrong after `step` updates of `summaries` summaries each: name -> a line with the knobs to turn.

    recent: metrics of the newest updates. Nothing is found before `PATIENCE` updates.
    """
    if step < PATIENCE or len(recent) < WINDOW:
        return {}

    def mean(key: str) -> float:
        return sum(float(row.get(key, 0.0)) for row in recent) / len(recent)

    found: dict[str, str] = {}
    # The reward model predicts nothing, or nothing that depends on the summary.
    if mean("reward_model_loss") > 0.68:
        found["loss"] = (
            f"after {step} updates the reward model is still at chance (loss {mean('reward_model_loss'):.3f}, "
            "log 2 = 0.693): try --reward_learning_rate three times lower or higher, more users per update "
            "(--per_device_train_batch_size), or a base whose samples already hold some preferences"
        )
    elif abs(mean("summary_gain")) < 0.02:
        found["gain"] = (
            f"after {step} updates own and another user's summary predict alike (gain {mean('summary_gain'):+.3f}): "
            "the reward model ignores the text; try --separate_pairs, check the data for leaks, or lower --beta"
        )
    # The summarizer writes one text for all.
    if mean("distinct_summaries") <= 1.5 / summaries:
        found["collapse"] = (
            f"every user gets the same summary after {step} updates: raise --beta, lower --learning_rate, or raise "
            "--num_generations"
        )
    return found
