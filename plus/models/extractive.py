"""Summarizer of the select engine: it selects past events, and its text is their lines.

No language model: it cannot invent anything, trains in a minute on a CPU on real English, and
`train/loop.py` trains it like any other summarizer: a text and the log-probability of having written it.

A small network scores each event; k events are drawn one after the other, each in proportion
to exp(score) among those left (Plackett-Luce). Such a draw is the k largest of score + Gumbel noise
(Kool et al., arXiv 1903.06059), and its log-probability is exact:

    log pi(e1 ... ek) = sum_j  score(ej) - log sum of exp(score) over the events not yet drawn

The scorer never sees the target, as no summarizer does. The text holds the events in their own
order, so several draws write the same text; the policy gradient is that of the draw.

Shapes: P users, E events at most, K events drawn, N draws; V rows of the table, D numbers each; H hidden width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random

import torch
from torch import nn

from plus.models.embeddings import Embeddings, lines_once
from plus.models.shorten import EventLines
from plus.prompts import event_lines, read_event_lines
from plus.types import Event, UserHistory

KEPT = 100_000  # lines whose rows are remembered
WINDOW = 1024  # histories that are scored at a time
CUT = "events of summaries whose long answers were cut to some of their sentences; raise --max_completion_length"
Lines = Callable[[Event], str]


def write(history: UserHistory, places: Iterable[int], lines: Lines = event_lines) -> str:
    """Write the events at `places` as a text, oldest first."""
    return "\n".join(lines(history.events[place]) for place in sorted(places))


def random_selection(histories: Sequence[UserHistory], k: int, rng: Random, lines: Lines = event_lines) -> list[str]:
    """Write k events of each history (or all, where there are fewer), every set equally likely."""
    return [write(h, rng.sample(range(len(h.events)), min(k, len(h.events))), lines) for h in histories]


class ExtractiveSummarizer:
    """Summarizer z = k events of the history: drawn while training (`sample`), the k best scored in use.

    tokens: how long a summary may be; every event has an equal share of it. None writes long answers out.
    """

    def __init__(self, embeddings: Embeddings, k: int, hidden: int = 128, tokens: int | None = None) -> None:
        self.embeddings, self.k, self.tokens = embeddings, k, tokens
        self.model = _EventScorer(embeddings.size, hidden)
        self.lines = EventLines(None if tokens is None else tokens // k)
        self.sides: dict[str, tuple[int, int]] = {}
        self.cut: Counter[str] = Counter()  # events of the summaries in use that were cut
        self.trusted = True  # Whether validation users found the learned selection better than a random one.

    def scores(self, histories: Sequence[UserHistory]) -> torch.Tensor:
        """Score the events: (P, E), -inf where a history has none at that place."""
        return self._scores(self._lines(histories))

    @torch.no_grad()
    def summarize(self, histories: Sequence[UserHistory]) -> list[str]:
        """Write the k best scored events of each history as a text, or k random ones where selection is not trusted."""
        if not histories:
            return []
        lines = self._lines(histories)
        best_PK = self._places(histories, lines)
        for of_user, places in zip(lines, best_PK, strict=True):
            if cut := sum(self.lines.is_cut(of_user[place]) for place in places if place < len(of_user)):
                self.cut[CUT] += cut
        return [_text(of_user, places) for of_user, places in zip(lines, best_PK, strict=True)]

    @torch.no_grad()
    def places(self, histories: Sequence[UserHistory]) -> list[list[int]]:
        """Select as `summarize` does: the places of the events in each history, best first."""
        if not histories:
            return []
        chosen = self._places(histories, self._lines(histories))
        return [[place for place in of if place < len(h.events)] for h, of in zip(histories, chosen, strict=True)]

    def stream(self, histories: Sequence[UserHistory]) -> Iterator[tuple[int, str]]:
        """Yield (position, text) of each history, a window of histories at a time."""
        for start in range(0, len(histories), WINDOW):
            yield from enumerate(self.summarize(histories[start : start + WINDOW]), start)

    def sample(
        self, histories: Sequence[UserHistory], num_generations: int
    ) -> tuple[list[str], torch.Tensor, torch.Tensor, torch.Tensor]:
        """Sample G draws per history for `train/loop.py`: texts_N, logprobs_NT (T = 1, with gradient), the
        log-probability under a uniform draw as the reference, and mask_NT."""
        # Draws and their texts.
        lines = self._lines(histories)
        scores_NE = self._scores(lines).repeat_interleave(num_generations, dim=0)
        drawn_NK = draw(scores_NE.detach(), self.k)
        owners = [of_user for of_user in lines for _ in range(num_generations)]
        texts = [_text(of_user, places) for of_user, places in zip(owners, drawn_NK.tolist(), strict=True)]
        # Log-probabilities; under the reference every event is as likely as any other.
        logprobs_N = log_probability(scores_NE, drawn_NK)
        with torch.no_grad():
            uniform_N = log_probability(torch.where(scores_NE.isinf(), scores_NE, 0.0), drawn_NK)
        return texts, logprobs_N.unsqueeze(1), uniform_N.unsqueeze(1), torch.ones(len(texts), 1)

    def _places(self, histories: Sequence[UserHistory], lines: Sequence[Sequence[str]]) -> list[list[int]]:
        """The k best places of each history, best first; past its events where it has fewer."""
        if self.trusted:
            best_PE = self._scores(lines).argsort(dim=1, descending=True, stable=True)
            best_PK: list[list[int]] = best_PE[:, : self.k].tolist()
            return best_PK
        # The same draw for a user each time.
        sizes = [(Random(history.user_id), len(history.events)) for history in histories]
        return [rng.sample(range(size), min(self.k, size)) for rng, size in sizes]

    def _lines(self, histories: Sequence[UserHistory]) -> list[list[str]]:
        return [[self.lines(event) for event in history.events] for history in histories]

    def _scores(self, lines: Sequence[Sequence[str]]) -> torch.Tensor:
        if len(self.sides) > KEPT:
            self.sides.clear()
        if new := [line for of_user in lines for line in of_user if line not in self.sides]:
            sides = [read_event_lines(line)[0] for line in new]
            ids = self.embeddings.ids(side for pair in sides for side in pair)
            self.sides |= zip(new, zip(ids[::2], ids[1::2], strict=True), strict=True)
        longest = max(1, *map(len, lines))
        nothing = [(-1, -1)] * longest
        events_PE2 = torch.tensor(
            [[self.sides[line] for line in of_user] + nothing[len(of_user) :] for of_user in lines]
        )
        scores_PE: torch.Tensor = self.model(self.embeddings.table, events_PE2)
        return scores_PE.masked_fill(events_PE2[..., 0] < 0, -torch.inf)


def _text(lines: Sequence[str], places: Sequence[int]) -> str:
    """Places beyond the lines are those of no event."""
    return "\n".join(lines[place] for place in sorted(places) if place < len(lines))


def draw(scores_NE: torch.Tensor, k: int) -> torch.Tensor:
    """Draw k places of each row without replacement, in the order drawn (N, K); where a row has fewer
    events, places of no event fill the end."""
    noise_NE = -torch.empty_like(scores_NE).exponential_().log()  # Gumbel
    return (scores_NE + noise_NE).argsort(dim=1, descending=True)[:, :k]


def log_probability(scores_NE: torch.Tensor, drawn_NK: torch.Tensor) -> torch.Tensor:
    """Compute log P of drawing these places in this order (N,). Places of no event (-inf) cost nothing."""
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


class _EventScorer(nn.Module):
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
        scores_PE: torch.Tensor = own_PE + match_PE / self.mean.out_features**0.5
        return scores_PE
