"""VPL: a user as a latent vector that is inferred from their past pairs.

Models: q(z | past pairs) = N(mu, sigma^2) from a network over (chosen, rejected) pairs, attention
among them, and their mean; P(chosen > rejected | z) = sigmoid(r(chosen, z) - r(rejected, z)).
Loss: -mean log sigmoid(margin) + w * KL(q || N(0, 1)), w rising from a tenth to the whole in cycles.
Reference: Poddar et al., variational preference learning, arXiv 2408.10075; written from its equations.
Relation to PLUS: the same information in a vector, which cannot be read, edited or given to another model.

Reactions become pairs as Polis targets do: liked answers against disliked ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from random import Random

import torch
from torch import nn
from torch.nn.functional import logsigmoid

from plus.baselines.methods import HeadRow
from plus.models.embeddings import Embeddings
from plus.sources.contexts import draw_targets
from plus.types import Context, Preference, UserHistory

PAST_PAIRS = 32
CYCLE = 200


class VPL:
    """Encoder of past pairs and decoder of rewards, on frozen embeddings.

    The embeddings are the sentence model's, or those of a reward model's backbone (`embeddings.backbone`).
    VPL's own implementation reads pairs frozen too.
    """

    def __init__(
        self, embeddings: Embeddings, latent: int = 32, hidden: int = 128, kl_weight: float = 1e-3, seed: int = 0
    ) -> None:
        self.embeddings, self.latent, self.kl_weight = embeddings, latent, kl_weight
        self.random = torch.Generator().manual_seed(seed)
        self.network = nn.ModuleDict({
            "pair": nn.Sequential(
                nn.Linear(2 * embeddings.size, hidden), nn.LeakyReLU(0.2),
                nn.Linear(hidden, hidden), nn.LeakyReLU(0.2),
            ),
            "attention": nn.MultiheadAttention(hidden, num_heads=1, batch_first=True),
            "posterior": nn.Linear(hidden, 2 * latent),
            "reward": nn.Sequential(
                nn.Linear(embeddings.size + latent, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1)
            ),
        })  # fmt: skip

    def parameters(self) -> Iterable[nn.Parameter]:
        """Return the parameters that are trained."""
        return self.network.parameters()

    def loss(self, contexts: Sequence[Context], step: int = 0) -> torch.Tensor:
        """Compute the loss on every pair of the batch, with z sampled once a user."""
        # z of each user, sampled with the gradient of its mean and variance.
        mean_PZ, logvar_PZ = self.posterior([context.history for context in contexts])
        noise_PZ = torch.randn(mean_PZ.shape, generator=self.random)
        z_PZ = mean_PZ + noise_PZ * (logvar_PZ / 2).exp()
        pairs = [pair for context in contexts for pair in context.pairs]
        user_B = torch.tensor([number for number, context in enumerate(contexts) for _ in context.pairs])
        # KL of two normals in closed form, (P,).
        kl_P = 0.5 * (mean_PZ.square() + logvar_PZ.exp() - 1 - logvar_PZ).sum(1)
        return -logsigmoid(self._margins(z_PZ[user_B], pairs)).mean() + self.kl_weight * annealing(step) * kl_P.mean()

    @torch.no_grad()
    def margins(self, histories: Sequence[UserHistory], pairs: Sequence[Preference]) -> list[float]:
        """Compute r(chosen, z) - r(rejected, z) of each pair, z the posterior mean of its history."""
        # Each distinct history is encoded once.
        unique = list({id(history): history for history in histories}.values())
        place = {id(history): number for number, history in enumerate(unique)}
        mean_PZ, _ = self.posterior(unique)
        return self._margins(mean_PZ[[place[id(history)] for history in histories]], pairs).tolist()

    def posterior(self, histories: Sequence[UserHistory]) -> tuple[torch.Tensor, torch.Tensor]:
        """Infer mean and log-variance of z, (P, Z) each; the prior's for a user without pairs."""
        past = [past_pairs(history) for history in histories]
        longest = max(1, *map(len, past))
        flat = [pair for pairs in past for pair in pairs]
        if not flat:
            zeros = torch.zeros(len(histories), self.latent)
            return zeros, zeros
        # All pairs at once (F), then sorted into a row a user (P, K).
        encoded_FH = self.network["pair"](torch.cat(self.embeddings.of_pairs(flat), dim=1))
        real_PK = torch.arange(longest) < torch.tensor([len(pairs) for pairs in past]).unsqueeze(1)
        pairs_PKH = encoded_FH.new_zeros(*real_PK.shape, encoded_FH.shape[1])
        pairs_PKH[real_PK] = encoded_FH
        some_P = real_PK.any(1)
        hide_PK = ~real_PK & some_P.unsqueeze(1)  # A row with nothing to attend to would be NaN.
        attended_PKH, _ = self.network["attention"](pairs_PKH, pairs_PKH, pairs_PKH, key_padding_mask=hide_PK)
        weight_PK1 = (real_PK / real_PK.sum(1, keepdim=True).clamp(min=1)).unsqueeze(2)
        both_PZ = self.network["posterior"]((attended_PKH * weight_PK1).sum(1)) * some_P.unsqueeze(1)
        mean_PZ, logvar_PZ = both_PZ.tanh().chunk(2, dim=1)  # Within -1 and 1, and never without a gradient.
        return mean_PZ, logvar_PZ

    def _margins(self, z_BZ: torch.Tensor, pairs: Sequence[Preference]) -> torch.Tensor:
        chosen_BD, rejected_BD = self.embeddings.of_pairs(pairs)
        reward = self.network["reward"]
        margin_B1: torch.Tensor = reward(torch.cat([chosen_BD, z_BZ], 1)) - reward(torch.cat([rejected_BD, z_BZ], 1))
        return margin_B1[:, 0]


def past_pairs(history: UserHistory, most: int = PAST_PAIRS) -> tuple[Preference, ...]:
    """Turn a history into at most `most` pairs, the same ones each time."""
    return draw_targets(history.events, (), Random(f"past-{history.user_id}-{len(history.events)}"), most)


def annealing(step: int, cycle: int = CYCLE) -> float:
    """Compute the weight of the KL: a cosine from 0.1 to 1 in each cycle."""
    return max(0.1, 0.5 * (1 - math.cos(math.pi * (step % cycle) / cycle)))


EMBEDDING_METHODS = LANGUAGE_MODEL_METHODS = {
    "vpl": HeadRow(22, lambda embeddings, users, seed: VPL(embeddings, seed=seed))
}
