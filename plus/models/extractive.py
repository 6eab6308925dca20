"""Select engine: a summarizer that selects past events, and the reward model over embeddings that reads them.

No language model: it cannot invent anything, trains in a minute on a CPU on real English, and
`train/loop.py` trains it like any other summarizer: a text and the log-probability of having written it.

*Summarizer.* A small network scores each event; k events are drawn one after the other, each in proportion
to exp(score) among those left (Plackett-Luce). Such a draw is the k largest of score + Gumbel noise
(Kool et al., arXiv 1903.06059), and its log-probability is exact:

    log pi(e1 ... ek) = sum_j  score(ej) - log sum of exp(score) over the events not yet drawn

The scorer never sees the target, as no summarizer does. The text holds the events in their own
order, so several draws write the same text; the policy gradient is that of the draw.

*Reward model.*    r(answer | text) = b(answer) + q(answer) . z(text)

b and q are a small network on the answer's embedding, z the mean of a small network over the lines of the
text ("Agreed: ...", "Chose: ... / Over: ..."). An empty text has z = 0, which leaves b: Bradley-Terry.

A network on 384 numbers learns a few hundred answers by heart, and its values for any other answer are
noise. An answer that stood in no training row therefore borrows: its b and q are the mean over the
training answers, weighted by how similar they read,

    (b, q)(new) = sum over training answers a of softmax(sharpness * cos(new, a)) (b, q)(a)

and in training a part of the pairs is read that way too (without the answer itself), so that b and q become
smooth enough to be borrowed.

Shapes: P users, E events at most, K events drawn, N draws; V rows of the table, D numbers each; U texts,
B pairs, F lines; H and W hidden widths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from random import Random

import torch
from torch import nn
from torch.nn.functional import embedding_bag, logsigmoid, normalize

from plus.models.embeddings import Embeddings, lines_once
from plus.prompts import OVER, event_lines, read_event_lines
from plus.types import Preference, Prompt, UserHistory

KEPT = 100_000  # lines that are remembered
WINDOW = 1024  # histories that are scored at a time


def write(history: UserHistory, places: Iterable[int]) -> str:
    """Write the events at `places` as a text, oldest first."""
    return "\n".join(event_lines(history.events[place]) for place in sorted(places))


def random_selection(histories: Sequence[UserHistory], k: int, rng: Random) -> list[str]:
    """Write k events of each history (or all, where there are fewer), every set equally likely."""
    return [write(h, rng.sample(range(len(h.events)), min(k, len(h.events)))) for h in histories]


class ExtractiveSummarizer:
    """Summarizer z = k events of the history: drawn while training (`sample`), the k best scored in use."""

    def __init__(self, embeddings: Embeddings, k: int, hidden: int = 128) -> None:
        self.embeddings, self.k = embeddings, k
        self.model = _EventScorer(embeddings.size, hidden)
        self.sides: dict[str, tuple[int, int]] = {}
        self.cut: Counter[str] = Counter()  # histories that lost events, by reason: this summarizer reads all
        self.trusted = True  # Whether validation users found the learned selection better than a random one.

    def scores(self, histories: Sequence[UserHistory]) -> torch.Tensor:
        """Score the events: (P, E), -inf where a history has none at that place."""
        return self._scores([[event_lines(event) for event in history.events] for history in histories])

    @torch.no_grad()
    def summarize(self, histories: Sequence[UserHistory]) -> list[str]:
        """Write the k best scored events of each history as a text, or k random ones where selection is not trusted."""
        if not histories:
            return []
        if not self.trusted:  # The same draw for a user each time.
            return [random_selection([history], self.k, Random(history.user_id))[0] for history in histories]
        lines = [[event_lines(event) for event in history.events] for history in histories]
        best_PK = self._scores(lines).argsort(dim=1, descending=True, stable=True)[:, : self.k]
        return [_text(of_user, places) for of_user, places in zip(lines, best_PK.tolist(), strict=True)]

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
        lines = [[event_lines(event) for event in history.events] for history in histories]
        scores_NE = self._scores(lines).repeat_interleave(num_generations, dim=0)
        drawn_NK = draw(scores_NE.detach(), self.k)
        owners = [of_user for of_user in lines for _ in range(num_generations)]
        texts = [_text(of_user, places) for of_user, places in zip(owners, drawn_NK.tolist(), strict=True)]
        # Log-probabilities; under the reference every event is as likely as any other.
        logprobs_N = log_probability(scores_NE, drawn_NK)
        with torch.no_grad():
            uniform_N = log_probability(torch.where(scores_NE.isinf(), scores_NE, 0.0), drawn_NK)
        return texts, logprobs_N.unsqueeze(1), uniform_N.unsqueeze(1), torch.ones(len(texts), 1)

    def _scores(self, lines: Sequence[Sequence[str]]) -> torch.Tensor:
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


class EmbeddingRewardModel:
    """Reward model r(answer | text) with the interface of `RewardModel`: `model`, `margins`, `log_likelihood`.

    `known` holds the answers of the training rows, and `borrow` is the share of training pairs whose
    answers borrow like new ones; with 0 no answer ever does. With `label_as_text` every line is embedded
    as it stands, label included, and its meaning is the sentence model's.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        known: Collection[str],
        borrow: float = 0.0,
        label_as_text: bool = False,
        width: int = 64,
        hidden: int = 128,
    ) -> None:
        self.known = torch.tensor(sorted(set(embeddings.ids(known))), dtype=torch.long)
        self.embeddings, self.borrow, self.label_as_text = embeddings, borrow, label_as_text
        self.model = _RewardNetwork(embeddings.size, width, hidden)
        self.lines: dict[str, tuple[int, int]] = {}

    def margins(self, texts: Sequence[str], pairs: Sequence[Preference]) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Yield (rows, margins) in one batch: margin = r(chosen | text) - r(rejected | text)."""
        # Each distinct text is read once.
        unique = list(dict.fromkeys(texts))
        place = {text: number for number, text in enumerate(unique)}
        events = self._events(unique)
        # The pairs as rows of the table, and which of their answers borrow.
        answers_B2 = torch.tensor(
            [self.embeddings.ids(pair.chosen for pair in pairs), self.embeddings.ids(pair.rejected for pair in pairs)]
        ).T
        text_B = torch.tensor([place[text] for text in texts])
        new_B2 = self._new(answers_B2)
        margin_B = self.model(self.embeddings.table, events, text_B, answers_B2, new_B2, self.known)
        yield list(range(len(pairs))), margin_B

    @torch.no_grad()
    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """Compute log sigmoid(margin) for each (text, pair), without gradients (the `Scorer` protocol)."""
        if not pairs:
            return []
        ((_, margin_B),) = self.margins(texts, pairs)
        values: list[float] = logsigmoid(margin_B.double()).tolist()
        return values

    @torch.no_grad()
    def rewards(self, triples: Sequence[tuple[str, Prompt, str]]) -> list[float]:
        """Score answers: r(answer | text) for each (text, prompt, answer). The prompt is not read."""
        if not triples:
            return []
        unique = list(dict.fromkeys(text for text, _, _ in triples))
        place = {text: number for number, text in enumerate(unique)}
        events, text_B = self._events(unique), torch.tensor([place[text] for text, _, _ in triples])
        answers_B = torch.tensor(self.embeddings.ids(answer for _, _, answer in triples))
        table_VD = self.embeddings.table
        answer_BW = self.model.answers(table_VD, answers_B, self._new(answers_B), self.known)
        z_BW = self.model.people(table_VD, events)[text_B]
        values: list[float] = (answer_BW[:, 0] + (answer_BW[:, 1:] * z_BW).sum(1)).tolist()
        return values

    def _events(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """Embedding rows of what each text's lines speak for and against, (lines, 2); row 0 is nothing."""
        return [torch.tensor(self._rows(text), dtype=torch.long).view(-1, 2) for text in texts]

    def _rows(self, text: str) -> list[tuple[int, int]]:
        if OVER not in text:  # Then every line stands alone, and most have been met before.
            lines = [line for line in text.split("\n") if line.strip()]
            if len(self.lines) > KEPT:
                self.lines.clear()
            if new := [line for line in lines if line not in self.lines]:
                self.lines |= zip(new, (self._read(line)[0] for line in new), strict=True)
            return [self.lines[line] for line in lines]
        return self._read(text)

    def _read(self, text: str) -> list[tuple[int, int]]:
        sides = [(line, "") for line in text.split("\n")] if self.label_as_text else read_event_lines(text)
        rows = self.embeddings.ids(side for pair in sides for side in pair)
        return list(zip(rows[::2], rows[1::2], strict=True))

    def _new(self, answers_B2: torch.Tensor) -> torch.Tensor:
        """(B, 2): true where an answer borrows. In training both answers of a pair do, or neither."""
        if not self.borrow:
            return torch.zeros_like(answers_B2, dtype=torch.bool)
        if torch.is_grad_enabled():
            return (torch.rand(len(answers_B2), 1) < self.borrow).expand(-1, 2)
        return ~torch.isin(answers_B2, self.known)


class _RewardNetwork(nn.Module):
    """b, q and z."""

    def __init__(self, size: int, width: int, hidden: int, sharpness: float = 10.0) -> None:
        super().__init__()
        self.plus, self.minus = nn.Linear(size + 1, hidden), nn.Linear(size + 1, hidden, bias=False)
        self.person = nn.Linear(hidden, width)
        self.deeper = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.answer = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, width + 1))
        self.sharpness = sharpness

    def forward(
        self,
        table_VD: torch.Tensor,
        events: Sequence[torch.Tensor],
        text_B: torch.Tensor,
        answers_B2: torch.Tensor,
        new_B2: torch.Tensor,
        known_K: torch.Tensor,
    ) -> torch.Tensor:
        """Compute margins (B,)."""
        answer_B2W = self.answers(table_VD, answers_B2, new_B2, known_K)
        # Their difference, and the user's part of it.
        difference_BW = answer_B2W[:, 0] - answer_B2W[:, 1]
        z_UW = self.people(table_VD, events)
        margin_B: torch.Tensor = difference_BW[:, 0] + (difference_BW[:, 1:] * z_UW[text_B]).sum(1)
        return margin_B

    def answers(
        self, table_VD: torch.Tensor, answers: torch.Tensor, new: torch.Tensor, known_K: torch.Tensor
    ) -> torch.Tensor:
        """Compute b and q of answers of any shape, (..., W + 1); each distinct one once, its own or borrowed."""
        unique_C, back = answers.unique(return_inverse=True)
        answer_CW: torch.Tensor = self.answer(table_VD[unique_C])
        if not new.any():
            return answer_CW[back]
        borrowed_CW = self.borrowed(table_VD, unique_C, known_K)
        return torch.where(new.unsqueeze(-1), borrowed_CW[back], answer_CW[back])

    def borrowed(self, table_VD: torch.Tensor, answers_C: torch.Tensor, known_K: torch.Tensor) -> torch.Tensor:
        """Average b and q of each answer's neighbours, the answer itself left out: (C, W + 1)."""
        cosine_CK = normalize(table_VD[answers_C], dim=1) @ normalize(table_VD[known_K], dim=1).T
        alone_CK = (answers_C.unsqueeze(1) == known_K) & (len(known_K) > 1)
        near_CK = (cosine_CK * self.sharpness).masked_fill(alone_CK, -torch.inf).softmax(1)
        mean_CW: torch.Tensor = near_CK @ self.answer(table_VD[known_K])
        return mean_CW

    def people(self, table_VD: torch.Tensor, events: Sequence[torch.Tensor]) -> torch.Tensor:
        """Compute z of each text (U, W): zero for a text without lines."""
        counts_U = torch.tensor([len(lines) for lines in events])
        both_F2 = torch.cat(list(events))
        if not len(both_F2):
            return table_VD.new_zeros(len(events), self.person.out_features)
        line_EH, back_F = lines_once(table_VD, both_F2, self.plus, self.minus)
        z_UW: torch.Tensor = self.person(embedding_bag(back_F, line_EH, counts_U.cumsum(0) - counts_U, mode="mean"))
        z_UW = (z_UW + self.deeper(z_UW)) * (counts_U > 0).unsqueeze(1)
        return z_UW
