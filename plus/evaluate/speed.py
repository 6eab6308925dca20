"""Seconds and memory of training steps, beside stock TRL with the same reward model.

`Side` is one way of training, stepped by hand so that several ways can take turns in one process:
only then do the other programs on a machine slow them all alike. `stock` is TRL's own
`GRPOTrainer`, its reward model fed in fixed batches of 32 sequences; `ours` is `PLUSTrainer`; `same_head` is
`PLUSTrainer` that reads each history once per summary, so what is left of stock's log-probabilities
when the vocabulary is projected at the summary's positions only, as TRL does on a GPU.

Everything is random: weights, words, histories. Speed does not ask what was said.
"""

from __future__ import annotations

import math
import random
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)
from trl import GRPOConfig, GRPOTrainer

from plus.models.reward_model import RewardModel
from plus.train.coadapt import CoAdaptation
from plus.train.trainer import PLUSConfig, PLUSTrainer
from plus.types import Preference

SIDES = ("stock", "ours", "same_head")
PARTS = ("generation", "logprobs", "reward", "step")
# Dense bfloat16 operations a second, from the makers' data sheets.
PEAK_FLOPS = {
    "H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "A10G": 125e12, "L4": 121e12,
    "RTX 4090": 165e12, "RTX 3090": 71e12,
}  # fmt: skip
ANSWER_TOKENS = (16, 256)  # log-uniform, as answers are: many short ones, a few long ones


@dataclass(frozen=True)
class Setup:
    """The size of everything in a step. Users, histories of `context` tokens, `num_generations` summaries each."""

    context: int
    users: int = 4
    num_generations: int = 8
    summary: int = 32
    device: str = "cpu"
    seed: int = 0

    @property
    def config(self) -> PreTrainedConfig:
        """A small Llama for a CPU, the shape of Qwen2.5-0.5B for a GPU."""
        window = self.context + self.summary + 64
        shared = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None, "tie_word_embeddings": True}
        if self.device == "cpu":
            return LlamaConfig(
                vocab_size=8192, hidden_size=128, intermediate_size=384, num_hidden_layers=4, num_attention_heads=4,
                num_key_value_heads=4, max_position_embeddings=window, **shared,
            )  # fmt: skip
        return Qwen2Config(
            vocab_size=151_936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
            num_key_value_heads=2, max_position_embeddings=max(window, 32_768), rope_theta=1e6, **shared,
        )  # fmt: skip


class FixedBatches(RewardModel):
    """The reward model as a stock data loader feeds it: 32 sequences at a time, in the order they come."""

    def margins(self, texts: Sequence[str], pairs: Sequence[Preference]) -> Iterator[tuple[list[int], torch.Tensor]]:
        """(rows, margins) of 16 pairs at a time."""
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
        """r of each (summary, prompt, answer), 32 at a time."""
        encoded = self.encode(triples)
        return [r for start in range(0, len(encoded), 32) for r in self._padded(encoded[start : start + 32]).tolist()]


class Side:
    """One trainer, stepped by hand; `seconds[part]` grows by one number a step."""

    def __init__(self, name: str, setup: Setup, folder: Path) -> None:
        self.name, self.setup = name, setup
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.bytes = 0
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
        """One whole update of both models on one row per summary."""
        self._now: dict[str, float] = defaultdict(float)
        if self.setup.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self._timed("step", self._update)(rows)
        for part, seconds in self._now.items():
            self.seconds[part].append(seconds)
        if self.setup.device == "cuda":
            self.bytes = max(self.bytes, torch.cuda.max_memory_allocated())

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
    """`steps` updates of each side in turn on the same rows, after one that is not counted."""
    sides = {name: Side(name, setup, folder) for name in names}
    for number in range(-1, steps):
        rows = histories(setup, seed=setup.seed + 1 + number)
        for side in sides.values():
            side.step(rows)
            if number < 0:
                side.seconds.clear()
    return sides


def histories(setup: Setup, seed: int) -> list[dict[str, Any]]:
    """The rows of one update: each user's history of exactly `context` tokens, once per summary, and one pair."""
    rng = random.Random(f"speed-{seed}")

    def words(count: int) -> str:
        return " ".join(f"w{rng.randrange(8000)}" for _ in range(count))

    def answer() -> str:
        low, high = map(math.log, ANSWER_TOKENS)
        return words(round(math.exp(rng.uniform(low, high))))

    rows = []
    for user in range(setup.users):
        pair = {"prompt": words(rng.randint(8, 48)), "chosen": answer(), "rejected": answer(), "earlier": []}
        row = {"prompt": words(setup.context), "user_id": f"user-{user}", "pairs": [pair], "split": "train"}
        rows += [dict(row) for _ in range(setup.num_generations)]
    return rows


def measure(setup: Setup, steps: int, folder: Path) -> dict[str, Any]:
    """Medians, their range, and the ratios stock / ours of every part of a step; on a GPU also peak
    memory and the share of the card's peak."""
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
        found["peak_bytes"] = {name: sides[name].bytes for name in ("stock", "ours")}
        found["memory_ratio"] = sides["stock"].bytes / sides["ours"].bytes
        for name, once in (("stock", False), ("ours", True)):
            per_second = flops(setup, once) / (middle[name]["generation"] + middle[name]["logprobs"])
            peak = next((p for card, p in PEAK_FLOPS.items() if card in torch.cuda.get_device_name()), None)
            found.setdefault("share_of_peak", {})[name] = None if peak is None else per_second / peak
    return found


def growth(context: int, device: str, folder: Path) -> dict[str, Any]:
    """Seconds of ours (the summarizer's part, and the whole step) by summaries a user, by users and by context."""

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
    """Bytes that this process held at most, after one step of one side: run it in a process of its own."""
    Side(name, setup, folder).step(histories(setup, seed=1))
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the process that this one was started from.
        return next(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def card(device: str) -> str:
    """What the measurement ran on."""
    if device == "cuda":
        return f"{torch.cuda.get_device_name()}, bfloat16"
    return f"CPU, {torch.get_num_threads()} threads, float32"


def table(context: int, row: dict[str, Any]) -> str:
    """The rows of one context for people, in Markdown."""
    ratios = {
        "generation": "generation_ratio",
        "logprobs": "logprob_ratio",
        "reward": "reward_ratio",
        "step": "step_ratio",
    }
    lines = []
    for part in PARTS:
        seconds = [
            f"{row['seconds'][name][part]:.2f} ({row['range'][name][part][0]:.2f} to {row['range'][name][part][1]:.2f})"
            for name in ("stock", "ours")
        ]
        lines.append(f"| {context:,} | {part} | {seconds[0]} | {seconds[1]} | {row[ratios[part]]:.1f} |")
    lines.append(
        f"| {context:,} | logprobs, same head | {row['seconds']['same_head']['logprobs']:.2f} | {row['seconds']['ours']['logprobs']:.2f} | {row['logprob_ratio_same_head']:.1f} |"
    )
    if "memory_ratio" in row:
        held = [f"{row['peak_bytes'][name] / 2**20:,.0f} MiB" for name in ("stock", "ours")]
        lines.append(f"| {context:,} | peak memory | {held[0]} | {held[1]} | {row['memory_ratio']:.1f} |")
    if "share_of_peak" in row:
        shares = ["unknown card" if share is None else f"{share:.1%}" for share in row["share_of_peak"].values()]
        lines.append(f"| {context:,} | share of the card's peak | {shares[0]} | {shares[1]} | |")
    return "\n".join(lines)


def markdown(result: dict[str, Any]) -> str:
    """The whole result as the README shows it."""
    lines = ["| context | part | stock, seconds | ours, seconds | ratio |", "|---|---|---|---|---|"]
    lines += [table(int(context), row) for context, row in result["contexts"].items()]
    if "growth_in_G" in result:
        curves = {
            "summaries a user": "by_num_generations",
            "users, at 1,024": "by_users",
            "context tokens": "by_context",
        }
        lines += ["", "| ours, seconds: summarizer's part / whole step | |", "|---|---|"]
        for name, key in curves.items():
            cells = [f"{size}: {c['summarizer']:.2f} / {c['step']:.2f}" for size, c in result[key].items()]
            lines.append(f"| {name} | {', '.join(cells)} |")
        lines.append(f"| summarizer's part, 16 summaries a user against 4 | {result['growth_in_G']:.2f} |")
    return "\n".join([*lines, "", f"{result['device']}, {result['date']}, {result['seconds'] / 60:.0f} minutes."])


def flops(setup: Setup, once: bool) -> float:
    """Multiply-adds (two operations each) of one update that the method asks for, histories read once or
    once per summary: sampling, the reference's pass, and the summarizer's forward and backward.

    A token costs two operations a weight and, for each token that it looks at, four per layer and
    unit of width; backward is twice forward (https://arxiv.org/abs/2001.08361, appendix B).
    """
    config, texts = setup.config, setup.users * setup.num_generations
    heads, width = config.num_attention_heads, config.hidden_size
    attention = width * (2 * width + 2 * width * config.num_key_value_heads // heads)
    weights = config.num_hidden_layers * (attention + 3 * width * config.intermediate_size)

    def read(tokens: int, seen: float) -> float:
        return tokens * (2 * weights + 4 * config.num_hidden_layers * width * seen)

    contexts = read(setup.context, setup.context / 2) * (setup.users if once else texts)
    written = texts * read(setup.summary, setup.context + setup.summary / 2)
    head = texts * setup.summary * 2 * width * config.vocab_size
    return 5 * (contexts + written + head)  # sampling, reference, forward, and backward, which counts twice


def _range(seconds: list[float]) -> list[float]:
    return [min(seconds), max(seconds)]


def _tokenizer(setup: Setup) -> PreTrainedTokenizerFast:
    """One token a word, so that lengths are exact."""
    vocabulary = {"<pad>": 0, "<eos>": 1, "<unk>": 2} | {f"w{n}": 3 + n for n in range(setup.config.vocab_size - 3)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )


def _trainer(name: str, setup: Setup, folder: Path) -> GRPOTrainer:
    torch.manual_seed(setup.seed)
    dtype = torch.float32 if setup.device == "cpu" else torch.bfloat16
    saved = folder / f"base-{setup.context}"
    if not saved.exists():
        AutoModelForCausalLM.from_config(setup.config).to(dtype).save_pretrained(saved)
    model = AutoModelForCausalLM.from_pretrained(saved, dtype=dtype)
    tokenizer = _tokenizer(setup)
    scorer = AutoModelForSequenceClassification.from_pretrained(saved, num_labels=1, dtype=dtype)
    reward_model = (FixedBatches if name == "stock" else RewardModel)(scorer.to(setup.device), tokenizer)
    options: dict[str, Any] = {
        "output_dir": str(folder / name), "use_cpu": setup.device == "cpu", "bf16": setup.device != "cpu",
        "gradient_checkpointing": False, "report_to": "none", "disable_tqdm": True, "max_steps": 1000, "beta": 0.02,
        "num_generations": setup.num_generations, "per_device_train_batch_size": setup.users * setup.num_generations,
        "max_completion_length": setup.summary, "generation_kwargs": {"min_new_tokens": setup.summary}, "seed": setup.seed,
        "learning_rate": 1e-6, "scale_rewards": "batch",
    }  # fmt: skip
    rows = Dataset.from_list(histories(setup, 0)[:: setup.num_generations])
    if name == "stock":
        reward = CoAdaptation(reward_model, torch.optim.AdamW(scorer.parameters(), lr=1e-6), pairs_per_user=1)
        return GRPOTrainer(model, reward, GRPOConfig(**options), train_dataset=rows, processing_class=tokenizer)
    args = PLUSConfig(**options, reward_learning_rate=1e-6, pairs_per_user=1, share_prefix=name == "ours")
    return PLUSTrainer(model, reward_model, args, rows, processing_class=tokenizer)
