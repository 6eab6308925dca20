"""In context: the whole history, pasted in.

Models: P(chosen > rejected | every past event as text).
Loss: -mean log sigmoid(margin).
Reference: "ICL" in arXiv 2507.13579.
Relation to PLUS: the same reward model and rows; nothing is left out and nothing is learned about what to say.
The method to beat: an independent re-run found PLUS below it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plus.prompts import event_lines
from plus.types import Event, UserHistory


def texts(histories: Sequence[UserHistory], line: Callable[[Event], str] = event_lines) -> list[str]:
    """Every event of each history in the words of `line`, oldest first."""
    return ["\n".join(line(event) for event in history.events) for history in histories]
