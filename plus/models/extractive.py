"""PLUS without a language model: a summarizer that selects k past events and writes them down.

It cannot invent anything, trains in a minute on a CPU on real English, and `train/loop.py` trains it
like any other summarizer: a text and the log-probability of having written it.

A small network scores each event; k events are drawn one after the other, each in proportion to
exp(score) among those left (Plackett-Luce). Such a draw is the k largest of score + Gumbel noise
(Kool et al., arXiv 1903.06059), and its log-probability is exact:

    log pi(e1 ... ek) = sum_j  score(ej) - log sum of exp(score) over the events not yet drawn

The scorer never sees the target, as no summarizer does. The text holds the events in their own
order, so several draws write the same text; the policy gradient is that of the draw.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from plus.models.embeddings import Embeddings
from plus.models.event_reader import lines_once
from plus.prompts import event_lines, read_event_lines
from plus.types import UserHistory


def write(history: UserHistory, places: Sequence[int]) -> str:
    """The events at `places` as a text, oldest first."""
    return "\n".join(event_lines(history.events[place]) for place in sorted(places))


class ExtractiveSummarizer:
    """z = k events of the history: drawn while training (`sample`), the k best scored in use (`summarize`)."""

    def __init__(self, embeddings: Embeddings, k: int, hidden: int = 128) -> None:
        embeddings.ids(["a text"])
        self.embeddings, self.k = embeddings, k
        self.model = _Scorer(embeddings.size, hidden)
        self.known: dict[str, tuple[int, int]] = {}

    def events(self, histories: Sequence[UserHistory]) -> torch.Tensor:
        """(P, E, 2) table rows for and against each event, padded with -1."""
        contents = [event for history in histories for event in history.events]
        lines = [event_lines(event) for event in contents]
        if new := [line for line in dict.fromkeys(lines) if line not in self.known]:
            sides = [read_event_lines(line)[0] for line in new]
            ids = self.embeddings.ids(side for pair in sides for side in pair)
            self.known |= dict(zip(new, zip(ids[::2], ids[1::2], strict=True), strict=True))
        longest = max(1, *(len(history.events) for history in histories))
        rows, place = [], 0
        for history in histories:
            size = len(history.events)
            rows.append([self.known[line] for line in lines[place : place + size]] + [(-1, -1)] * (longest - size))
            place += size
        return torch.tensor(rows)

    def scores(self, histories: Sequence[UserHistory]) -> torch.Tensor:
        """(P, E) scores of the events, -inf where there is none."""
        events_PE2 = self.events(histories)
        return self.model(self.embeddings.table, events_PE2).masked_fill(events_PE2[..., 0] < 0, -torch.inf)

    @torch.no_grad()
    def summarize(self, histories: Sequence[UserHistory]) -> list[str]:
        """The k best scored events of each history, as a text."""
        if not histories:
            return []
        best_PK = self.scores(histories).argsort(dim=1, descending=True, stable=True)[:, : self.k]
        return [
            write(history, [place for place in places if place < len(history.events)])
            for history, places in zip(histories, best_PK.tolist(), strict=True)
        ]

    def sample(
        self, histories: Sequence[UserHistory], num_generations: int
    ) -> tuple[list[str], torch.Tensor, torch.Tensor, torch.Tensor]:
        """G draws per history for `train/loop.py`: texts_N, logprobs_NT (T = 1, with gradient), the
        log-probability under a uniform draw as the reference, and mask_NT."""
        scores_NE = self.scores(histories).repeat_interleave(num_generations, dim=0)
        drawn_NK = draw(scores_NE.detach(), self.k)
        owners = [history for history in histories for _ in range(num_generations)]
        texts = [
            write(history, [place for place in places if place < len(history.events)])
            for history, places in zip(owners, drawn_NK.tolist(), strict=True)
        ]
        logprobs_N = log_probability(scores_NE, drawn_NK)
        with torch.no_grad():
            uniform_N = log_probability(torch.where(scores_NE.isinf(), scores_NE, 0.0), drawn_NK)
        return texts, logprobs_N.unsqueeze(1), uniform_N.unsqueeze(1), torch.ones(len(texts), 1)


def draw(scores_NE: torch.Tensor, k: int) -> torch.Tensor:
    """k places of each row without replacement, in the order drawn (N, K); where a row has fewer
    events, places of no event fill the end."""
    noise_NE = -torch.empty_like(scores_NE).exponential_().log()  # Gumbel
    return (scores_NE + noise_NE).argsort(dim=1, descending=True)[:, :k]


def log_probability(scores_NE: torch.Tensor, drawn_NK: torch.Tensor) -> torch.Tensor:
    """log P of drawing these places in this order (N,). Places of no event (-inf) cost nothing."""
    drawn_scores_NK = scores_NE.gather(1, drawn_NK)
    taken_NE = torch.zeros_like(scores_NE)
    total_N = scores_NE.new_zeros(len(scores_NE))
    for place in range(drawn_NK.shape[1]):
        left_NE = scores_NE.masked_fill(taken_NE.bool(), -torch.inf)
        real_N = ~drawn_scores_NK[:, place].isinf()
        left_NE = torch.where(real_N.unsqueeze(1), left_NE, 0.0)  # No gradient through a row of -inf.
        score_N = torch.where(real_N, drawn_scores_NK[:, place], 0.0)
        total_N = total_N + (score_N - left_NE.logsumexp(1)) * real_N
        taken_NE = taken_NE.scatter(1, drawn_NK[:, place : place + 1], 1.0)
    return total_N


class _Scorer(nn.Module):
    """score(e) = network on the event + (A event) . (B mean of the user's events)."""

    def __init__(self, size: int, hidden: int, rank: int = 32) -> None:
        super().__init__()
        self.plus, self.minus = nn.Linear(size + 1, hidden), nn.Linear(size + 1, hidden, bias=False)
        self.last = nn.Linear(hidden, 1)
        self.mine, self.mean = nn.Linear(hidden, rank, bias=False), nn.Linear(hidden, rank)

    def forward(self, table_VD: torch.Tensor, events_PE2: torch.Tensor) -> torch.Tensor:
        real_PE = (events_PE2[..., 0] >= 0).float()
        event_FH, back_F = lines_once(table_VD, events_PE2.clamp(min=0).view(-1, 2), self.plus, self.minus)
        event_PEH = event_FH[back_F].view(*real_PE.shape, -1)
        mean_PH = (event_PEH * real_PE.unsqueeze(2)).sum(1) / real_PE.sum(1, keepdim=True).clamp(min=1)
        own_PE = self.last(event_FH)[back_F].view(real_PE.shape)
        match_PE = (self.mine(event_FH)[back_F].view(*real_PE.shape, -1) * self.mean(mean_PH).unsqueeze(1)).sum(2)
        return own_PE + match_PE / self.mean.out_features**0.5
