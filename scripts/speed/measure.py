"""Seconds and memory of training steps, beside stock TRL with the same reward model.

`Side` is one way of training, stepped by hand so that several ways can take turns in one process:
only then do the other programs on a machine slow them all alike. `stock` is TRL's own
`GRPOTrainer`, its reward model fed in fixed batches of 32 sequences; `ours` is `PLUSTrainer`; `same_head` is
`PLUSTrainer` that reads each history once per summary, so what is left of stock's log-probabilities
when the vocabulary is projected at the summary's positions only, as TRL does on a GPU.

Everything is random: weights, words, histories. Speed does not depend on what a text says.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from datasets import Dataset
from speed.flops import share_of_peak
from speed.report import PARTS
from speed.setup import Setup, histories, tokenizer
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
from trl import GRPOConfig, GRPOTrainer

from plus.models.reward_model import RewardModel
from plus.train.coadapt import CoAdaptation
from plus.train.trainer import PLUSConfig, PLUSTrainer
from plus.types import Preference

SIDES = ("stock", "ours", "same_head")


class FixedBatches(RewardModel):
    """Reward model as a stock data loader feeds it: 32 sequences at a time, in the order they come."""

    def margins(self, texts: Sequence[str], pairs: Sequence[Preference]) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Yield (rows, margins) of 16 pairs at a time."""
        chosen = self.encode([(text, pair.conversation, pair.chosen) for text, pair in zip(texts, pairs, strict=True)])
        rejected = self.encode(
            [(text, pair.conversation, pair.rejected) for text, pair in zip(texts, pairs, strict=True)]
        )
        for start in range(0, len(chosen), 16):
            rows = list(range(start, min(start + 16, len(chosen))))
            rewards = self._padded([chosen[row] for row in rows] + [rejected[row] for row in rows])
            yield rows, rewards[: len(rows)] - rewards[len(rows) :]

    @torch.no_grad()
    def rewards(self, triples: Sequence[Any]) -> list[float]:
        """Score each (summary, prompt, answer), 32 at a time."""
        encoded = self.encode(triples)
        return [r for start in range(0, len(encoded), 32) for r in self._padded(encoded[start : start + 32]).tolist()]


class Side:
    """Trainer that is stepped by hand; `seconds[part]` grows by one number a step."""

    def __init__(self, name: str, setup: Setup, folder: Path) -> None:
        self.name, self.setup = name, setup
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.trainer = _trainer(name, setup, folder)
        trainer = self.trainer
        trainer.current_gradient_accumulation_steps = 1
        trainer.create_optimizer()
        trainer.model_wrapped, trainer.optimizer = trainer.accelerator.prepare(trainer.model, trainer.optimizer)
        trainer._generate_single_turn = self._timed("generation", trainer._generate_single_turn)
        trainer._calculate_rewards = self._timed("reward", trainer._calculate_rewards)
        trainer.accelerator.backward = self._timed("logprobs", trainer.accelerator.backward)
        trainer._get_per_token_logps_and_entropies = self._timed("logprobs", trainer._get_per_token_logps_and_entropies)

    def step(self, rows: list[dict[str, Any]]) -> None:
        """Update both models once, on one row per summary."""
        self._now: dict[str, float] = defaultdict(float)
        self._timed("step", self._update)(rows)
        for part, seconds in self._now.items():
            self.seconds[part].append(seconds)

    def _update(self, rows: list[dict[str, Any]]) -> None:
        trainer = self.trainer
        trainer.model_wrapped.train()
        trainer.training_step(trainer.model_wrapped, rows, None)
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()

    def _timed(self, part: str, function: Callable) -> Callable:
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = self._clock()
            try:
                return function(*args, **kwargs)
            finally:
                self._now[part] += self._clock() - started

        return timed

    def _clock(self) -> float:
        if self.setup.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def take_turns(names: Sequence[str], setup: Setup, steps: int, folder: Path) -> dict[str, Side]:
    """Step each side `steps` times in turn on the same rows, after one step that is not counted."""
    sides = {name: Side(name, setup, folder) for name in names}
    for number in range(-1, steps):
        rows = histories(setup, seed=setup.seed + 1 + number)
        for side in sides.values():
            side.step(rows)
            if number < 0:
                side.seconds.clear()
    return sides


def measure(setup: Setup, steps: int, folder: Path) -> dict[str, Any]:
    """Measure medians, ranges and ratios stock / ours of every part of a step; on a GPU also the share of its peak."""
    sides = take_turns(SIDES, setup, steps, folder)
    middle = {name: {part: median(side.seconds[part]) for part in PARTS} for name, side in sides.items()}
    stock, ours = middle["stock"], middle["ours"]
    found: dict[str, Any] = {
        "step_ratio": stock["step"] / ours["step"],
        "generation_ratio": stock["generation"] / ours["generation"],
        "logprob_ratio": stock["logprobs"] / ours["logprobs"],
        "logprob_ratio_same_head": middle["same_head"]["logprobs"] / ours["logprobs"],
        "reward_ratio": stock["reward"] / ours["reward"],
        "read_once": sides["ours"].trainer.sharing.on,
        "seconds": middle,
        "range": {name: {part: _range(side.seconds[part]) for part in PARTS} for name, side in sides.items()},
        "steps": steps,
    }
    if setup.device == "cuda":
        found["share_of_peak"] = {
            name: share_of_peak(setup, name == "ours", middle[name]["generation"] + middle[name]["logprobs"])
            for name in ("stock", "ours")
        }
    return found


def growth(context: int, device: str, folder: Path) -> dict[str, Any]:
    """Measure seconds of ours (summarizer's part, whole step) by summaries a user, by users and by context."""

    def cost(**size: int) -> dict[str, float]:
        setup = replace(Setup(context, device=device), **size)  # type: ignore[arg-type]
        seconds = take_turns(["ours"], setup, 3, folder)["ours"].seconds
        parts = {part: median(seconds[part]) for part in PARTS}
        return {"summarizer": parts["generation"] + parts["logprobs"], "step": parts["step"]}

    by_generations = {str(g): cost(num_generations=g) for g in (4, 8, 16)}
    return {
        "growth_in_G": by_generations["16"]["summarizer"] / by_generations["4"]["summarizer"],
        "by_num_generations": by_generations,
        "by_users": {str(p): cost(context=1024, users=p) for p in (2, 4, 8)},
        "by_context": {str(c): cost(context=c) for c in (512, 1024, 2048)},
    }


def peak_memory(name: str, setup: Setup, folder: Path) -> int:
    """Measure the most bytes held by this process (on a GPU: by the card) after one step of one side.

    Run it in a process of its own.
    """
    Side(name, setup, folder).step(histories(setup, seed=1))
    if setup.device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the process that this one was started from.
        return next(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _range(seconds: list[float]) -> list[float]:
    return [min(seconds), max(seconds)]


def _trainer(name: str, setup: Setup, folder: Path) -> GRPOTrainer:
    torch.manual_seed(setup.seed)
    dtype = torch.float32 if setup.device == "cpu" else torch.bfloat16
    saved = folder / f"base-{setup.context}"
    if not saved.exists():
        AutoModelForCausalLM.from_config(setup.config).to(dtype).save_pretrained(saved)
    model = AutoModelForCausalLM.from_pretrained(saved, dtype=dtype)
    words = tokenizer(setup)
    scorer = AutoModelForSequenceClassification.from_pretrained(saved, num_labels=1, dtype=dtype)
    reward_model = (FixedBatches if name == "stock" else RewardModel)(scorer.to(setup.device), words)
    options: dict[str, Any] = {
        "output_dir": str(folder / name), "use_cpu": setup.device == "cpu", "bf16": setup.device != "cpu",
        "gradient_checkpointing": False, "report_to": "none", "disable_tqdm": True, "max_steps": 1000, "beta": 0.02,
        "num_generations": setup.num_generations, "per_device_train_batch_size": setup.users * setup.num_generations,
        "max_completion_length": setup.summary, "generation_kwargs": {"min_new_tokens": setup.summary},
        "seed": setup.seed, "learning_rate": 1e-6, "scale_rewards": "batch",
    }  # fmt: skip
    rows = Dataset.from_list(histories(setup, 0)[:: setup.num_generations])
    if name == "stock":
        reward = CoAdaptation(reward_model, torch.optim.AdamW(scorer.parameters(), lr=1e-6), pairs_per_user=1)
        return GRPOTrainer(model, reward, GRPOConfig(**options), train_dataset=rows, processing_class=words)
    args = PLUSConfig(**options, reward_learning_rate=1e-6, pairs_per_user=1, share_prefix=name == "ours")
    return PLUSTrainer(model, reward_model, args, rows, processing_class=words)
