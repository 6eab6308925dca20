"""Fit of the signal head (`plus/signals/head.py`) to written turns; no user's log is needed, and none was used.

`turns.jsonl` holds turns by author, with slots. `talks.jsonl` holds the text around them: questions with an answer,
fillings of the slots, questions in other words, the next question of a series, and next answers. A turn is drawn into
several rows with other fillings and conversations, and at times with a task after it. The share of next answers that
apologize after a complaint is set by hand (`AFTER`), since there was no log to count it in.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression

from plus.jsonl import read_jsonl
from plus.models.embeddings import Embeddings
from plus.signals.features import TurnContext
from plus.signals.head import CLASSES, RUBRICS, features
from plus.signals.rubrics import DISSATISFIED, SATISFIED

COPIES, FOLLOWED, UNANSWERED = 2, 0.2, 0.35  # rows a turn; share with a task after it; share without a next answer
LOWERED = 0.15  # share in lower case
INVERSE_PENALTY, FOLDS = 0.01, 5  # of the weights (by cross-validation over authors); folds
# Shares of next answers (sorry, welcome, revised) after a turn of the class; the rest are plain.
AFTER = {"satisfied": (0.03, 0.25, 0.0), "dissatisfied": (0.45, 0.02, 0.2), "none": (0.03, 0.03, 0.03)}
AFTER_THANKS = (0.02, 0.55, 0.0)


Array = npt.NDArray[np.float64]


class LabelledTurn(NamedTuple):
    """Row of training or test: a turn in its context, its author and its rubric ("none" for no feedback)."""

    author: str
    rubric: str
    context: TurnContext

    @property
    def label(self) -> str:
        """The class of its rubric."""
        return label_of(self.rubric)


def label_of(rubric: str) -> str:
    """Map a rubric to its class: satisfied, dissatisfied or none."""
    return "satisfied" if rubric in SATISFIED else "dissatisfied" if rubric in DISSATISFIED else "none"


def training_rows(folder: Path, seed: int = 0, copies: int = COPIES) -> list[LabelledTurn]:
    """Draw training rows from a folder's turns and talks, `copies` of each."""
    draw = _Draw(folder, seed)
    found: list[LabelledTurn] = []
    for _ in range(copies):
        found += [draw.row(turn) for turn in draw.turns]
        for kind, rubric in (("rephrased", "revision request"), ("series", "none")):
            found += [row for talk in draw.kinds[kind] for row in draw.rows_by_question(kind, rubric, talk)]
    return found


def test_rows(folder: Path) -> list[LabelledTurn]:
    """Read a folder's test turns, which are for measuring only."""
    return [
        LabelledTurn(row["author"], row["rubric"], TurnContext(row["text"], [row["asked"]], row["answer"]))
        for row in read_jsonl(folder / "test.jsonl")
    ]


class _Draw:
    """Random fillings and contexts for a folder's turns."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.turns = read_jsonl(folder / "turns.jsonl")
        self.kinds: dict[str, list[dict[str, str]]] = {}
        for row in read_jsonl(folder / "talks.jsonl"):
            self.kinds.setdefault(row["kind"], []).append(row)
        self.tasks: dict[str, list[str]] = {}
        for row in self.turns:
            if row["rubric"] == "none":
                self.tasks.setdefault(row["author"], []).append(row["text"])

    def row(self, turn: dict[str, str]) -> LabelledTurn:
        """Draw a row of a turn: filled, at times with a task of its author after it, in a random conversation."""
        text, rubric = self._filled(turn["text"]), turn["rubric"]
        if len(text) < 150 and self.random.random() < FOLLOWED:
            joint = self.random.choice([". ", " ", "\n", "! ", ", "])
            text += joint + self._filled(self.random.choice(self.tasks[turn["author"]]))
        if self.random.random() < LOWERED:
            text = text.lower()
        talk = self.random.choice(self.kinds["context"])
        context = TurnContext(text, [talk["asked"]], talk["answer"], self._after(rubric))
        return LabelledTurn(turn["author"], rubric, context)

    def rows_by_question(self, kind: str, rubric: str, talk: dict[str, str]) -> list[LabelledTurn]:
        """Draw two rows that get their rubric from the question before them alone.

        They are the talk's turn, and for "rephrased" the question again, for "series" another question.
        """
        again = talk["asked"] if kind == "rephrased" else self.random.choice(self.kinds["context"])["asked"]
        texts = (self._filled(talk["text"]), again)
        return [
            LabelledTurn(kind, rubric, TurnContext(text, [talk["asked"]], talk["answer"], self._after(rubric)))
            for text in texts
        ]

    def _filled(self, text: str) -> str:
        for slot in ("{t}", "{t2}"):
            text = text.replace(slot, self.random.choice(self.kinds["slot"])["text"])
        return text.replace("{n}", str(self.random.randint(2, 900)))

    def _after(self, rubric: str) -> str:
        """Draw the next answer, "" for none."""
        if self.random.random() < UNANSWERED:
            return ""
        shares = AFTER_THANKS if rubric == "gratitude" else AFTER[label_of(rubric)]
        drawn, kind = self.random.random(), "plain"
        for name, limit in zip(("sorry", "welcome", "revised"), accumulate(shares), strict=True):
            if drawn < limit:
                kind = name
                break
        return self.random.choice(self.kinds[f"next {kind}"])["text"]


def fit(rows: Sequence[LabelledTurn], embeddings: Embeddings) -> tuple[dict[str, torch.Tensor], Array]:
    """Fit the head's weights, classes weighed equally.

    Returns the weights (see `SignalHead`) and each row's probabilities (N, 3) by a head that was fitted without the
    row's author. The temperature is the one under which those probabilities are likeliest.
    """
    features_ND = features([row.context for row in rows], embeddings).numpy().astype(np.float64)
    labels_N = np.array([CLASSES.index(row.label) for row in rows])
    # Folds by author.
    authors = sorted({row.author for row in rows})
    fold_N = np.array([authors.index(row.author) % FOLDS for row in rows])
    scores_NK = np.zeros((len(rows), len(CLASSES)))
    for fold in range(FOLDS):
        seen_N = fold_N != fold
        scores_NK[~seen_N] = _fit(features_ND[seen_N], labels_N[seen_N]).decision_function(features_ND[~seen_N])
    temperature = _temperature(scores_NK, labels_N)
    # The shipped weights are fitted to all rows; rubrics to those that have one.
    signal_N = labels_N != CLASSES.index("none")
    rubrics = np.array([RUBRICS.index(row.rubric) for row in rows if row.rubric != "none"])
    weights = {
        "classes": _weights(_fit(features_ND, labels_N)),
        "rubrics": _weights(_fit(features_ND[signal_N], rubrics)),
        "temperature": torch.tensor([temperature], dtype=torch.float32),
    }
    return weights, _softmax(scores_NK / temperature)


def _fit(features_ND: Array, labels_N: npt.NDArray[np.int64]) -> LogisticRegression:
    return LogisticRegression(C=INVERSE_PENALTY, max_iter=150, class_weight="balanced").fit(features_ND, labels_N)


def _weights(fitted: LogisticRegression) -> torch.Tensor:
    return torch.tensor(np.concatenate([fitted.coef_, fitted.intercept_[:, None]], 1), dtype=torch.float32)


def _softmax(scores_NK: Array) -> Array:
    powers_NK = np.exp(scores_NK - scores_NK.max(1, keepdims=True))
    probabilities_NK: Array = powers_NK / powers_NK.sum(1, keepdims=True)
    return probabilities_NK


def _temperature(scores_NK: Array, labels_N: npt.NDArray[np.int64]) -> float:
    """Find the temperature in 0.4 to 3 with the lowest loss, classes weighed equally."""
    weight_N = 1 / np.bincount(labels_N)[labels_N]

    def loss(temperature: float) -> float:
        likely_N = _softmax(scores_NK / temperature)[np.arange(len(labels_N)), labels_N]
        return float(-(weight_N * np.log(likely_N)).sum())

    return min((value / 20 for value in range(8, 61)), key=loss)
