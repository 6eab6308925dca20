"""Oracle: the true persona in words, known for synthetic users only.

Models: P(chosen > rejected | persona), the ceiling of every text-conditioned method.
Loss: -mean log sigmoid(margin).
Relation to PLUS: the same reward model and rows; the summary is the truth instead of learned.
"""

from __future__ import annotations

from collections.abc import Sequence

from plus.baselines.methods import Given, TextRow, Write, WriterRow
from plus.errors import SourceError
from plus.types import Population, UserHistory


def summaries(population: Population) -> dict[str, str]:
    """Return user_id -> persona. Raises SourceError for real people, who have no known persona."""
    if not population.personas:
        raise SourceError(
            f"{population.name} has no true personas, so there is no oracle; use a synthetic data set such as pets"
        )
    return dict(population.personas)


def writer(given: Given, k: int) -> Write:
    """Write each user's persona. Raises SourceError for real people, and the report says so."""
    personas = summaries(given.population)

    def write(histories: Sequence[UserHistory]) -> list[str]:
        return [personas[history.user_id] for history in histories]

    return write


EMBEDDING_METHODS = {"oracle": WriterRow(34, writer)}
LANGUAGE_MODEL_METHODS = {"oracle": TextRow(34, lambda given: summaries(given.population))}
