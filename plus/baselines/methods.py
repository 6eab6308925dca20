"""Rows that baselines add to the benchmark's tables.

A module of this folder lists its rows in `EMBEDDING_METHODS` (the table on frozen sentence embeddings) and in
`LANGUAGE_MODEL_METHODS` (the table of language models): dictionaries from a row's name to one of the kinds
below. `find` collects them, so that a new baseline is one new file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from plus import baselines
from plus.types import Event, Population, Preference, Scorer, Summarizer, UserHistory

if TYPE_CHECKING:
    from plus.models.embeddings import Embeddings
    from plus.models.language_model import LanguageModelSummarizer

Write = Callable[[Sequence[UserHistory]], Sequence[str]]  # one text a history
Margins = Callable[[Sequence[UserHistory], Sequence[Preference]], Sequence[float]]  # one margin a pair


@dataclass(frozen=True)
class Given:
    """Inputs of a baseline in the table on embeddings: `events` are those of the training users."""

    population: Population
    events: Sequence[Event]
    embeddings: Embeddings
    seed: int


@dataclass(frozen=True)
class Language:
    """Inputs of a baseline in the table of language models.

    `base()` loads the run's language model as it came; `reward_model(name, texts)` trains one on texts;
    `question` is the prompt that asks what these data are about.
    """

    population: Population
    seed: int
    base: Callable[[], LanguageModelSummarizer]
    reward_model: Callable[[str, Mapping[str, str]], Scorer]
    question: str
    say: Callable[[str], None]


@dataclass(frozen=True)
class ScorerRow:
    """Row of a scorer that reads nothing about the user. `row` is its place in a table: cheap methods first."""

    row: int
    make: Callable[[Sequence[Event]], Scorer]  # from the events of the training users


@dataclass(frozen=True)
class HeadRow:
    """Row of a head of its own on frozen embeddings; one that is not `personal` reads the pairs alone."""

    row: int
    make: Callable[[Embeddings, Sequence[str], int], Any]  # (embeddings, training users, seed) -> head
    personal: bool = True

    def margins(self, head: Any) -> Margins:
        """Wrap the head's own margins, of pairs alone or of histories and pairs."""
        read: Margins = head.margins if self.personal else lambda histories, pairs: head.margins(pairs)
        return read


@dataclass(frozen=True)
class WriterRow:
    """Row of the reward model that reads what `make(given, k)` writes about each history.

    With `of_k` there is a row for each number of events k, named NAME_k; else k is 0.
    """

    row: int
    make: Callable[[Given, int], Write]
    personal: bool = True
    of_k: bool = False


@dataclass(frozen=True)
class TextRow:
    """Row of the reward model that reads one fixed text a user: `texts(given)` is user_id -> text.

    `curve` writes the texts of a learning curve. A `long` row gets the budget's `long_steps`, and is left
    out where there are none.
    """

    row: int
    texts: Callable[[Language], Mapping[str, str]]
    personal: bool = True
    curve: Callable[[], Summarizer] | None = None
    long: bool = False


Row = ScorerRow | HeadRow | WriterRow | TextRow


def find(table: str) -> dict[str, Row]:
    """Collect the rows that all baselines add to `table` (the name of their dictionary), in table order."""
    # Every module of the folder may hold a dictionary of that name.
    modules: Iterable[str] = (module.name for module in iter_modules(baselines.__path__))
    found: dict[str, Row] = {}
    for name in modules:
        found |= getattr(import_module(f"plus.baselines.{name}"), table, {})
    return dict(sorted(found.items(), key=lambda item: item[1].row))
