"""Low rank: a few directions of taste, and a weight for each that is fitted to the user.

Models: P(chosen > rejected | w) = sigmoid(margin), margin = b(chosen) - b(rejected) + w . (q(chosen) - q(rejected)),
with b and the R directions q shared by all, and w the user's own R numbers.
Loss: -mean log sigmoid(margin) + |w|^2 / (2n) over the training users' pairs, jointly in b, q and every w.
A new user's w is the maximum of the same posterior on their past pairs alone, by Newton's method.
Reference: a low-rank reward basis, as in LoRe (arXiv 2504.14439); written from its equations.
Relation to PLUS: the strongest simple model of shared tastes; the user is R numbers instead of a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn.functional import logsigmoid

from plus.baselines.methods import HeadRow
from plus.baselines.vpl import past_pairs
from plus.models.embeddings import Embeddings
from plus.types import Context, Preference, UserHistory

PAST_PAIRS = 60
NEWTON_STEPS = 8


class LowRank:
    """Shared b and q on frozen embeddings, and one w for each of `users`."""

    def __init__(
        self, embeddings: Embeddings, users: Iterable[str], rank: int = 4, hidden: int = 128, prior: float = 5.0
    ) -> None:
        self.embeddings, self.rank, self.prior = embeddings, rank, prior
        self.places = {user: number for number, user in enumerate(dict.fromkeys(users))}
        self.network = nn.Sequential(nn.Linear(embeddings.size, hidden), nn.ReLU(), nn.Linear(hidden, rank + 1))
        self.weights_UR = nn.Parameter(0.1 * torch.randn(len(self.places), rank))

    def parameters(self) -> Iterable[nn.Parameter]:
        """Return the parameters that are trained: the network, and the training users' weights."""
        return [*self.network.parameters(), self.weights_UR]

    def loss(self, contexts: Sequence[Context], step: int = 0) -> torch.Tensor:
        """Compute the loss on every pair of the batch."""
        pairs = [pair for context in contexts for pair in context.pairs]
        user_B = torch.tensor([self.places[c.history.user_id] for c in contexts for _ in c.pairs])
        shared_B, directions_BR = self._differences(pairs)
        w_BR = self.weights_UR[user_B]
        margin_B = shared_B + (w_BR * directions_BR).sum(1)
        return -logsigmoid(margin_B).mean() + self.prior * w_BR.square().sum(1).mean() / (2 * PAST_PAIRS)

    @torch.no_grad()
    def margins(self, histories: Sequence[UserHistory], pairs: Sequence[Preference]) -> list[float]:
        """Compute each pair's margin with the w that its history supports."""
        # Each history is fitted once.
        unique = list({id(history): history for history in histories}.values())
        place = {id(history): number for number, history in enumerate(unique)}
        w_UR = torch.stack([self.weights_of(history) for history in unique])
        shared_B, directions_BR = self._differences(pairs)
        return (shared_B + (w_UR[[place[id(h)] for h in histories]] * directions_BR).sum(1)).tolist()

    @torch.no_grad()
    def weights_of(self, history: UserHistory) -> torch.Tensor:
        """Fit w (R,) of a user to their past pairs: zero without any."""
        past = past_pairs(history, PAST_PAIRS)
        w_R = torch.zeros(self.rank)
        if not past:
            return w_R
        shared_B, directions_BR = self._differences(past)
        # Newton steps on the log posterior, none longer than 1.
        for _ in range(NEWTON_STEPS):
            p_B = torch.sigmoid(shared_B + directions_BR @ w_R)
            gradient_R = directions_BR.T @ (1 - p_B) - self.prior * w_R
            # R x R: the curvature of the likelihood, the prior's added below.
            curvature_RR = (directions_BR * (p_B * (1 - p_B)).unsqueeze(1)).T @ directions_BR
            step_R = torch.linalg.solve(curvature_RR + self.prior * torch.eye(self.rank), gradient_R)
            w_R = w_R + step_R / max(1.0, step_R.norm().item())
        return w_R

    def _differences(self, pairs: Sequence[Preference]) -> tuple[torch.Tensor, torch.Tensor]:
        # (B, R + 1): the shared reward first, then the directions.
        chosen_BD, rejected_BD = self.embeddings.of_pairs(pairs)
        difference = self.network(chosen_BD) - self.network(rejected_BD)
        return difference[:, 0], difference[:, 1:]


EMBEDDING_METHODS = LANGUAGE_MODEL_METHODS = {
    "low_rank": HeadRow(23, lambda embeddings, users, seed: LowRank(embeddings, users))
}
