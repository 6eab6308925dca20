"""The method (PLUS, arXiv 2507.13579): one scoring pass that teaches both networks.

For a user's past choices, the summarizer writes summaries z. Given z, the reward model scores a
choice of the same user:

    margin         = r(x, chosen | z) - r(x, rejected | z)
    log_likelihood = log sigmoid(margin)                    # one number, used twice:
    reward of z    = log_likelihood, detached               -> the summarizer's policy gradient
    loss           = -mean(log_likelihood)                  -> a Bradley-Terry step of the reward model

`CoAdaptation` knows nothing of the trainer: it is a TRL reward function (`PLUSTrainer`, stock
`GRPOTrainer` and `RLOOTrainer` call it), and `loop.py` calls `update` directly.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn.functional import logsigmoid

from plus.measures import accuracy, margin, mean
from plus.train import distributed
from plus.types import Preference


@dataclass(frozen=True)
class Row:
    """Summary to be scored: its text, its user, the choices that can test it, and whether the reward model learns."""

    text: str
    user_id: str
    pairs: tuple[Preference, ...]
    train: bool = True


@dataclass(frozen=True)
class Item:
    """Scoring of a pair given a text; it counts for the reward of `row`, for the loss, or for both."""

    row: int
    text: str
    pair: Preference
    reward: bool
    loss: bool


class TrainableRewardModel(Protocol):
    """Reward model that can be trained: `RewardModel`, or `EmbeddingRewardModel` over frozen embeddings."""

    @property
    def model(self) -> torch.nn.Module:
        """The module that holds the weights."""
        ...

    def margins(self, texts: Sequence[str], pairs: Sequence[Preference]) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Yield (rows, margins) of one micro-batch at a time, with gradients when enabled."""
        ...

    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """Compute log sigmoid(margin) of each, without gradients."""
        ...


class CoAdaptation:
    """Reward of the summarizer: scores summaries and takes the reward model's step on the way.

    Only rows whose `train` is true (whose `split` column says "train") move the reward model: TRL
    calls reward functions in evaluation too, with no flag. The optimizer is a plain torch one,
    since a prepared optimizer skips steps under gradient accumulation (accelerate/optimizer.py).
    With several processes each scores its own rows, and all take the same step (`distributed.py`).
    """

    __name__ = "plus"  # TRL names a reward function's metrics after it.

    def __init__(
        self,
        reward_model: TrainableRewardModel,
        optimizer: torch.optim.Optimizer,
        scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
        pairs_per_user: int = 2,
        separate_pairs: bool = False,
        summary_dropout: float = 0.05,
        max_grad_norm: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.reward_model, self.optimizer, self.scheduler = reward_model, optimizer, scheduler
        self.pairs_per_user, self.separate_pairs = pairs_per_user, separate_pairs
        self.summary_dropout, self.max_grad_norm, self.seed = summary_dropout, max_grad_norm, seed
        self.updates = 0
        self.last: list[tuple[Row, float]] = []  # The rows of the newest call, with their rewards.

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        *,
        user_id: Sequence[str],
        pairs: Sequence[Sequence[dict[str, Any]]],
        split: Sequence[str],
        log_metric: Callable[[str, float], None] = lambda name, value: None,
        **columns: Any,
    ) -> list[float]:
        """Return one reward per completion, as TRL's reward functions do, from the columns of `train/trainer.py`."""
        texts = [text if isinstance(text, str) else text[-1]["content"] for text in completions]
        tests = [tuple(Preference(**pair) for pair in of_user) for of_user in pairs]
        rows = [Row(*row) for row in zip(texts, user_id, tests, (name == "train" for name in split), strict=True)]
        rewards, metrics = self.update(rows)
        for name, value in metrics.items():
            log_metric(name, value)
        return rewards

    def update(self, rows: Sequence[Row]) -> tuple[list[float], dict[str, float]]:
        """Score every row, step the reward model once, and return the rewards and metrics."""
        # One scoring pass, used twice: rewards, and the Bradley-Terry step.
        items = [item for number, row in enumerate(rows) for item in self.items(number, row)]
        metrics = self.controls(rows)  # Before the step, like the rewards.
        log_likelihood = self.step(items)  # Counts the update, on every process alike.
        # The reward of a summary: the mean over the pairs that test it.
        scores: dict[int, list[float]] = {number: [] for number in range(len(rows))}
        for item, value in zip(items, log_likelihood, strict=True):
            if item.reward:
                scores[item.row].append(value)
        rewards = [mean(values) for values in scores.values()]
        # Metrics: one summary a user, as in the controls.
        first = {row.user_id: number for number, row in reversed(list(enumerate(rows)))}
        own = [value for number in first.values() for value in scores[number]]
        metrics |= {"accuracy": accuracy(own), "margin": mean([margin(value) for value in own])}
        metrics["summary_gain"] = metrics["accuracy"] - metrics["accuracy_other"]
        losses = [-value for item, value in zip(items, log_likelihood, strict=True) if item.loss]
        metrics |= {"reward_model_loss": mean(losses)} if losses else {}
        self.last = list(zip(rows, rewards, strict=True))
        return rewards, metrics

    def items(self, number: int, row: Row) -> list[Item]:
        """Draw the pairs that test this summary: the same for all G summaries of a user in one update.

        With `separate_pairs` the reward and the loss never see the same pair, so that a memorised
        pair earns nothing. Summary dropout replaces the text by nothing in the loss alone: it keeps
        the empty summary on the training distribution without rewarding a summary for it.
        """
        wanted = self.pairs_per_user * (2 if self.separate_pairs else 1)
        drawn = list(row.pairs)
        if wanted < len(drawn) or self.separate_pairs:
            drawn = random.Random(f"{self.seed}/{self.updates}/{row.user_id}").sample(drawn, min(wanted, len(drawn)))
        half = len(drawn) // 2
        for_reward, for_loss = (drawn[:half], drawn[half:]) if self.separate_pairs and half else (drawn, drawn)
        dropped = random.Random(f"{self.seed}/{self.updates}/{number}").random() < self.summary_dropout
        shared = row.train and for_reward == for_loss and not dropped
        items = [Item(number, row.text, pair, reward=True, loss=shared) for pair in for_reward]
        if row.train and not shared:
            items += [Item(number, "" if dropped else row.text, pair, reward=False, loss=True) for pair in for_loss]
        return items

    def step(self, items: Sequence[Item]) -> list[float]:
        """Compute log sigmoid(margin) of every item; take one optimizer step on the mean over those in the loss.

        Equal items are scored once and weighted: the G summaries of a user are often the same text.
        """
        trained = [p for p in self.reward_model.model.parameters() if p.requires_grad]
        count = distributed.total(sum(item.loss for item in items), trained[0].device)  # over all processes
        # Equal items share one scoring.
        unique: dict[tuple[str, Preference], list[int]] = {}
        for number, item in enumerate(items):
            unique.setdefault((item.text, item.pair), []).append(number)
        groups, values = list(unique.values()), [0.0] * len(items)
        # Forward and backward, a micro-batch at a time: its part of -mean(log_likelihood).
        with torch.set_grad_enabled(count > 0):
            for batch, margin_B in self.reward_model.margins(*zip(*unique, strict=True)):
                log_likelihood_B = logsigmoid(margin_B)  # (B,)
                if count:
                    weight_B = margin_B.new_tensor(
                        [sum(items[i].loss for i in groups[row]) / count for row in batch]
                    )  # (B,)
                    (-(weight_B * log_likelihood_B).sum()).backward()
                for row, value in zip(batch, logsigmoid(margin_B.detach().double()).tolist(), strict=True):
                    for number in groups[row]:
                        values[number] = value
        # The step, the same in every process.
        if count:
            distributed.sum_gradients(trained)
            if self.max_grad_norm > 0:
                torch.nn.utils.clip_grad_norm_(trained, self.max_grad_norm)
            self.optimizer.step()
            self.optimizer.zero_grad()
            if self.scheduler is not None:
                self.scheduler.step()
            self.updates += 1
        return values

    def controls(self, rows: Sequence[Row]) -> dict[str, float]:
        """Measure whether the reward model reads: accuracy on the same choices with no summary, and with the
        summary of another user of the batch; one summary a user, no gradient."""
        users = list({row.user_id: row for row in reversed(rows)}.values())
        pairs = [[item.pair for item in self.items(0, user) if item.reward] for user in users]
        flat = [pair for of_user in pairs for pair in of_user]
        borrowed = [other.text for other, of_user in zip(users[1:] + users[:1], pairs, strict=True) for _ in of_user]
        return {
            "accuracy_empty": accuracy(self.reward_model.log_likelihood([""] * len(flat), flat)),
            "accuracy_other": accuracy(self.reward_model.log_likelihood(borrowed, flat)),
            "distinct_summaries": len({row.text for row in rows}) / len(rows),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all state but the weights: optimizer, scheduler and the number of updates."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.updates = state["updates"]
