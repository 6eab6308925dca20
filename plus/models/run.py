"""Trained run as one object: summarize a history, predict a choice, score an answer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from plus.errors import ModelError
from plus.jsonl import read_summaries
from plus.models.hub import fetch
from plus.models.language_model import LanguageModelSummarizer
from plus.models.reward_model import RewardModel
from plus.types import Preference, UserHistory, history_of


class Run:
    """Summarizer and its reward model. `plus.load` makes one from a run folder."""

    def __init__(
        self, summarizer: LanguageModelSummarizer, reward_model: RewardModel, summaries: dict[str, str] | None = None
    ) -> None:
        self.summarizer, self.reward_model = summarizer, reward_model
        self.summaries = summaries or {}

    def summarize(self, history: UserHistory | Sequence[Any]) -> str:
        """Write a short text about the preferences behind past choices.

        history: a UserHistory, or a list of {prompt, chosen, rejected}, {prompt, completion, label}, or plain
        texts, oldest first.
        """
        return self.summarizer.summarize([history_of(history)])[0]

    def prefer(self, history: UserHistory | Sequence[Any], prompt: str, a: str, b: str) -> float:
        """Predict the probability, 0..1, that this user prefers answer `a` to answer `b`."""
        return math.exp(self.reward_model.log_likelihood([self.summarize(history)], [Preference(prompt, a, b)])[0])

    def score(self, summary: str, prompt: str, answer: str) -> float:
        """Compute r(prompt, answer | summary), in nats: differences between answers to one prompt matter,
        the level does not. `summary` is any text, also one that a person wrote."""
        return self.reward_model.rewards([(summary, prompt, answer)])[0]

    def as_reward_function(self) -> Callable[..., list[float]]:
        """Return a TRL reward function for a *response* policy: f(prompts, completions, summary=... or
        user_id=..., **columns). Users without a summary are scored without one."""

        def personal_reward(
            prompts: Sequence[Any],
            completions: Sequence[Any],
            summary: Sequence[str] | None = None,
            user_id: Sequence[str] | None = None,
            **columns: Any,
        ) -> list[float]:
            texts = (
                summary
                if summary is not None
                else [self.summaries.get(user, "") for user in user_id or [""] * len(prompts)]
            )
            return self.reward_model.rewards(
                [(text, last_text(p), last_text(c)) for text, p, c in zip(texts, prompts, completions, strict=True)]
            )

        return personal_reward


def load(run: str | Path) -> Run:
    """Open the run folder that `plus train` or `plus demo` wrote, or a run on the Hub (OWNER/NAME).
    Raises ModelError when it is none."""
    # 1. The folder, fetched where it is on the Hub.
    folder = Path(run)
    if (
        not folder.exists()
        and len(folder.parts) == 2
        and not folder.is_absolute()
        and folder.parts[0] not in (".", "..")
    ):
        folder = fetch(str(run))
    if not (folder / "config.json").exists():
        raise ModelError(
            f"{folder} is no run folder (no config.json); give the --output_dir of a plus train or plus demo"
        )
    for part in ("summarizer", "reward_model"):
        if not any((folder / part / name).exists() for name in ("config.json", "adapter_config.json")):
            raise ModelError(
                f"{folder} has no {part}/ yet: its training has not finished; continue it with "
                f"plus train --output_dir {folder} --resume_from_checkpoint"
            )
    # 2. Both models, with the windows that they were trained with, and the summaries.
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    windows = {key: config[key] for key in ("max_prompt_length", "max_completion_length") if key in config}
    summarizer = LanguageModelSummarizer.from_pretrained(folder / "summarizer", **windows)
    reward_model = RewardModel.from_pretrained(folder / "reward_model", config.get("reward_max_length", 2048))
    stored = folder / "summaries.jsonl"
    return Run(summarizer, reward_model, read_summaries(stored) if stored.exists() else {})


def last_text(turns: Any) -> str:
    """Return the text of a prompt or completion in either of TRL's formats."""
    return str(turns if isinstance(turns, str) else turns[-1]["content"])
