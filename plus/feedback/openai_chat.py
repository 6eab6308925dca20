"""OpenAI's chat rows: {"messages": [{"role", "content"}, ...]}, as fine-tuning files and request logs hold them.

https://platform.openai.com/docs/guides/supervised-fine-tuning
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Origin, entries
from plus.feedback.log_row import ParseState, parse_messages, stated_session, stated_time, stated_user
from plus.types import Entry

COLUMNS = ("messages",)


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is an OpenAI chat."""
    return isinstance(row.get("messages"), list)


def read(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the events of one row. Raises UnusableError."""
    user_id = state.user(*stated_user(row))
    time = state.time(stated_time(row))
    talk = parse_messages(row["messages"], state, time)
    yield from entries(talk, Origin(user_id, "openai_chat", stated_session(row)), state)
