"""Run folder, the same for every engine, and what watches a run of the trainer: log, seconds by part, warnings.

config.json       what was asked for          metrics.jsonl     one line an update
samples.jsonl     a few summaries an update   summaries.jsonl   one line a user, at the end
summarizer/       Hugging Face folder         reward_model/     Hugging Face folder
bradley_terry/    the same without summaries  report.json, report.md, predictions.jsonl, plots, README.md
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from plus.errors import RunError
from plus.jsonl import append_jsonl, keep_lines, write_json, write_jsonl
from plus.train.coadapt import CoAdaptation
from plus.types import Population

CHECK, WRITING, REFERENCE, REWARD = "check", "writing", "reference", "reward_model"
STEP = "policy"  # the rest: log-probabilities with gradient, backward, and the optimizer
PARTS = (CHECK, WRITING, REFERENCE, REWARD, STEP)
# By this update every run that learned in trials had left chance (notebooks/LOG.md).
PATIENCE = 40
WINDOW = 10  # updates whose metrics are averaged
Logs = dict[str, Any]
# Fields of metrics.jsonl that depend on the machine's speed and never repeat.
TIMING = ("seconds", "step_time", "tokens_per_second", *(f"seconds_{part}" for part in PARTS))


def refuse_if_used(folder: Path) -> None:
    """Check that nothing is in the folder already; raises RunError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(
            f"{folder} is in use and nothing is overwritten; give another --output_dir, or continue it with "
            "--resume_from_checkpoint"
        )


def create(folder: Path, config: Mapping[str, Any]) -> None:
    """Make the folder and write config.json. Raises RunError when anything is there already."""
    refuse_if_used(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)


def read_config(folder: Path) -> dict[str, Any]:
    """Read the run's settings. Raises RunError when the folder is no run, or that of another version."""
    path = folder / "config.json"
    if not path.exists():
        raise RunError(
            f"{folder} is no run folder (no config.json); give the --output_dir of a plus train or plus demo"
        )
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is not JSON (line {error.lineno}); restore it or train again") from error
    missing = [key for key in ("dataset_name", "data_dir", "model_name_or_path") if key not in config]
    if missing:
        raise RunError(
            f"{path} has no {missing[0]!r}, so another version of plus wrote it; use that version, or train again "
            "with this one"
        )
    return config


def write_summaries(folder: Path, population: Population, texts: Sequence[str]) -> dict[str, str]:
    """Write summaries.jsonl from a text for each history of the population, in order; returns user_id -> text."""
    summaries = dict(zip(population.histories, texts, strict=True))
    write_jsonl(
        folder / "summaries.jsonl",
        (
            {"user_id": user, "summary": text, "events": len(population.histories[user].events)}
            for user, text in summaries.items()
        ),
    )
    return summaries


class RunLog(TrainerCallback):
    """Log of a run: metrics.jsonl and samples.jsonl; after a resume both continue without gap or repeat."""

    def __init__(self, folder: Path, coadaptation: CoAdaptation, samples: int = 4) -> None:
        self.folder, self.coadaptation, self.samples = folder, coadaptation, samples

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not state.is_world_process_zero:
            return
        for name in ("metrics.jsonl", "samples.jsonl"):
            keep_lines(self.folder / name, lambda row: row["step"] <= state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        self._append("metrics.jsonl", {"step": state.global_step, **readable(logs)})

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        for row, reward in self.coadaptation.last[: self.samples]:
            self._append(
                "samples.jsonl",
                {"step": state.global_step, "user_id": row.user_id, "summary": row.text, "reward": reward},
            )

    def _append(self, name: str, row: Mapping[str, Any]) -> None:
        append_jsonl(self.folder / name, row)


def readable(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Rename TRL's log entry to the names of `plus`; what the method is judged by comes first."""
    names = {"completions/mean_length": "summary_length", "step_time": "seconds", "num_tokens": "tokens"}
    first = (
        "reward", "reward_model_loss", "accuracy", "accuracy_empty", "accuracy_other", "summary_gain", "margin",
        "kl", "entropy", "distinct_summaries", "summary_length", "seconds", "tokens",
    )  # fmt: skip
    renamed = {names.get(key, key): value for key, value in logs.items()}
    return {key: renamed[key] for key in first if key in renamed} | {k: v for k, v in renamed.items() if k not in first}


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
        if not logs or "reward_model_loss" not in logs:
            return
        self.recent = [*self.recent, logs][-WINDOW:]
        summaries: int = getattr(args, "generation_batch_size", None) or 1
        for name, complaint in complaints(state.global_step, self.recent, summaries).items():
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
