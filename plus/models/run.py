"""Trained run as one object: summarize a history, predict a choice, score an answer; files of the select engine.

A folder of that engine holds config.json and model.safetensors; a reward model also known.safetensors, the vectors
of the training answers by the SHA-256 of their texts. Of a summarizer that selects and then writes, selector/ is such a
folder and writer/ a Hugging Face one. No text and no user is in them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from plus.errors import ModelError, SourceError
from plus.jsonl import read_json, read_summaries, write_json
from plus.measures import estimate_tokens
from plus.models.embedding_reward_model import EmbeddingRewardModel
from plus.models.embeddings import Embeddings, sentence_model
from plus.models.extractive import ExtractiveSummarizer
from plus.models.hub import fetch
from plus.models.language_model import LanguageModelSummarizer
from plus.models.loading import local
from plus.models.prose import SelectThenWrite
from plus.models.reward_model import RewardModel
from plus.types import Preference, UserHistory, history_of

SUMMARIZER, REWARD_MODEL = "plus_select", "plus_embedding_reward_model"
SELECT_THEN_WRITE = "plus_select_then_write"


class Run:
    """Summarizer and its reward model. `plus.load` makes one from a run folder."""

    def __init__(
        self,
        summarizer: LanguageModelSummarizer | ExtractiveSummarizer | SelectThenWrite,
        reward_model: RewardModel | EmbeddingRewardModel,
        summaries: dict[str, str] | None = None,
    ) -> None:
        self.summarizer, self.reward_model = summarizer, reward_model
        self.summaries = summaries or {}

    def summarize(self, history: UserHistory | Sequence[Any]) -> str:
        """Write a short text about the preferences behind past choices.

        history: a UserHistory, or a list of {prompt, chosen, rejected}, {prompt, completion, label}, or plain
        texts, oldest first.
        """
        return self.summarizer.summarize([history_of(history)])[0]

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text by the run's tokenizer; the select engine has none, so an upper estimate."""
        if isinstance(self.summarizer, ExtractiveSummarizer):
            return estimate_tokens(text)
        return len(self.summarizer.tokenizer(text, add_special_tokens=False)["input_ids"])

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
    stored = folder / "summaries.jsonl"
    summaries = read_summaries(stored) if stored.exists() else {}
    windows = {key: config[key] for key in ("max_prompt_length", "max_completion_length") if key in config}
    if config.get("engine") in ("select", "write"):
        embeddings = Embeddings(sentence_model(config["embedding_model"]))
        reads = load_embedding_reward_model(folder / "reward_model", embeddings)
        if config["engine"] == "select":
            return Run(load_extractive_summarizer(folder / "summarizer", embeddings), reads, summaries)
        return Run(load_select_then_write(folder / "summarizer", embeddings, **windows), reads, summaries)
    for part, key in (("summarizer", "model_name_or_path"), ("reward_model", "reward_model_name_or_path")):
        _restore_base(folder / part, config.get(key))
    summarizer = LanguageModelSummarizer.from_pretrained(folder / "summarizer", **windows)
    reward_model = RewardModel.from_pretrained(folder / "reward_model", config.get("reward_max_length", 2048))
    return Run(summarizer, reward_model, summaries)


def _restore_base(part: Path, name_or_path: str | None) -> None:
    """Make the converted model anew that adapters stand on, where the user's cache was emptied."""
    adapter = part / "adapter_config.json"
    if name_or_path and adapter.exists() and not Path(read_json(adapter)["base_model_name_or_path"] or "").exists():
        local(name_or_path)


def load_baseline(folder: Path, reward_model: RewardModel | EmbeddingRewardModel) -> RewardModel | EmbeddingRewardModel:
    """Open another reward model of the same run, such as its Bradley-Terry baseline."""
    if isinstance(reward_model, EmbeddingRewardModel):
        return load_embedding_reward_model(folder, reward_model.embeddings)
    return RewardModel.from_pretrained(folder, reward_model.max_length)


def last_text(turns: Any) -> str:
    """Return the text of a prompt or completion in either of TRL's formats."""
    return str(turns if isinstance(turns, str) else turns[-1]["content"])


def save_extractive_summarizer(folder: Path, summarizer: ExtractiveSummarizer, embedding_model: str) -> None:
    """Write the summarizer into a new folder; `embedding_model` is the sentence model's id or folder."""
    config = {
        "model_type": SUMMARIZER, "embedding_model": embedding_model, "size": summarizer.embeddings.size,
        "events_per_summary": summarizer.k, "max_completion_length": summarizer.tokens, "trusted": summarizer.trusted,
    }  # fmt: skip
    _save(folder, config, summarizer.model)


def save_embedding_reward_model(folder: Path, reward_model: EmbeddingRewardModel, embedding_model: str) -> None:
    """Write the reward model into a new folder."""
    embeddings = reward_model.embeddings
    config = {
        "model_type": REWARD_MODEL, "embedding_model": embedding_model, "size": embeddings.size,
        "borrow": reward_model.borrow,
    }  # fmt: skip
    _save(folder, config, reward_model.model)
    known = embeddings.vectors_of(reward_model.known.tolist())
    save_file({name: vector.contiguous() for name, vector in known.items()}, folder / "known.safetensors")


def save_select_then_write(folder: Path, summarizer: SelectThenWrite, embedding_model: str) -> None:
    """Write the selector and the language model, a Hugging Face folder, into a new folder."""
    save_extractive_summarizer(folder / "selector", summarizer.selector, embedding_model)
    summarizer.writer.model.save_pretrained(folder / "writer")
    summarizer.tokenizer.save_pretrained(folder / "writer")
    write_json(folder / "config.json", {"model_type": SELECT_THEN_WRITE, "embedding_model": embedding_model})


def load_select_then_write(folder: Path, embeddings: Embeddings, **windows: Any) -> SelectThenWrite:
    """Open what `save_select_then_write` wrote. Raises ModelError."""
    config_of(folder, SELECT_THEN_WRITE)
    selector = load_extractive_summarizer(folder / "selector", embeddings)
    return SelectThenWrite(selector, LanguageModelSummarizer.from_pretrained(folder / "writer", **windows))


def load_extractive_summarizer(folder: Path, embeddings: Embeddings) -> ExtractiveSummarizer:
    """Open what `save_extractive_summarizer` wrote. Raises ModelError."""
    config = config_of(folder, SUMMARIZER)
    tokens = config.get("max_completion_length")  # An older plus wrote long answers out.
    fitting = _fitting(folder, config, embeddings)
    summarizer = ExtractiveSummarizer(fitting, config["events_per_summary"], tokens=tokens)
    summarizer.trusted = config["trusted"]
    _load(folder, summarizer.model)
    return summarizer


def load_embedding_reward_model(folder: Path, embeddings: Embeddings) -> EmbeddingRewardModel:
    """Open what `save_embedding_reward_model` wrote. Raises ModelError."""
    config = config_of(folder, REWARD_MODEL)
    reward_model = EmbeddingRewardModel(_fitting(folder, config, embeddings), (), config["borrow"])
    rows = embeddings.adopt(load_file(folder / "known.safetensors"))
    reward_model.known = torch.tensor(sorted(rows), dtype=torch.long)
    _load(folder, reward_model.model)
    return reward_model


def config_of(folder: Path, model_type: str) -> dict[str, Any]:
    """Read a folder's config.json. Raises ModelError when it is another kind of model."""
    try:
        config: dict[str, Any] = read_json(folder / "config.json")
    except SourceError as error:
        raise ModelError(str(error)) from error
    if config.get("model_type") != model_type:
        raise ModelError(f"{folder} holds a {config.get('model_type')} and no {model_type}; give a run of that engine")
    return config


def _save(folder: Path, config: dict[str, Any], model: torch.nn.Module) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors")
    write_json(folder / "config.json", config)


def _load(folder: Path, model: torch.nn.Module) -> None:
    model.load_state_dict(load_file(folder / "model.safetensors"))
    model.eval()


def _fitting(folder: Path, config: dict[str, Any], embeddings: Embeddings) -> Embeddings:
    if embeddings.size != config["size"]:
        raise ModelError(
            f"{folder} was trained on embeddings of {config['size']} numbers and these have {embeddings.size}; "
            f"use {config['embedding_model']}"
        )
    return embeddings
