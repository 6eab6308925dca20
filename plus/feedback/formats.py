"""Log formats: recognition of a row's format, and the nearest formats for a row of none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from plus.feedback import (
    chatgpt,
    langfuse,
    open_webui,
    openai_chat,
    openai_preference,
    own_rows,
    sharegpt,
    wildchat,
    wildfeedback,
)
from plus.feedback.log_row import DetachedReaction, LastReactions, ParseState
from plus.types import Entry

Row = Mapping[str, Any]


class Format(NamedTuple):
    """Log format: the columns a row must hold, its test and its reader, and a reader of detached reactions."""

    columns: tuple[str, ...]
    is_mine: Callable[[Row], bool]
    read: Callable[[Row, ParseState, LastReactions], Iterator[Entry]]
    detached: Callable[[Row, ParseState], DetachedReaction | None] | None = None


def _plain(
    read: Callable[[Row, ParseState], Iterator[Entry]],
) -> Callable[[Row, ParseState, LastReactions], Iterator[Entry]]:
    return lambda row, state, last: read(row, state)  # Most formats have no detached reactions.


# The first format that recognises a row reads it, so the more specific ones come first.
FORMATS = {
    "chatgpt": Format(chatgpt.COLUMNS, chatgpt.is_mine, _plain(chatgpt.read)),
    "open_webui": Format(open_webui.COLUMNS, open_webui.is_mine, _plain(open_webui.read)),
    "open_webui_feedback": Format(
        open_webui.FEEDBACK_COLUMNS, open_webui.is_feedback, open_webui.read_feedback, open_webui.detached_reaction
    ),
    "openai_preference": Format(
        openai_preference.COLUMNS, openai_preference.is_mine, _plain(openai_preference.read)
    ),
    "wildfeedback": Format(wildfeedback.COLUMNS, wildfeedback.is_mine, _plain(wildfeedback.read)),
    "wildchat": Format(wildchat.COLUMNS, wildchat.is_mine, _plain(wildchat.read)),
    "langfuse": Format(langfuse.COLUMNS, langfuse.is_mine, langfuse.read),
    "langfuse_scores": Format(
        langfuse.SCORE_COLUMNS, langfuse.is_score, lambda row, state, last: iter(()), langfuse.detached_reaction
    ),
    "rows": Format(own_rows.COLUMNS, own_rows.is_mine, _plain(own_rows.read)),
    "openai_chat": Format(openai_chat.COLUMNS, openai_chat.is_mine, _plain(openai_chat.read)),
    "sharegpt": Format(sharegpt.COLUMNS, sharegpt.is_mine, _plain(sharegpt.read)),
}  # fmt: skip


def recognise(row: Row, before: str = "") -> str:
    """Find the name of a row's format, or ""; `before` is the format of the row before, which is tried first."""
    # Rows of the three plain formats could also be of a more specific one.
    if before not in ("", "rows", "openai_chat", "sharegpt") and FORMATS[before].is_mine(row):
        return before
    return next((name for name, kind in FORMATS.items() if kind.is_mine(row)), "")


def nearest(row: Row, count: int = 2) -> str:
    """Describe the `count` nearest formats of a row, each with the columns that it lacks or holds in another shape."""

    # The nearest format is the one with the largest share of its columns in the row.
    def share(name: str) -> float:
        columns = FORMATS[name].columns
        return sum(column in row for column in columns) / len(columns)

    ranked = sorted(FORMATS, key=share, reverse=True)
    close = [name for name in ranked[:count] if share(name) > 0] or ["openai_chat", "rows"]
    return ", or ".join(f"{name} ({_lacking(row, FORMATS[name].columns)})" for name in close)


def _lacking(row: Row, columns: tuple[str, ...]) -> str:
    missing = [column for column in columns if column not in row]
    return f"missing {', '.join(missing)}" if missing else f"{', '.join(columns)} in another shape"
