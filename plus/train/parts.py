"""Seconds of an update by part: writing summaries, the reference, the reward model, the summarizer's step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

CHECK, WRITING, REFERENCE, REWARD = "check", "writing", "reference", "reward_model"
STEP = "policy"  # the rest: log-probabilities with gradient, backward, and the optimizer
PARTS = (CHECK, WRITING, REFERENCE, REWARD, STEP)


class Parts(TrainerCallback):
    """Wall-clock seconds of each part of an update: `seconds_writing` and the like in the trainer's log (means over
    its updates), and a line by `say` after the first update."""

    def __init__(self) -> None:
        self.say: Callable[[str], None] = lambda line: None
        self.began = 0.0
        self.now = dict.fromkeys(PARTS, 0.0)  # of the update under way
        self.since: list[dict[str, float]] = []  # of those since the last log
        self.said = False

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time inside the block for this part."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.now[name] += time.perf_counter() - began

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Count the time of a function for this part: returns the function that is to be called instead."""

        @wraps(function, assigned=("__name__",), updated=())
        def counted(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return counted

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.began, self.now = time.perf_counter(), dict.fromkeys(PARTS, 0.0)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.now[STEP] = time.perf_counter() - self.began - sum(self.now.values())
        self.since.append(self.now)
        if not self.said:
            self.said = True
            self.say(f"the first update took {line(self.now)}")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if logs is None or not self.since:
            return
        logs.update({f"seconds_{name}": sum(step[name] for step in self.since) / len(self.since) for name in PARTS})
        self.since = []


def line(seconds: Mapping[str, float]) -> str:
    """Write the seconds of an update and its parts: "43.1 s: writing 12.0, reference 9.1, ..."."""
    parts = ", ".join(f"{name.replace('_', ' ')} {value:.1f}" for name, value in seconds.items() if value >= 0.05)
    return f"{sum(seconds.values()):.1f} s" + (f": {parts}" if parts else "")
