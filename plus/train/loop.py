"""PLUS in plain torch: read this first, it is the whole method.

    for each update:
        1. take P users, each with a history (the context) and some later choices (the targets)
        2. the summarizer writes G summaries of each history                        N = P*G texts
        3. the reward model reads each summary and predicts the choices:
               reward_N = mean log sigmoid( r(chosen | summary) - r(rejected | summary) )
           and takes a Bradley-Terry step on the same numbers (`CoAdaptation`)
        4. the summaries that predicted better than the others of their user become likelier:
               advantage_N = (reward - mean of the user's G rewards) / std of all N rewards
               loss = mean over tokens of  -advantage * ratio  +  beta * KL to the reference

Step 4 is group-relative policy optimisation (GRPO, arXiv 2402.03300): PPO's objective with the
mean of the group as the baseline instead of a value network. One update is taken per sampling, so
the ratio is 1 and PPO's clip never binds; its gradient is the plain policy gradient.
`trainer.py` is the same method on TRL, and a test holds one step of each to equality.

Shapes: P users, G summaries a user, N = P*G, T completion tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch

from plus.train.coadapt import CoAdaptation, Row
from plus.types import Context, UserHistory


class Sampler(Protocol):
    """Summarizer in training: writes G texts per history and knows how likely each of its tokens was.

    Returns texts_N, logprobs_NT (with gradient), reference_logprobs_NT and mask_NT. A summarizer
    that is no language model returns T = 1: the log-probability of the whole text.
    """

    def __call__(
        self, histories: Sequence[UserHistory], num_generations: int
    ) -> tuple[list[str], torch.Tensor, torch.Tensor, torch.Tensor]: ...


def advantages(rewards_N: torch.Tensor, num_generations: int) -> torch.Tensor:
    """Compute reward minus the mean of its group, in units of the batch's standard deviation: (N,).

    Dividing by the batch's spread, not the group's, keeps steps small while the reward model is
    still noise, and lets them grow as it learns to tell one summary of a user from another.
    """
    groups_PG = rewards_N.view(-1, num_generations)  # (P, G)
    centred_PG = groups_PG - groups_PG.mean(dim=1, keepdim=True)
    count = len(rewards_N)
    variance = (rewards_N - rewards_N.mean()).square().mean() * (count / (count - 1))  # rounded as TRL rounds it
    return centred_PG.flatten() / (variance.sqrt() + 1e-4)


def policy_loss(
    logprobs_NT: torch.Tensor,
    reference_logprobs_NT: torch.Tensor,
    mask_NT: torch.Tensor,
    advantages_N: torch.Tensor,
    beta: float,
) -> torch.Tensor:
    """Compute -advantage * ratio + beta * KL, averaged over all completion tokens.

    The KL estimate is exp(d) - d - 1 with d = log reference - log policy: never negative, and
    unbiased (Schulman, http://joschu.net/blog/kl-approx.html).
    """
    ratio_NT = torch.exp(logprobs_NT - logprobs_NT.detach())  # 1, with the gradient of the log-probability
    difference_NT = reference_logprobs_NT - logprobs_NT
    kl_NT = torch.exp(difference_NT) - difference_NT - 1
    loss_NT = -advantages_N.unsqueeze(1) * ratio_NT + beta * kl_NT
    return (loss_NT * mask_NT).sum() / mask_NT.sum()


def step(
    sampler: Sampler, coadaptation: CoAdaptation, contexts: Sequence[Context], num_generations: int, beta: float
) -> tuple[torch.Tensor, dict[str, float]]:
    """Take steps 2 to 4 for P contexts; returns the summarizer's loss (not yet differentiated) and the metrics."""
    # 2. G summaries of each history.
    texts_N, logprobs_NT, reference_logprobs_NT, mask_NT = sampler([c.history for c in contexts], num_generations)
    # 3. Their rewards, and a Bradley-Terry step of the reward model.
    repeated = [context for context in contexts for _ in range(num_generations)]  # N
    rows = [Row(text, c.history.user_id, c.pairs) for text, c in zip(texts_N, repeated, strict=True)]
    rewards, metrics = coadaptation.update(rows)
    rewards_N = torch.tensor(rewards, device=logprobs_NT.device)  # (N,)
    metrics |= {"reward": rewards_N.mean().item(), "summary_length": mask_NT.sum(1).float().mean().item()}
    # 4. The summarizer's loss.
    advantages_N = advantages(rewards_N, num_generations)
    return policy_loss(logprobs_NT, reference_logprobs_NT, mask_NT, advantages_N, beta), metrics


def train(
    sampler: Sampler,
    optimizer: torch.optim.Optimizer,
    coadaptation: CoAdaptation,
    batches: Iterator[Sequence[Context]],
    max_steps: int,
    num_generations: int = 4,
    beta: float = 0.02,
    on_step: Callable[[int, dict[str, float]], None] = lambda step, metrics: None,
) -> None:
    """Train on the first `max_steps` of the batches (see `shuffled`); `on_step` receives each update's metrics."""
    for number in range(1, max_steps + 1):
        loss, metrics = step(sampler, coadaptation, next(batches), num_generations, beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        on_step(number, metrics | {"loss": loss.item()})


def shuffled(contexts: Sequence[Context], size: int, seed: int) -> Iterator[list[Context]]:
    """Yield endless batches of `size` contexts; every context comes once before any comes again."""
    rng = random.Random(f"order-{seed}")
    queue: list[Context] = []
    while True:
        while len(queue) < size:
            queue += rng.sample(contexts, len(contexts))
        yield queue[:size]
        queue = queue[size:]
