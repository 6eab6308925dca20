"""Trained signal head: frozen sentence embeddings, hints of form and context, and one linear layer.

    log odds of (satisfied, dissatisfied, none) = W [ opening ; turn ; hints ; likeness to question and answer ] + b

Fitted by `scripts/make_signals.py` on the written turns in `data/signals`, and shipped as one small file. The scores
are shifted to the base rates of logs, where most turns are no feedback (`BASE_RATES`). A turn whose likeliest class has
a probability below 0.5 is unsure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch.nn.functional import normalize

from plus.errors import ModelError
from plus.models.embeddings import Embeddings, Encode
from plus.prompts import one_line
from plus.resources import shipped
from plus.signals.features import TurnContext, contexts, hints
from plus.signals.rubrics import DISSATISFIED, SATISFIED, Label
from plus.signals.rules import UNSURE, Evidence, Signal, feedback_text, rule_hits, user_turns
from plus.types import Turn

CLASSES: tuple[Label, ...] = ("satisfied", "dissatisfied", "none")
RUBRICS = (*SATISFIED, *DISSATISFIED)
# Of CLASSES, between the equal ones of the fit and those of logs, where about 85 % of turns are none. On authors left
# out, this share of `none` had the highest macro-F1 when none was weighed as in logs (notebooks/LOG.md).
BASE_RATES = (0.175, 0.325, 0.5)
READ, OPENING = 360, 120  # characters of a turn that are embedded, and of its first sentence
_FIRST = re.compile(r"\S.{2,}?(?:[.!?。！？]+(?=\s|$)|$)", re.DOTALL)
_SENTENCE = re.compile(r"[^.!?。！？\n]+(?:[.!?。！？]+|\n|$)")


def features(rows: Sequence[TurnContext], embeddings: Embeddings) -> torch.Tensor:
    """Compute the head's input for each turn, (N, D): two embeddings, the hints, two likenesses."""
    turns = [one_line(feedback_text(row.text))[:READ] or "..." for row in rows]
    firsts = [(found.group() if (found := _FIRST.match(turn)) else turn)[:OPENING] for turn in turns]
    last = [one_line(row.asked[-1] if row.asked else "")[:READ] or "..." for row in rows]
    answers = [one_line(row.answer)[:READ] or "..." for row in rows]
    first_ND, turn_ND, last_ND, answer_ND = (
        normalize(embeddings.vectors(texts), dim=1) for texts in (firsts, turns, last, answers)
    )
    alike_N2 = torch.stack([(turn_ND * last_ND).sum(1), (turn_ND * answer_ND).sum(1)], 1)
    hints_NH = torch.tensor([hints(row) for row in rows])
    # One entry of an embedding is about 0.05, a hint about 1: scaled towards each other for one penalty on all weights.
    return torch.cat([first_ND * 5, turn_ND * 5, hints_NH * 2, alike_N2 * 2], 1)


class SignalHead:
    """Linear classifier of user turns; `head(talks)` returns the signals of each conversation, in order.

    weights: `classes` (3, D + 1) and `rubrics` (18, D + 1), whose last column is the bias, and `temperature` (1,).
    """

    def __init__(self, encode: Encode, weights: dict[str, torch.Tensor]) -> None:
        self.encode, self.weights = encode, weights

    @classmethod
    def load(cls, encode: Encode, path: Path | None = None) -> SignalHead:
        """Load the shipped head or the one at `path`. Raises ModelError for a file made for other classes."""
        path = path or shipped("signals") / "head.safetensors"
        with safe_open(path, "pt") as file:
            made_for = json.loads((file.metadata() or {}).get("classes", "[]"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        if made_for != list(CLASSES):
            raise ModelError(f"{path} is no head for signals; make one with scripts/make_signals.py")
        return cls(encode, weights)

    def __call__(self, talks: Sequence[Sequence[Turn]]) -> list[list[Signal]]:
        """Label each user turn of each conversation; turns before the first answer are none."""
        places, rows = [], []
        for number, talk in enumerate(talks):
            for turn, context in contexts(talk):
                places.append((number, turn))
                rows.append(context)
        labels = self._label(rows, Embeddings(self.encode)) if rows else []
        found = {(number, turn): Signal(turn, *label) for (number, turn), label in zip(places, labels, strict=True)}
        return [
            [found.get((number, turn), Signal(turn, "none", 1.0)) for turn in user_turns(talk)]
            for number, talk in enumerate(talks)
        ]

    @torch.no_grad()
    def probabilities(self, rows: Sequence[TurnContext], embeddings: Embeddings | None = None) -> torch.Tensor:
        """Compute the probabilities of CLASSES for each turn, (N, 3)."""
        return self._probabilities(features(rows, embeddings or Embeddings(self.encode)))

    def _probabilities(self, features_ND: torch.Tensor) -> torch.Tensor:
        weight_KD, bias_K = self.weights["classes"][:, :-1], self.weights["classes"][:, -1]
        scores_NK = (features_ND @ weight_KD.T + bias_K) / self.weights["temperature"]
        return torch.softmax(scores_NK + torch.tensor(BASE_RATES).log(), 1)

    def _label(self, rows: list[TurnContext], embeddings: Embeddings) -> list[tuple[Label, float, Evidence]]:
        """Label each turn: class, its probability, and evidence with a rubric of that class."""
        features_ND = features(rows, embeddings)
        probabilities_NK = self._probabilities(features_ND)
        rubrics_NR = features_ND @ self.weights["rubrics"][:, :-1].T + self.weights["rubrics"][:, -1]
        best_N = probabilities_NK.argmax(1).tolist()
        spans = self._spans(list(zip(rows, best_N, strict=True)), embeddings)
        found: list[tuple[Label, float, Evidence]] = []
        for row, best, of_N, of_R, span in zip(rows, best_N, probabilities_NK.tolist(), rubrics_NR, spans, strict=True):
            if CLASSES[best] == "none":
                found.append(("none", of_N[best], ()))
                continue
            # The likeliest rubric of the class, unless rules found their words: these then are the evidence.
            allowed = SATISFIED if best == 0 else DISSATISFIED
            start = RUBRICS.index(allowed[0])
            rubric = allowed[int(of_R[start : start + len(allowed)].argmax())]
            hits = sorted((hit.start, hit.end, hit.rubric) for hit in rule_hits(row.text) if hit.rubric in allowed)
            label: Label = CLASSES[best] if of_N[best] >= UNSURE else "unsure"
            found.append((label, of_N[best], tuple(hits) or ((*span, rubric),)))
        return found

    def _spans(self, rows: list[tuple[TurnContext, int]], embeddings: Embeddings) -> list[tuple[int, int]]:
        """Find the sentence of each turn that by itself is likeliest of the turn's class; (0, 0) for class none."""
        spans = [(0, min(len(row.text), READ)) if CLASSES[best] != "none" else (0, 0) for row, best in rows]
        # Every sentence (at most 12 a turn) is scored as if it were the turn.
        pieces = [
            (number, found.start(), found.end(), row._replace(text=found.group()), best)
            for number, (row, best) in enumerate(rows)
            if CLASSES[best] != "none"
            for found in list(_SENTENCE.finditer(row.text))[:12]
            if found.group().strip()
        ]
        if not pieces:
            return spans
        sure_NK = self._probabilities(features([piece[3] for piece in pieces], embeddings))
        highest: dict[int, float] = {}
        for (number, start, end, _, best), of_K in zip(pieces, sure_NK.tolist(), strict=True):
            if of_K[best] > highest.get(number, -1.0):
                highest[number], spans[number] = of_K[best], _stripped(rows[number][0].text, start, end)
        return spans


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """Shrink a span by the blanks at its ends."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))
