"""Three ways to climb the same goals without policy gradients: choose, imitate what was chosen, or learn from pairs.

All start from the same sample: n answers to each prompt, written by the policy as it is, and scored
by `goals.total`.

    best of n            answer n times and say the best: nothing is trained, every answer costs n
    rejection sampling   fine-tune on the best of each n                      (TRL's SFTTrainer)
    DPO                  learn from the pair (best, worst) of each n          (TRL's DPOTrainer)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import set_seed
from trl import DPOConfig, DPOTrainer

from plus.errors import RewardError
from plus.policy.model import Asked, Policy
from plus.policy.rewards import Goals
from plus.policy.rows import to_pairs
from plus.policy.trainer import PolicyConfig, adapters, fine_tune, local, merged, quiet


@dataclass(frozen=True)
class Ranked:
    """A prompt with the best and the worst of its n answers; `margin` is the difference of their totals."""

    asked: Asked
    best: str
    worst: str
    margin: float


def ranked(policy: Policy, asked: Sequence[Asked], goals: Goals, n: int = 8, seed: int = 0) -> list[Ranked]:
    """Sample n answers to each prompt and rank them by the goals."""
    texts = policy.answer(asked, n, seed=seed)
    repeated = [one for one in asked for _ in range(n)]
    totals = goals.total(goals.rewards(repeated, texts))
    found = []
    for number, one in enumerate(asked):
        rows = range(number * n, (number + 1) * n)
        best, worst = max(rows, key=totals.__getitem__), min(rows, key=totals.__getitem__)
        found.append(Ranked(one, texts[best], texts[worst], totals[best] - totals[worst]))
    return found


def best_of_n(policy: Policy, asked: Sequence[Asked], goals: Goals, n: int = 8, seed: int = 0) -> list[str]:
    """The best of n answers to each prompt, in order."""
    return [one.best for one in ranked(policy, asked, goals, n, seed)]


def rejection_sampling(
    policy: Policy, sample: Sequence[Ranked], config: PolicyConfig, epochs: float = 2.0, batch_size: int = 32
) -> None:
    """Fine-tune on the best answer to each prompt (RAFT, arXiv 2304.06767); the policy is changed in place."""
    fine_tune(policy, [one.asked for one in sample], [one.best for one in sample], config, epochs, batch_size)


def dpo(
    policy: Policy, sample: Sequence[Ranked], config: PolicyConfig, beta: float = 0.1, epochs: float = 2.0,
    batch_size: int = 32,
) -> None:  # fmt: skip
    """Direct preference optimisation (arXiv 2305.18290) on best against worst; the policy is changed in place.

    Prompts whose n answers are worth the same teach nothing and are left out. Raises RewardError
    where none is left.
    """
    told = [one for one in sample if one.margin > 0]
    if not told:
        raise RewardError("all answers to every prompt are worth the same, so there is no pair to learn from; sample more answers, or give a reward that tells them apart")  # fmt: skip
    rows = to_pairs([o.asked for o in told], [o.best for o in told], [o.worst for o in told], policy.tokenizer)
    options = local({
        "output_dir": str(config.output_dir), "num_train_epochs": epochs, "per_device_train_batch_size": batch_size,
        "learning_rate": config.learning_rate, "seed": config.seed, "beta": beta, "save_strategy": "no",
        "logging_strategy": "no", "lr_scheduler_type": "constant",
        "max_length": policy.room + policy.max_completion_length,
    })  # fmt: skip
    set_seed(config.seed)
    trainer = DPOTrainer(
        policy.model, args=DPOConfig(**options), train_dataset=rows, processing_class=policy.tokenizer,
        peft_config=adapters(policy, config),
    )  # fmt: skip
    quiet(trainer)
    trainer.train()
    policy.model = merged(trainer.model)
