"""Fitting the head of `plus/signals/head.py` to written turns: no log of anybody's is needed, and none was used.

`turns.jsonl` holds turns by author, with slots; `talks.jsonl` what stands around them: questions with an answer, what
fills the slots, questions in other words, the next of a series, and how answers go on. A turn is drawn into several
rows: other fillings, other conversations, at times with a task after it. How often a model then says sorry after a
complaint is set by hand (`AFTER`), since no log was at hand to count it in.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from plus.models.embeddings import Embeddings
from plus.signals.head import CLASSES, RUBRICS, Seen, features
from plus.signals.rubrics import DISSATISFIED, SATISFIED

COPIES, FOLLOWED, UNSAID = 2, 0.2, 0.35  # rows a turn; share with a task after it; share without a next answer
SMALL, FOLDS = 0.01, 5  # inverse penalty of the weights (by cross-validation over authors), folds
# (sorry, welcome, revised) after a turn of the class; else something plain.
AFTER = {"satisfied": (0.03, 0.25, 0.0), "dissatisfied": (0.45, 0.02, 0.2), "none": (0.03, 0.03, 0.03)}
AFTER_THANKS = (0.02, 0.55, 0.0)


class Written(NamedTuple):
    """One training row."""

    author: str
    rubric: str
    seen: Seen

    @property
    def label(self) -> str:
        """Its class."""
        return label_of(self.rubric)


def label_of(rubric: str) -> str:
    """The class that a rubric belongs to."""
    return "satisfied" if rubric in SATISFIED else "dissatisfied" if rubric in DISSATISFIED else "none"


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_rows(folder: Path) -> list[Written]:
    """The turns that are for measuring only."""
    return [
        Written(row["author"], row["rubric"], Seen(row["text"], [row["asked"]], row["answer"]))
        for row in read(folder / "test.jsonl")
    ]


class _Draw:
    """The folder's turns with fillings and surroundings drawn for them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.turns = read(folder / "turns.jsonl")
        self.kinds: dict[str, list[dict[str, str]]] = {}
        for row in read(folder / "talks.jsonl"):
            self.kinds.setdefault(row["kind"], []).append(row)
        self.tasks: dict[str, list[str]] = {}
        for row in self.turns:
            if row["rubric"] == "none":
                self.tasks.setdefault(row["author"], []).append(row["text"])

    def row(self, turn: dict[str, str]) -> Written:
        text, rubric = self.filled(turn["text"]), turn["rubric"]
        if len(text) < 150 and self.random.random() < FOLLOWED:
            text += self.random.choice([". ", " ", "\n", "! ", ", "]) + self.filled(
                self.random.choice(self.tasks[turn["author"]])
            )
        if self.random.random() < 0.15:
            text = text.lower()
        talk = self.random.choice(self.kinds["context"])
        return Written(turn["author"], rubric, Seen(text, [talk["asked"]], talk["answer"], self.after(rubric)))

    def around(self, kind: str, rubric: str, talk: dict[str, str]) -> list[Written]:
        """A turn that is a signal, or none, by the question before it alone; and that question again, or another one."""
        again = talk["asked"] if kind == "rephrased" else self.random.choice(self.kinds["context"])["asked"]
        texts = (self.filled(talk["text"]), again)
        return [
            Written(kind, rubric, Seen(text, [talk["asked"]], talk["answer"], self.after(rubric))) for text in texts
        ]

    def filled(self, text: str) -> str:
        for slot in ("{t}", "{t2}"):
            text = text.replace(slot, self.random.choice(self.kinds["slot"])["text"])
        return text.replace("{n}", str(self.random.randint(2, 900)))

    def after(self, rubric: str) -> str:
        if self.random.random() < UNSAID:
            return ""
        sorry, welcome, revised = AFTER_THANKS if rubric == "gratitude" else AFTER[label_of(rubric)]
        drawn = self.random.random()
        kind = "sorry" if drawn < sorry else "welcome" if drawn < sorry + welcome else "revised" if drawn < sorry + welcome + revised else "plain"  # fmt: skip
        return self.random.choice(self.kinds[f"next {kind}"])["text"]


def rows(folder: Path, seed: int = 0, copies: int = COPIES) -> list[Written]:
    """Training rows from the folder's turns and talks, `copies` of each."""
    draw = _Draw(folder, seed)
    found: list[Written] = []
    for _ in range(copies):
        found += [draw.row(turn) for turn in draw.turns]
        for kind, rubric in (("rephrased", "revision request"), ("series", "none")):
            found += [row for talk in draw.kinds[kind] for row in draw.around(kind, rubric, talk)]
    return found


def fit(written: Sequence[Written], embeddings: Embeddings) -> tuple[dict[str, torch.Tensor], np.ndarray]:
    """(the head's weights, probabilities of each row by a head that has not seen its author, classes weighed equally).

    The temperature is the one under which those probabilities are likeliest.
    """
    features_ND = features([row.seen for row in written], embeddings).numpy().astype(np.float64)
    labels_N = np.array([CLASSES.index(row.label) for row in written])
    authors = sorted({row.author for row in written})
    fold_N = np.array([authors.index(row.author) % FOLDS for row in written])
    scores_NK = np.zeros((len(written), len(CLASSES)))
    for fold in range(FOLDS):
        seen = fold_N != fold
        scores_NK[~seen] = _fit(features_ND[seen], labels_N[seen]).decision_function(features_ND[~seen])
    temperature = _temperature(scores_NK, labels_N)
    signal = labels_N != CLASSES.index("none")
    rubrics = np.array([RUBRICS.index(row.rubric) for row in written if row.rubric != "none"])
    weights = {
        "classes": _weights(_fit(features_ND, labels_N)),
        "rubrics": _weights(_fit(features_ND[signal], rubrics)),
        "temperature": torch.tensor([temperature], dtype=torch.float32),
    }
    return weights, _softmax(scores_NK / temperature)


def _fit(features_ND: np.ndarray, labels_N: np.ndarray) -> LogisticRegression:
    return LogisticRegression(C=SMALL, max_iter=150, class_weight="balanced").fit(features_ND, labels_N)


def _weights(fitted: LogisticRegression) -> torch.Tensor:
    return torch.tensor(np.concatenate([fitted.coef_, fitted.intercept_[:, None]], 1), dtype=torch.float32)


def _softmax(scores_NK: np.ndarray) -> np.ndarray:
    powers_NK = np.exp(scores_NK - scores_NK.max(1, keepdims=True))
    return powers_NK / powers_NK.sum(1, keepdims=True)


def _temperature(scores_NK: np.ndarray, labels_N: np.ndarray) -> float:
    weight_N = 1 / np.bincount(labels_N)[labels_N]

    def loss(temperature: float) -> float:
        likely_N = _softmax(scores_NK / temperature)[np.arange(len(labels_N)), labels_N]
        return float(-(weight_N * np.log(likely_N)).sum())

    return min((value / 20 for value in range(8, 61)), key=loss)
