"""A reward model over frozen embeddings that reads extractive summaries: a CPU is enough.

    r(answer | text) = b(answer) + q(answer) . z(text)

b and q are a small network on the answer's embedding, z the mean of a small network over the lines
of the text ("Agreed: ...", "Chose: ... / Over: ..."). An empty text has z = 0, which leaves b: Bradley-Terry.

A network on 384 numbers learns a few hundred answers by heart, and what it says of any other answer
is noise. An answer that stood in no training row therefore borrows: its b and q are the mean over the
training answers, weighted by how similar they read,

    (b, q)(new) = sum over training answers a of softmax(sharpness * cos(new, a)) (b, q)(a)

and in training a part of the pairs is read that way too (without the answer itself), so that b and q become
smooth enough to be borrowed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import nn
from torch.nn.functional import embedding_bag, logsigmoid, normalize

from plus.models.embeddings import Embeddings
from plus.prompts import OVER, read_event_lines
from plus.types import Preference

KEPT = 100_000  # lines that are remembered


class EventReader:
    """r(answer | text) with the interface of `RewardModel`: `model`, `margins` and `log_likelihood`.

    `known` holds the answers of the training rows, and `borrow` is the share of training pairs whose
    answers borrow like new ones; with 0 no answer ever does. With `label_as_text` every line is embedded as it stands, label
    included, and it is up to the sentence model what it says.
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
        self.model = _Network(embeddings.size, width, hidden)
        self.lines: dict[str, tuple[int, int]] = {}

    def margins(self, texts: Sequence[str], pairs: Sequence[Preference]) -> Iterator[tuple[list[int], torch.Tensor]]:
        """(rows, margins) in one batch: margin = r(chosen | text) - r(rejected | text)."""
        unique = list(dict.fromkeys(texts))
        place = {text: number for number, text in enumerate(unique)}
        events = self._events(unique)
        answers_B2 = torch.tensor(
            [self.embeddings.ids(pair.chosen for pair in pairs), self.embeddings.ids(pair.rejected for pair in pairs)]
        ).T
        text_B = torch.tensor([place[text] for text in texts])
        new_B2 = self._new(answers_B2)
        margin_B = self.model(self.embeddings.table, events, text_B, answers_B2, new_B2, self.known)
        yield list(range(len(pairs))), margin_B

    @torch.no_grad()
    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """log sigmoid(margin) for each (text, pair), without gradients (the `Scorer` protocol)."""
        if not pairs:
            return []
        ((_, margin_B),) = self.margins(texts, pairs)
        return logsigmoid(margin_B.double()).tolist()

    def _events(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """For each text the embedding rows of what its lines speak for and against, (lines, 2); row 0 is nothing."""
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


class _Network(nn.Module):
    """b, q and z. Shapes: V rows of the table, D numbers each; U texts; B pairs; H and W hidden widths."""

    def __init__(self, size: int, width: int, hidden: int, sharpness: float = 10.0) -> None:
        super().__init__()
        self.plus, self.minus = nn.Linear(size + 1, hidden), nn.Linear(size + 1, hidden, bias=False)
        self.person = nn.Linear(hidden, width)
        self.deeper = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.answer = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, width + 1))
        self.sharpness = sharpness

    def forward(self, table_VD, events, text_B, answers_B2, new_B2, known_K):
        """Margins (B,)."""
        unique_C, back_B2 = answers_B2.unique(return_inverse=True)
        answer_CW = self.answer(table_VD[unique_C])  # b and q
        if new_B2.any():
            borrowed_CW = self.borrowed(table_VD, unique_C, known_K)
            answer_B2W = torch.where(new_B2.unsqueeze(2), borrowed_CW[back_B2], answer_CW[back_B2])
        else:
            answer_B2W = answer_CW[back_B2]
        difference_BW = answer_B2W[:, 0] - answer_B2W[:, 1]
        z_UW = self.people(table_VD, events)
        return difference_BW[:, 0] + (difference_BW[:, 1:] * z_UW[text_B]).sum(1)

    def borrowed(self, table_VD, answers_C, known_K):
        """b and q of answers as the mean of their neighbours', themselves left out."""
        cosine_CK = normalize(table_VD[answers_C], dim=1) @ normalize(table_VD[known_K], dim=1).T
        alone_CK = (answers_C.unsqueeze(1) == known_K) & (len(known_K) > 1)
        near_CK = (cosine_CK * self.sharpness).masked_fill(alone_CK, -torch.inf).softmax(1)
        return near_CK @ self.answer(table_VD[known_K])

    def people(self, table_VD, events):
        """z of each text (U, W): zero for a text without lines."""
        counts_U = torch.tensor([len(lines) for lines in events])
        both_F2 = torch.cat(list(events))
        if not len(both_F2):
            return table_VD.new_zeros(len(events), self.person.out_features)
        line_EH, back_F = lines_once(table_VD, both_F2, self.plus, self.minus)
        z_UW = self.person(embedding_bag(back_F, line_EH, counts_U.cumsum(0) - counts_U, mode="mean"))
        return (z_UW + self.deeper(z_UW)) * (counts_U > 0).unsqueeze(1)


def lines_once(
    table_VD: torch.Tensor, both_F2: torch.Tensor, plus: nn.Linear, minus: nn.Linear
) -> tuple[torch.Tensor, torch.Tensor]:
    """relu(plus(for) + minus(against)) of each distinct (for, against), and the place of each of the F.

    A constant 1 beside every embedding tells something from nothing, whose row is all zero.
    """
    keys_E, back_F = (both_F2[:, 0] * len(table_VD) + both_F2[:, 1]).unique(return_inverse=True)
    one_VD = torch.cat([table_VD, table_VD.new_ones(len(table_VD), 1)], dim=1)
    one_VD[0] = 0
    for_E, against_E = keys_E // len(table_VD), keys_E % len(table_VD)
    return torch.relu(plus(one_VD[for_E]) + minus(one_VD[against_E])), back_F
