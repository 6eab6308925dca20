"""In context: the whole history, pasted in.

Models: P(chosen > rejected | every past event as text).
Loss: -mean log sigmoid(margin).
Reference: "ICL" in arXiv 2507.13579.
Relation to PLUS: the same reward model and rows; nothing is left out and nothing is learned about what to say.
The method to beat: an independent re-run found PLUS below it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from plus.baselines.methods import Language, TextRow, WriterRow
from plus.evaluate.controls import PastedHistory
from plus.measures import estimate_tokens
from plus.prompts import event_lines
from plus.train.select import once
from plus.types import Event, UserHistory

EVERYTHING = 1000  # past events: all that there are


def texts(histories: Sequence[UserHistory], line: Callable[[Event], str] = event_lines) -> list[str]:
    """Render every event of each history with `line`, oldest first."""
    return ["\n".join(line(event) for event in history.events) for history in histories]


def newest_within(histories: Sequence[UserHistory], tokens: Sequence[int]) -> list[str]:
    """Render each history's newest events that fit in its number of tokens (`estimate_tokens`), oldest first."""
    return [_newest(history, limit) for history, limit in zip(histories, tokens, strict=True)]


def _newest(history: UserHistory, limit: int) -> str:
    kept = ""
    for event in reversed(history.events):
        longer = f"{event_lines(event)}\n{kept}" if kept else event_lines(event)
        if estimate_tokens(longer) > limit:
            break
        kept = longer
    return kept


def pasted(given: Language) -> dict[str, str]:
    """Paste each user's events in the words in which a language model's base has read histories before."""
    histories = given.population.histories
    return dict(zip(histories, PastedHistory(EVERYTHING).summarize(list(histories.values())), strict=True))


EMBEDDING_METHODS = {"in_context": WriterRow(31, lambda given, k: partial(once, texts))}
# Reading a whole history is learned more slowly than reading a sentence: the long row shows it with more updates.
LANGUAGE_MODEL_METHODS = {
    "in_context": TextRow(31, pasted, curve=lambda: PastedHistory(EVERYTHING)),
    "in_context_long": TextRow(50, pasted, long=True),
}
