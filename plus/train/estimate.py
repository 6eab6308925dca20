"""Estimate of a run before it starts: parameters, memory, and on a CPU the seconds of an update.

The seconds come from two seconds of passes through the very models, the memory from what those passes kept. On a CPU
an update's gradient is taken in micro-batches of whole users, as many as keep the activations within `ROOM`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from plus.models.completions import CHUNK
from plus.train.run_folder import CHECK, REFERENCE, REWARD, STEP, WRITING, line
from plus.train.trainer import PLUSConfig, users_per_update

ROOM = 2**29  # bytes of activations that a micro-batch may keep
TOKENS = 64  # of the passes that are timed
SECONDS = 2.0
GIB = 2**30


@dataclass(frozen=True)
class Work:
    """Tokens of one update: contexts, each read once; summaries, written and scored; what the reward model reads."""

    users: int
    summaries: int
    context_tokens: float
    summary_tokens: int
    reward_tokens: float

    @property
    def scored(self) -> float:
        """Tokens of a pass that computes log-probabilities: each context once, and every summary."""
        return self.context_tokens + self.summary_tokens


@dataclass(frozen=True)
class Speed:
    """Seconds a token of a model: reading, reading with gradient, writing for one text; bytes kept for the gradient."""

    read: float
    learned: float
    written: float
    kept: float


def work(args: PLUSConfig, prompt_tokens: Sequence[int], answer_tokens: float = 64.0) -> Work:
    """Count the tokens of an update; the mean prompt is that of `prompt_tokens`."""
    users, generations = users_per_update(args), args.num_generations or 1
    longest = args.max_completion_length or 0
    context = users * sum(prompt_tokens) / max(1, len(prompt_tokens))
    pairs = users * args.pairs_per_user * (2 if args.separate_pairs else 1) * generations
    read = min(args.reward_max_length, longest + answer_tokens)
    return Work(users, users * generations, context, users * generations * longest, 2 * pairs * read)


def micro_batches(args: PLUSConfig, found: Work, kept_per_token: float) -> int:
    """Choose into how many micro-batches of whole users the gradient of an update on a CPU is cut: the fewest
    whose activations fit into `ROOM`. 1 where the user cuts already, or samples for several updates."""
    if args.device.type != "cpu" or args.gradient_accumulation_steps > 1 or args.steps_per_generation not in (None, 1):
        return 1
    needed = found.scored * kept_per_token / ROOM
    users = (args.per_device_train_batch_size or 1) // (args.num_generations or 1)
    return next((parts for parts in range(1, users + 1) if users % parts == 0 and parts >= needed), max(1, users))


def kept_bytes(model: Any, layers: Sequence[int] | None = None, tokens: int = TOKENS) -> float:
    """Measure the bytes a token that a pass with gradients keeps; `layers` are those that adapters will stand on."""
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    storages: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    # The graph is held until all is counted, so that no address is used twice.
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        states = _backbone(model)(input_ids=_ids(model, tokens)).last_hidden_state
    total = sum(storages.values()) / tokens
    del states
    count = model.config.get_text_config().num_hidden_layers
    return total * (count - min(layers)) / count if layers else total


def speed(model: Any, writers: int = 1, seconds: float = SECONDS) -> Speed:
    """Time short passes for about `seconds`: reading, reading with gradient, and a step of writing `writers` texts."""
    ids, trained = _ids(model, TOKENS), [weight for weight in model.parameters() if weight.requires_grad]

    def learn() -> None:
        states = _backbone(model)(input_ids=ids).last_hidden_state
        if states.requires_grad:
            torch.autograd.grad(states.sum(), trained, allow_unused=True)

    with torch.no_grad():
        read = _fastest(lambda: _backbone(model)(input_ids=ids), seconds / 4)
        written = _fastest(lambda: model(input_ids=_ids(model, writers).T), seconds / 4) / writers
    with torch.enable_grad():
        learned = _fastest(learn, seconds / 2)
    return Speed(read / TOKENS, learned / TOKENS, written, kept_bytes(model))


def seconds(found: Work, summarizer: Speed, reward_model: Speed, reference: bool = True) -> dict[str, float]:
    """Estimate the seconds of an update by part; the first one also has the check of prefix sharing."""
    return {
        WRITING: found.context_tokens * summarizer.read + found.summary_tokens * summarizer.written,
        REFERENCE: found.scored * summarizer.read if reference else 0.0,
        REWARD: found.reward_tokens * reward_model.learned,
        STEP: found.scored * summarizer.learned,
        CHECK: 0.0,
    }


def resident(
    summarizer: torch.nn.Module, reward_model: torch.nn.Module, args: PLUSConfig, activations: float = 0.0
) -> dict[str, float]:
    """Estimate the bytes of a run by what holds them. A trained weight takes its gradient and Adam's two moments
    beside itself; the reference is a copy only where every weight is trained."""
    total, trained = count(summarizer)
    reward_total, reward_trained = count(reward_model)
    vocabulary = 4 * CHUNK * 4  # logits, their softmax, and both gradients, a chunk at a time
    return {
        "program": 0.7 * GIB,  # torch, transformers and trl themselves
        "weights": 4.0 * (total + reward_total),
        "gradient and Adam": 12.0 * (trained + reward_trained),
        "reference": 4.0 * total if args.beta and total == trained else 0.0,
        "activations": activations + (vocabulary if activations else 0.0),
    }


def memory() -> float:
    """Return the bytes that this process may use: the machine's, or its control group's."""
    machine = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            machine = min(machine, float(Path(name).read_text()))
        except (OSError, ValueError):  # No such file, or "max".
            continue
    return machine


def sizes(
    summarizer: torch.nn.Module, reward_model: torch.nn.Module, args: PLUSConfig, prompt_tokens: Sequence[int]
) -> list[str]:
    """Write a run's size in lines for people: parameters, what stays in memory, tokens of an update."""
    total, trained = count(summarizer)
    reward_total, reward_trained = count(reward_model)
    held = resident(summarizer, reward_model, args)
    stays = sum(held[name] for name in ("weights", "gradient and Adam", "reference"))
    found = work(args, prompt_tokens)
    frozen = ", frozen reference" if held["reference"] else ""
    pairs = found.users * args.pairs_per_user * (2 if args.separate_pairs else 1)
    each = found.summaries // max(1, found.users)
    return [
        f"parameters   summarizer {total:,} ({trained:,} trained), "
        f"reward model {reward_total:,} ({reward_trained:,} trained)",
        f"in memory    summarizer with gradient and Adam{frozen}, reward model with gradient and Adam: "
        f"{stays / 2**20:,.1f} MiB in float32, activations extra",
        f"an update    {found.users} users x {each} summaries, {pairs} distinct pairs; "
        f"{found.context_tokens:,.0f} context tokens, up to {found.summary_tokens:,} summary tokens",
    ]


def forecast(
    summarizer: Any, reward_model: Any, args: PLUSConfig, prompt_tokens: Sequence[int], parts: int
) -> list[str]:
    """Write what an update will take on this machine, by `speed`: seconds by part, memory, and whether it fits."""
    found = work(args, prompt_tokens)
    writer, reader = speed(summarizer, found.summaries), speed(reward_model, seconds=SECONDS / 2)
    took = seconds(found, writer, reader, bool(args.beta))
    rows = max(found.scored * writer.kept / parts, min(args.reward_tokens_per_batch, found.reward_tokens) * reader.kept)
    held = resident(summarizer, reward_model, args, rows)
    remedy = (
        "lower --max_prompt_length, --per_device_train_batch_size or --reward_tokens_per_batch, add --use_peft "
        "with --lora_layers_to_transform, --reward_use_peft, or take a smaller reward model"
    )
    return [
        f"estimated    an update takes about {line(took)}, by passes of {SECONDS:.0f} s on this machine as it is now",
        *memory_lines(held, remedy),
    ]


def memory_lines(held: Mapping[str, float], remedy: str) -> list[str]:
    """Write what holds how many bytes; one more line with the remedy where the machine has too few."""
    needed, there = sum(held.values()), memory()
    by_part = ", ".join(f"{name} {value / GIB:.1f}" for name, value in held.items() if value > 0.05 * GIB)
    lines = [f"memory       about {needed / GIB:.1f} GiB of {there / GIB:.1f} GiB: {by_part}"]
    if needed > 0.95 * there:
        lines.append(
            f"it will not fit: about {needed / GIB:.1f} GiB are needed and {there / GIB:.1f} GiB are there; {remedy}"
        )
    return lines


def _fastest(run: Callable[[], Any], budget: float) -> float:
    """The least seconds of a call, as often as the budget allows and at least once after a first one that warms up."""
    began, best = time.perf_counter(), float("inf")
    run()
    while best == float("inf") or time.perf_counter() - began < budget:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def _backbone(model: Any) -> Any:
    """The model without its head, adapters included."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return inner.base_model


def _ids(model: Any, tokens: int) -> torch.Tensor:
    words = model.config.get_text_config().vocab_size
    return torch.arange(tokens, device=next(model.parameters()).device).remainder(words).unsqueeze(0)


def count(model: torch.nn.Module) -> tuple[int, int]:
    """Count the parameters of a model, and those that are trained."""
    return sum(p.numel() for p in model.parameters()), sum(p.numel() for p in model.parameters() if p.requires_grad)
