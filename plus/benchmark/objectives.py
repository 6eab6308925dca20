"""Variants of the method for experiments: objectives of the ablation, and a reward model that reads two writers.

The objectives are group baselines at three scales, leave-one-out, and PPO with a value network.
`plus/train/loop.py` has the method's own objective alone; `train` here is the same loop with any of these.
Leave-one-out and PPO take the KL to the reference as a cost inside the reward, as their papers do, where
`loop.py` adds it to the loss. One update a sampling, so no clip ever binds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch

from plus.models.language_model import LanguageModelSummarizer
from plus.train.coadapt import CoAdaptation, Row
from plus.train.loop import Sampler, advantages, policy_loss
from plus.types import Context

# From rewards_N, logprobs_NT, reference_logprobs_NT and mask_NT to the summarizer's loss.
Objective = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
Scale = Literal["batch", "group", "none"]


def train(
    objective: Objective,
    sampler: Sampler,
    optimizer: torch.optim.Optimizer,
    coadaptation: CoAdaptation,
    batches: Iterator[Sequence[Context]],
    max_steps: int,
    num_generations: int,
    on_step: Callable[[int, dict[str, float]], None],
) -> None:
    """Train as `loop.train` does, with the summarizer's loss from `objective`."""
    for number in range(1, max_steps + 1):
        contexts = next(batches)
        texts_N, logprobs_NT, reference_logprobs_NT, mask_NT = sampler([c.history for c in contexts], num_generations)
        repeated = [context for context in contexts for _ in range(num_generations)]  # N
        rows = [Row(text, c.history.user_id, c.pairs) for text, c in zip(texts_N, repeated, strict=True)]
        rewards, metrics = coadaptation.update(rows)
        rewards_N = torch.tensor(rewards, device=logprobs_NT.device)  # (N,)
        loss = objective(rewards_N, logprobs_NT, reference_logprobs_NT, mask_NT)
        metrics |= {"reward": rewards_N.mean().item(), "summary_length": mask_NT.sum(1).float().mean().item()}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        on_step(number, metrics | {"loss": loss.item()})


def grpo(num_generations: int, beta: float, scale: Scale = "batch") -> Objective:
    """Return the objective of `loop.step`, its advantages in units of `scale` (TRL's `scale_rewards`)."""

    def objective(
        rewards_N: torch.Tensor, logprobs_NT: torch.Tensor, reference_logprobs_NT: torch.Tensor, mask_NT: torch.Tensor
    ) -> torch.Tensor:
        advantages_N = scaled_advantages(rewards_N, num_generations, scale)
        return policy_loss(logprobs_NT, reference_logprobs_NT, mask_NT, advantages_N, beta)

    return objective


def scaled_advantages(rewards_N: torch.Tensor, num_generations: int, scale: Scale) -> torch.Tensor:
    """Compute reward minus the mean of its group, in units of the batch's spread, the group's, or 1: (N,)."""
    if scale == "batch":
        return advantages(rewards_N, num_generations)
    groups_PG = rewards_N.view(-1, num_generations)  # (P, G)
    centred_PG = groups_PG - groups_PG.mean(dim=1, keepdim=True)
    if scale == "none":
        return centred_PG.flatten()
    return (centred_PG / (groups_PG.std(dim=1, keepdim=True) + 1e-4)).flatten()


def rloo(num_generations: int, beta: float) -> Objective:
    """Return REINFORCE, leave one out (arXiv 2402.14740).

    The baseline is the mean of the *other* G - 1 rewards of the group; the whole text is one action, its
    log-probability the sum over tokens.
    """

    def objective(
        rewards_N: torch.Tensor, logprobs_NT: torch.Tensor, reference_logprobs_NT: torch.Tensor, mask_NT: torch.Tensor
    ) -> torch.Tensor:
        log_ratio_N = ((logprobs_NT - reference_logprobs_NT).detach() * mask_NT).sum(1)
        groups_PG = (rewards_N - beta * log_ratio_N).view(-1, num_generations)
        others_PG = (groups_PG.sum(1, keepdim=True) - groups_PG) / (num_generations - 1)
        advantages_N = (groups_PG - others_PG).flatten()
        return -(advantages_N * (logprobs_NT * mask_NT).sum(1)).mean()

    return objective


class ValueBaseline:
    """Objective of PPO as in the PLUS paper: the baseline is a value network over the tokens.

    The value network is a copy of the summarizer with a scalar head that predicts, at each token, the reward of
    the text. Advantages are generalized (arXiv 1506.02438; gamma 1, lambda 0.95) and whitened over the batch.
    Its squared error is part of the loss: give `parameters()` to the same optimizer, in a group with its own
    learning rate.
    """

    def __init__(self, summarizer: LanguageModelSummarizer, beta: float, lam: float = 0.95) -> None:
        self.summarizer, self.beta, self.lam = summarizer, beta, lam
        self.backbone = copy.deepcopy(summarizer.model.base_model)
        self.head = torch.nn.Linear(summarizer.model.config.hidden_size, 1)
        torch.nn.init.zeros_(self.head.weight)  # At first the expected reward is the same for every text.

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Yield the value network's parameters, which the optimizer moves beside the summarizer's."""
        yield from self.backbone.parameters()
        yield from self.head.parameters()

    def __call__(
        self,
        rewards_N: torch.Tensor,
        logprobs_NT: torch.Tensor,
        reference_logprobs_NT: torch.Tensor,
        mask_NT: torch.Tensor,
    ) -> torch.Tensor:
        """Compute the summarizer's loss plus the value network's, for the newest sample of the summarizer."""
        # Rewards by token: the KL at each, the text's reward at its last.
        values_NT = self.values(mask_NT.shape[1])
        costs_NT = -self.beta * (logprobs_NT - reference_logprobs_NT).detach() * mask_NT
        token_rewards_NT = costs_NT + rewards_N.unsqueeze(1) * last_token(mask_NT)
        # Advantages, whitened over all tokens of the batch.
        advantages_NT = generalized_advantages(token_rewards_NT, values_NT.detach(), mask_NT, self.lam)
        returns_NT = advantages_NT + values_NT.detach()
        count = mask_NT.sum()
        mean = (advantages_NT * mask_NT).sum() / count
        spread = (((advantages_NT - mean).square() * mask_NT).sum() / count).sqrt()
        whitened_NT = (advantages_NT - mean) / (spread + 1e-8)
        # The policy's loss and half the value network's squared error.
        ratio_NT = torch.exp(logprobs_NT - logprobs_NT.detach())
        policy = -(whitened_NT * ratio_NT * mask_NT).sum() / count
        return policy + 0.5 * ((values_NT - returns_NT).square() * mask_NT).sum() / count

    def values(self, length: int) -> torch.Tensor:
        """Predict the text's reward before each of the `length` completion tokens: (N, T)."""
        if self.summarizer.sampled is None:
            raise ValueError("nothing was sampled yet; a value is that of a sampled text")
        ids_NL, attention_NL = self.summarizer.sampled
        positions_NL = (attention_NL.cumsum(1) - 1).clamp(min=0)
        hidden_NLD = self.backbone(
            input_ids=ids_NL, attention_mask=attention_NL, position_ids=positions_NL
        ).last_hidden_state
        values_NT: torch.Tensor = self.head(hidden_NLD[:, -length - 1 : -1]).squeeze(-1)
        return values_NT


def last_token(mask_NT: torch.Tensor) -> torch.Tensor:
    """Mark each text's last token with 1, all others with 0: (N, T)."""
    return mask_NT - torch.nn.functional.pad(mask_NT[:, 1:], (0, 1))


def generalized_advantages(
    rewards_NT: torch.Tensor, values_NT: torch.Tensor, mask_NT: torch.Tensor, lam: float
) -> torch.Tensor:
    """Compute GAE with gamma 1: A_t = d_t + lam * A_(t+1), d_t = r_t + V_(t+1) - V_t; nothing after the end."""
    values_NT = values_NT * mask_NT
    following_NT = torch.nn.functional.pad(values_NT[:, 1:], (0, 1))
    errors_NT = rewards_NT + following_NT - values_NT
    found, running_N = [], torch.zeros_like(rewards_NT[:, 0])
    for column in reversed(range(rewards_NT.shape[1])):
        running_N = (errors_NT[:, column] + lam * running_N) * mask_NT[:, column]
        found.append(running_N)
    return torch.stack(found[::-1], dim=1)
