"""Reward model over sentence embeddings: it reads the lines of any text about a user, on a CPU.

    r(answer | text) = b(answer) + q(answer) . z(text) + w ridge(answer | text)

b and q are a small network on the answer's embedding, z the mean of a small network over the lines of the
text ("Agreed: ...", "Chose: ... / Over: ..."), of a line that quotes no event over its sentences. An empty text has
z = 0, which leaves b: Bradley-Terry.

A network on 384 numbers learns a few hundred answers by heart, and its values for any other answer are
noise. An answer that stood in no training row therefore borrows: its b and q are the mean over the
training answers, weighted by how similar they read,

    (b, q)(new) = sum over training answers a of softmax(sharpness * cos(new, a)) (b, q)(a)

and in training a part of the pairs is read that way too (without the answer itself), so that b and q become
smooth enough to be borrowed. Answers that borrow also have the user's own choices as a prior: a kernel ridge
regression of what the text says for and against,

    ridge(new | text) = k(new, E) (k(E, E) + lambda I)^-1 v,    k(a, b) = exp(scale (cos(a, b) - 1))

over the embeddings E of what its lines speak for (v = +1) and against (v = -1); the weight w is learned.

Shapes: V rows of the table, D numbers each; U texts, B pairs, F lines; S sides of a text's lines; H and W hidden
widths.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import nn
from torch.nn.functional import embedding_bag, logsigmoid, normalize

from plus.models.embeddings import Embeddings, lines_once
from plus.models.plain_sentences import read_sentence
from plus.profiles.sentences import split
from plus.prompts import read_event_lines
from plus.types import Preference, Prompt

KEPT = 100_000  # lines that are remembered
# Kernel and ridge of the prior, chosen on validation users (notebooks/LOG.md, "New statements").
SCALE, RIDGE, WEIGHT = 3.0, 0.3, 2.0


class EmbeddingRewardModel:
    """Reward model r(answer | text) with the interface of `RewardModel`: `model`, `margins`, `log_likelihood`.

    `known` holds the answers of the training rows, and `borrow` is the share of training pairs whose
    answers borrow like new ones and have the prior; with 0 no answer ever does. With `label_as_text`
    every line is embedded as it stands, label included, and its meaning is the sentence model's.
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
        # The prior reads what a line speaks for and against, which a line embedded as it stands does not tell.
        self.model = _RewardNetwork(embeddings.size, width, hidden, prior=borrow > 0 and not label_as_text)
        self.lines: dict[str, list[tuple[int, int]]] = {}

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
        table_VD = self.embeddings.table
        margin_B = self.model(table_VD, events, text_B, answers_B2, new_B2, self.known)
        if self.model.prior is not None:
            ridge_B2 = ridge_regression(table_VD, events, text_B, answers_B2) * new_B2
            margin_B = margin_B + self.model.prior * (ridge_B2[:, 0] - ridge_B2[:, 1])
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
        new_B = self._new(answers_B)
        answer_BW = self.model.answers(table_VD, answers_B, new_B, self.known)
        z_BW = self.model.people(table_VD, events)[text_B]
        reward_B = answer_BW[:, 0] + (answer_BW[:, 1:] * z_BW).sum(1)
        if self.model.prior is not None:
            ridge_B1 = ridge_regression(table_VD, events, text_B, answers_B.unsqueeze(1))
            reward_B = reward_B + self.model.prior * ridge_B1[:, 0] * new_B
        values: list[float] = reward_B.tolist()
        return values

    def _events(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """Embedding rows of what each text's lines speak for and against, (lines, 2); row 0 is nothing."""
        if len(self.lines) > KEPT:
            self.lines.clear()
        # An event's lines stand together, of free prose every sentence alone; most have been met before.
        parts = [[text[start:end] for start, end in split(text)] for text in texts]
        new = {part: self._sides(part) for of_text in parts for part in of_text if part not in self.lines}
        # New ones are encoded together: a sentence model takes a batch far faster than its texts one by one.
        rows = iter(self.embeddings.ids(side for sides in new.values() for pair in sides for side in pair))
        self.lines |= {part: [(next(rows), next(rows)) for _ in sides] for part, sides in new.items()}
        events = ([row for part in of_text for row in self.lines[part]] for of_text in parts)
        return [torch.tensor(of_text, dtype=torch.long).view(-1, 2) for of_text in events]

    def _sides(self, text: str) -> list[tuple[str, str]]:
        if self.label_as_text:
            return [(line, "") for line in text.split("\n")]
        return [
            read_sentence(liked) if not other and liked == text.strip() else (liked, other)
            for liked, other in read_event_lines(text)
        ]

    def _new(self, answers_B2: torch.Tensor) -> torch.Tensor:
        """(B, 2): true where an answer borrows. In training both answers of a pair do, or neither."""
        if not self.borrow:
            return torch.zeros_like(answers_B2, dtype=torch.bool)
        if torch.is_grad_enabled():
            return (torch.rand(len(answers_B2), 1) < self.borrow).expand(-1, 2)
        return ~torch.isin(answers_B2, self.known)


@torch.no_grad()
def ridge_regression(
    table_VD: torch.Tensor, events: Sequence[torch.Tensor], text_B: torch.Tensor, answers_BA: torch.Tensor
) -> torch.Tensor:
    """Predict from a text's lines how far its user is for each answer, about -1 to 1: (B, A); 0 for an empty text.

    events: rows of what each text's lines speak for and against, (lines, 2), as `EmbeddingRewardModel` reads them.
    """
    # 1. The sides of each text, +1 for and -1 against, padded to the longest.
    sides = [lines.T.reshape(-1) for lines in events]
    signs = [torch.cat([torch.ones(len(lines)), -torch.ones(len(lines))]) for lines in events]
    rows_US = nn.utils.rnn.pad_sequence(sides, batch_first=True)
    v_US = nn.utils.rnn.pad_sequence(signs, batch_first=True) * (rows_US > 0)
    if not rows_US.shape[1]:
        return table_VD.new_zeros(answers_BA.shape)
    # 2. Weights of the sides; padding stands alone, with the value 0.
    unit_VD = table_VD / table_VD.shape[1] ** 0.5
    side_USD, real_US = unit_VD[rows_US], (rows_US > 0).to(table_VD.dtype)
    kernel_USS = torch.exp(SCALE * (side_USD @ side_USD.transpose(1, 2) - 1))
    kernel_USS = kernel_USS * real_US.unsqueeze(1) * real_US.unsqueeze(2)
    kernel_USS = kernel_USS + RIDGE * torch.eye(rows_US.shape[1]) + torch.diag_embed(1 - real_US)
    weight_US = torch.linalg.solve(kernel_USS, v_US.to(table_VD.dtype))
    # 3. Each answer against the sides of its text.
    near_BAS = torch.exp(SCALE * (unit_VD[answers_BA] @ side_USD[text_B].transpose(1, 2) - 1))
    found_BA: torch.Tensor = (near_BAS * (weight_US * real_US)[text_B].unsqueeze(1)).sum(2)
    return found_BA


class _RewardNetwork(nn.Module):
    """b, q, z and the weight of the prior."""

    def __init__(self, size: int, width: int, hidden: int, sharpness: float = 10.0, prior: bool = False) -> None:
        super().__init__()
        self.plus, self.minus = nn.Linear(size + 1, hidden), nn.Linear(size + 1, hidden, bias=False)
        self.person = nn.Linear(hidden, width)
        self.deeper = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.answer = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, width + 1))
        self.prior = nn.Parameter(torch.tensor(WEIGHT)) if prior else None  # w
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
