"""Which format a row is of, by what it holds; and for a row of none, the nearest and what it lacks."""

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
from plus.feedback.conversation import Place
from plus.feedback.last_reaction import Given, LastWins
from plus.types import Entry

Row = Mapping[str, Any]


class Format(NamedTuple):
    """`columns` are what a row of it must hold; `given` reads a reaction that stands apart from its message."""

    columns: tuple[str, ...]
    is_mine: Callable[[Row], bool]
    read: Callable[[Row, Place, LastWins], Iterator[Entry]]
    given: Callable[[Row, Place], Given | None] | None = None


def _plain(read: Callable[[Row, Place], Iterator[Entry]]) -> Callable[[Row, Place, LastWins], Iterator[Entry]]:
    return lambda row, place, last: read(row, place)


# In this order: the first that knows a row has it.
FORMATS = {
    "chatgpt": Format(chatgpt.COLUMNS, chatgpt.is_mine, _plain(chatgpt.read)),
    "open_webui": Format(open_webui.COLUMNS, open_webui.is_mine, _plain(open_webui.read)),
    "open_webui_feedback": Format(
        open_webui.FEEDBACK_COLUMNS, open_webui.is_feedback, open_webui.read_feedback, open_webui.given
    ),
    "openai_preference": Format(
        openai_preference.COLUMNS, openai_preference.is_mine, _plain(openai_preference.read)
    ),
    "wildfeedback": Format(wildfeedback.COLUMNS, wildfeedback.is_mine, _plain(wildfeedback.read)),
    "wildchat": Format(wildchat.COLUMNS, wildchat.is_mine, _plain(wildchat.read)),
    "langfuse": Format(langfuse.COLUMNS, langfuse.is_mine, langfuse.read),
    "langfuse_scores": Format(
        langfuse.SCORE_COLUMNS, langfuse.is_score, lambda row, place, last: iter(()), langfuse.given
    ),
    "rows": Format(own_rows.COLUMNS, own_rows.is_mine, _plain(own_rows.read)),
    "openai_chat": Format(openai_chat.COLUMNS, openai_chat.is_mine, _plain(openai_chat.read)),
    "sharegpt": Format(sharegpt.COLUMNS, sharegpt.is_mine, _plain(sharegpt.read)),
}  # fmt: skip


def recognise(row: Row, before: str = "") -> str:
    """The name of the format of a row, "" of none; `before` is the last row's, which is likely this one's too."""
    if before not in ("", "rows", "openai_chat", "sharegpt") and FORMATS[before].is_mine(row):
        return before
    return next((name for name, kind in FORMATS.items() if kind.is_mine(row)), "")


def nearest(row: Row, count: int = 2) -> str:
    """The formats that a row comes closest to, each with the columns that it lacks or holds in another shape."""

    def share(name: str) -> float:
        columns = FORMATS[name].columns
        return sum(column in row for column in columns) / len(columns)

    ranked = sorted(FORMATS, key=share, reverse=True)
    close = [name for name in ranked[:count] if share(name) > 0] or ["openai_chat", "rows"]
    return ", or ".join(f"{name} ({_lacking(row, FORMATS[name].columns)})" for name in close)


def _lacking(row: Row, columns: tuple[str, ...]) -> str:
    missing = [column for column in columns if column not in row]
    return f"missing {', '.join(missing)}" if missing else f"{', '.join(columns)} in another shape"
