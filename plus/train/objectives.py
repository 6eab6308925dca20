"""Other ways to the same end, for the ablation: leave-one-out, and PPO with a value network.

Both take the KL to the reference as a cost inside the reward, as their papers do, where `loop.py`
adds it to the loss. One update a sampling, so no clip ever binds.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch

from plus.models.language_model import LanguageModelSummarizer
from plus.train.loop import Objective


def rloo(num_generations: int, beta: float) -> Objective:
    """REINFORCE, leave one out (arXiv 2402.14740): the baseline is the mean of the *other* G - 1
    rewards of the group; the whole text is one action, its log-probability the sum over tokens."""

    def objective(rewards_N, logprobs_NT, reference_logprobs_NT, mask_NT):
        log_ratio_N = ((logprobs_NT - reference_logprobs_NT).detach() * mask_NT).sum(1)
        groups_PG = (rewards_N - beta * log_ratio_N).view(-1, num_generations)
        others_PG = (groups_PG.sum(1, keepdim=True) - groups_PG) / (num_generations - 1)
        advantages_N = (groups_PG - others_PG).flatten()
        return -(advantages_N * (logprobs_NT * mask_NT).sum(1)).mean()

    return objective


class ValueBaseline:
    """PPO as in the PLUS paper: an `Objective` whose baseline is a value network over the tokens.

    The value network is a copy of the summarizer with a scalar head; it says at each token what
    reward the text will earn. Advantages are generalized (arXiv 1506.02438; gamma 1, lambda 0.95)
    and whitened over the batch. Its squared error is part of the loss: give `parameters()` to the
    same optimizer, in a group with its own learning rate.
    """

    def __init__(self, summarizer: LanguageModelSummarizer, beta: float, lam: float = 0.95) -> None:
        self.summarizer, self.beta, self.lam = summarizer, beta, lam
        self.backbone = copy.deepcopy(summarizer.model.base_model)
        self.head = torch.nn.Linear(summarizer.model.config.hidden_size, 1)
        torch.nn.init.zeros_(self.head.weight)  # At first it expects nothing, of anybody.

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """What the optimizer moves beside the summarizer."""
        yield from self.backbone.parameters()
        yield from self.head.parameters()

    def __call__(
        self,
        rewards_N: torch.Tensor,
        logprobs_NT: torch.Tensor,
        reference_logprobs_NT: torch.Tensor,
        mask_NT: torch.Tensor,
    ) -> torch.Tensor:
        """The summarizer's loss and the value network's, for the newest sample of the summarizer."""
        values_NT = self.values(mask_NT.shape[1])
        costs_NT = -self.beta * (logprobs_NT - reference_logprobs_NT).detach() * mask_NT
        token_rewards_NT = costs_NT + rewards_N.unsqueeze(1) * last_token(mask_NT)
        advantages_NT = generalized_advantages(token_rewards_NT, values_NT.detach(), mask_NT, self.lam)
        returns_NT = advantages_NT + values_NT.detach()
        count = mask_NT.sum()
        mean = (advantages_NT * mask_NT).sum() / count
        spread = (((advantages_NT - mean).square() * mask_NT).sum() / count).sqrt()
        whitened_NT = (advantages_NT - mean) / (spread + 1e-8)
        ratio_NT = torch.exp(logprobs_NT - logprobs_NT.detach())
        policy = -(whitened_NT * ratio_NT * mask_NT).sum() / count
        return policy + 0.5 * ((values_NT - returns_NT).square() * mask_NT).sum() / count

    def values(self, length: int) -> torch.Tensor:
        """What is expected before each of the `length` completion tokens: (N, T)."""
        if self.summarizer.sampled is None:
            raise ValueError("nothing was sampled yet; a value is that of a sampled text")
        ids_NL, attention_NL = self.summarizer.sampled
        positions_NL = (attention_NL.cumsum(1) - 1).clamp(min=0)
        hidden_NLD = self.backbone(
            input_ids=ids_NL, attention_mask=attention_NL, position_ids=positions_NL
        ).last_hidden_state
        return self.head(hidden_NLD[:, -length - 1 : -1]).squeeze(-1)


def last_token(mask_NT: torch.Tensor) -> torch.Tensor:
    """1 at each text's last token, 0 elsewhere: (N, T)."""
    return mask_NT - torch.nn.functional.pad(mask_NT[:, 1:], (0, 1))


def generalized_advantages(
    rewards_NT: torch.Tensor, values_NT: torch.Tensor, mask_NT: torch.Tensor, lam: float
) -> torch.Tensor:
    """GAE with gamma 1: A_t = d_t + lam * A_(t+1), d_t = r_t + V_(t+1) - V_t; nothing after the end."""
    values_NT = values_NT * mask_NT
    following_NT = torch.nn.functional.pad(values_NT[:, 1:], (0, 1))
    errors_NT = rewards_NT + following_NT - values_NT
    found, running_N = [], torch.zeros_like(rewards_NT[:, 0])
    for column in reversed(range(rewards_NT.shape[1])):
        running_N = (errors_NT[:, column] + lam * running_N) * mask_NT[:, column]
        found.append(running_N)
    return torch.stack(found[::-1], dim=1)
