"""DPL: one distribution of tastes for everyone, so that disagreement shows as spread.

Models: an answer's reward is a distribution over people, and nothing about the person is read.
    mean-variance  r ~ N(mu, sigma^2):  P(chosen > rejected) = Phi((mu_c - mu_r) / sqrt(sigma_c^2 + sigma_r^2))
    categorical    r in 10 steps:       P = sum over i, j of p_i q_j (1[i > j] + 1/2 1[i = j])
Loss: -mean log P; categorical also minus 0.1 times the entropy of the batch's mean distribution,
which keeps the steps in use.
Reference: Siththaranjan et al., distributional preference learning, arXiv 2312.08358.
Relation to PLUS: it says how much people differ, and not how: between two answers it always sides with the
same one, so on controversial pairs it cannot beat Bradley-Terry by design.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn.functional import softplus

from plus.baselines.methods import HeadRow
from plus.models.embeddings import Embeddings
from plus.types import Context, Preference

ATOMS = 10
ENTROPY = 0.1
FLOOR = 1e-6


class DPL:
    """Head on frozen embeddings with two outputs an answer (mean, spread) or ten (one a step)."""

    def __init__(
        self, embeddings: Embeddings, kind: Literal["mean_variance", "categorical"], hidden: int = 128
    ) -> None:
        self.embeddings, self.kind = embeddings, kind
        outputs = 2 if kind == "mean_variance" else ATOMS
        self.head = nn.Sequential(nn.Linear(embeddings.size, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    def parameters(self) -> Iterable[nn.Parameter]:
        """Return the parameters that are trained."""
        return self.head.parameters()

    def loss(self, contexts: Sequence[Context], step: int = 0) -> torch.Tensor:
        """Compute the loss on every pair of the batch."""
        outputs = self._outputs([pair for context in contexts for pair in context.pairs])
        value = -self._log_odds(*outputs)[0].mean()
        if self.kind == "categorical":
            # The entropy of the batch's mean distribution, which keeps the steps in use.
            mean_A = torch.cat(outputs).softmax(1).mean(0)
            value = value + ENTROPY * (mean_A * (mean_A + FLOOR).log()).sum()
        return value

    @torch.no_grad()
    def margins(self, pairs: Sequence[Preference]) -> list[float]:
        """Compute log P(chosen > rejected) - log P(rejected > chosen) of each pair."""
        right_B, wrong_B = self._log_odds(*self._outputs(pairs))
        return (right_B - wrong_B).tolist()

    def _outputs(self, pairs: Sequence[Preference]) -> tuple[torch.Tensor, torch.Tensor]:
        chosen_BD, rejected_BD = self.embeddings.of_pairs(pairs)
        return self.head(chosen_BD), self.head(rejected_BD)

    def _log_odds(self, chosen_BO: torch.Tensor, rejected_BO: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute log P of the choice and of its opposite, (B,) each."""
        return (normal if self.kind == "mean_variance" else categorical)(chosen_BO, rejected_BO)


def normal(chosen_B2: torch.Tensor, rejected_B2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute log P of both orders from means and spreads before softplus (the columns): (B,) each."""
    spread_B = (softplus(chosen_B2[:, 1]) ** 2 + softplus(rejected_B2[:, 1]) ** 2 + FLOOR).sqrt()
    z_B = (chosen_B2[:, 0] - rejected_B2[:, 0]) / spread_B
    return torch.special.log_ndtr(z_B), torch.special.log_ndtr(-z_B)


def categorical(chosen_BA: torch.Tensor, rejected_BA: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute log P of both orders from the logits of the steps, lowest first (the columns): (B,) each."""
    steps = chosen_BA.shape[1]
    # A higher step wins, an equal one wins one half.
    wins_AA = torch.ones(steps, steps).tril(-1) + 0.5 * torch.eye(steps)
    p_B = torch.einsum("bi,ij,bj->b", chosen_BA.softmax(1), wins_AA.to(chosen_BA), rejected_BA.softmax(1))
    p_B = p_B.clamp(FLOOR, 1 - FLOOR)
    return p_B.log(), (1 - p_B).log()


EMBEDDING_METHODS = LANGUAGE_MODEL_METHODS = {
    "dpl_mean_variance": HeadRow(20, lambda embeddings, users, seed: DPL(embeddings, "mean_variance"), personal=False),
    "dpl_categorical": HeadRow(21, lambda embeddings, users, seed: DPL(embeddings, "categorical"), personal=False),
}
