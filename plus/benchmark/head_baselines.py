"""The baselines with a head of their own, on frozen embeddings, by name."""

from __future__ import annotations

from collections.abc import Sequence

from plus.baselines.dpl import DPL
from plus.baselines.low_rank import LowRank
from plus.baselines.vpl import VPL
from plus.benchmark.fold_predictions import Margins
from plus.models.embeddings import Embeddings

NAMES = ("dpl_mean_variance", "dpl_categorical", "vpl", "low_rank")
IMPERSONAL = NAMES[:2]  # these read nothing about the user


def head(name: str, embeddings: Embeddings, training: Sequence[str], seed: int) -> tuple[DPL | VPL | LowRank, Margins]:
    """A fresh head, and how it predicts; `training` are the users whose weights a low-rank head learns."""
    if name in IMPERSONAL:
        dpl = DPL(embeddings, "mean_variance" if name == "dpl_mean_variance" else "categorical")
        return dpl, lambda histories, pairs: dpl.margins(pairs)
    model = VPL(embeddings, seed=seed) if name == "vpl" else LowRank(embeddings, training)
    return model, model.margins
