"""Training of a response policy without policy gradients: fine-tuning, best of n, rejection sampling, DPO.

The last three start from the same sample: n answers to each prompt, written by the policy as it is and scored by
`Goals.total`.

    best of n            the best of n answers is given: nothing is trained, every answer costs n
    rejection sampling   fine-tune on the best of each n                      (TRL's SFTTrainer)
    DPO                  learn from the pair (best, worst) of each n          (TRL's DPOTrainer)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase, set_seed
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from plus.errors import RewardError
from plus.policy.model import Policy, UserPrompt, merge_adapters, prompt_column
from plus.policy.rewards import Goals
from plus.policy.trainer import PolicyConfig, adapter_config, local_options, quiet


@dataclass(frozen=True)
class Ranked:
    """Prompt with the best and the worst of its n answers; `margin` is the difference of their totals."""

    prompt: UserPrompt
    best: str
    worst: str
    margin: float


def ranked(policy: Policy, prompts: Sequence[UserPrompt], goals: Goals, n: int = 8, seed: int = 0) -> list[Ranked]:
    """Sample n answers to each prompt and rank them by the goals."""
    texts = policy.answer(prompts, n, seed=seed)
    totals = goals.total(goals.rewards([one for one in prompts for _ in range(n)], texts))
    # The n answers of a prompt lie side by side.
    found = []
    for number, one in enumerate(prompts):
        rows = range(number * n, (number + 1) * n)
        best, worst = max(rows, key=totals.__getitem__), min(rows, key=totals.__getitem__)
        found.append(Ranked(one, texts[best], texts[worst], totals[best] - totals[worst]))
    return found


def best_of_n(policy: Policy, prompts: Sequence[UserPrompt], goals: Goals, n: int = 8, seed: int = 0) -> list[str]:
    """Sample n answers to each prompt and return the best of each, in order."""
    return [one.best for one in ranked(policy, prompts, goals, n, seed)]


def fine_tune(
    policy: Policy,
    prompts: Sequence[UserPrompt],
    texts: Sequence[str],
    config: PolicyConfig,
    epochs: float = 1.0,
    batch_size: int = 32,
) -> None:
    """Fine-tune on answers; the policy is changed in place."""
    rows = [
        {"prompt": prompt_column(one, policy.tokenizer), "completion": _answer_column(text, policy.tokenizer)}
        for one, text in zip(prompts, texts, strict=True)
    ]
    set_seed(config.seed)
    trainer = SFTTrainer(
        policy.model, args=SFTConfig(**_options(policy, config, epochs, batch_size)),
        train_dataset=Dataset.from_list(rows), processing_class=policy.tokenizer,
        peft_config=adapter_config(policy, config), callbacks=[],
    )  # fmt: skip
    quiet(trainer)
    trainer.train()
    policy.model = merge_adapters(trainer.model)


def rejection_sampling(
    policy: Policy, sample: Sequence[Ranked], config: PolicyConfig, epochs: float = 2.0, batch_size: int = 32
) -> None:
    """Fine-tune on the best answer to each prompt (RAFT, arXiv 2304.06767); the policy is changed in place."""
    fine_tune(policy, [one.prompt for one in sample], [one.best for one in sample], config, epochs, batch_size)


def dpo(
    policy: Policy,
    sample: Sequence[Ranked],
    config: PolicyConfig,
    beta: float = 0.1,
    epochs: float = 2.0,
    batch_size: int = 32,
) -> None:
    """Train by direct preference optimisation (arXiv 2305.18290) on best against worst; changes the policy in place.

    Prompts whose n answers have equal totals are left out. Raises RewardError where none is left.
    """
    # Equal totals say nothing about which answer is better.
    pairs = [one for one in sample if one.margin > 0]
    if not pairs:
        raise RewardError(
            "all answers to every prompt are worth the same, so there is no pair to learn from; sample more answers, "
            "or give a reward that tells them apart"
        )
    rows = [
        {
            "prompt": prompt_column(one.prompt, policy.tokenizer),
            "chosen": _answer_column(one.best, policy.tokenizer),
            "rejected": _answer_column(one.worst, policy.tokenizer),
        }
        for one in pairs
    ]
    set_seed(config.seed)
    trainer = DPOTrainer(
        policy.model, args=DPOConfig(**_options(policy, config, epochs, batch_size), beta=beta),
        train_dataset=Dataset.from_list(rows), processing_class=policy.tokenizer,
        peft_config=adapter_config(policy, config),
    )  # fmt: skip
    quiet(trainer)
    trainer.train()
    policy.model = merge_adapters(trainer.model)


def _options(policy: Policy, config: PolicyConfig, epochs: float, batch_size: int) -> dict[str, Any]:
    """Options that fine-tuning and DPO share."""
    return local_options({
        "output_dir": str(config.output_dir), "num_train_epochs": epochs, "per_device_train_batch_size": batch_size,
        "learning_rate": config.learning_rate, "seed": config.seed, "save_strategy": "no", "logging_strategy": "no",
        "lr_scheduler_type": "constant", "max_length": policy.room + policy.max_completion_length,
    })  # fmt: skip


def _answer_column(text: str, tokenizer: PreTrainedTokenizerBase) -> Any:
    return [{"role": "assistant", "content": text}] if tokenizer.chat_template is not None else text
