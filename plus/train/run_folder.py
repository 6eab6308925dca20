"""Run folder, the same for every engine: configuration, metrics, samples, summaries, models.

config.json       what was asked for          metrics.jsonl     one line an update
samples.jsonl     a few summaries an update   summaries.jsonl   one line a user, at the end
summarizer/       Hugging Face folder         reward_model/     Hugging Face folder
bradley_terry/    the same without summaries  report.json, report.md, predictions.jsonl, plots, README.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from plus.errors import RunError
from plus.jsonl import append_jsonl, read_whole_lines, write_json, write_jsonl
from plus.train.coadapt import CoAdaptation
from plus.train.parts import PARTS

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
            rows = read_whole_lines(self.folder / name)
            write_jsonl(self.folder / name, [row for row in rows if row["step"] <= state.global_step])

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
