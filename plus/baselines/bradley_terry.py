"""Bradley-Terry: one taste for everyone.

Models: P(chosen > rejected) = sigmoid(r(chosen) - r(rejected)), without any text about the user.
Loss: -mean log sigmoid(margin).
Reference: Bradley & Terry, Biometrika 39 (1952); as a reward model, arXiv 2203.02155.
Relation to PLUS: the same reward model and rows with an empty summary. What it cannot predict is
what personalization can add.
"""

from __future__ import annotations

from collections.abc import Iterable

from plus.baselines.methods import TextRow, WriterRow


def summaries(user_ids: Iterable[str]) -> dict[str, str]:
    """Return the empty text for every user."""
    return dict.fromkeys(user_ids, "")


EMBEDDING_METHODS = {
    "bradley_terry": WriterRow(30, lambda given, k: lambda histories: [""] * len(histories), personal=False)
}
LANGUAGE_MODEL_METHODS = {
    "bradley_terry": TextRow(30, lambda given: summaries(given.population.histories), personal=False)
}
