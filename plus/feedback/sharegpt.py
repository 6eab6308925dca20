"""ShareGPT rows: {"conversations": [{"from": "human" | "gpt", "value"}, ...]}; also under `conversation` or `items`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Origin, entries
from plus.feedback.log_row import ParseState, id_text, parse_messages, stated_session, stated_time, stated_user
from plus.types import Entry

COLUMNS = ("conversations",)


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a ShareGPT conversation."""
    return isinstance(_talk(row), list)


def read(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the events of one row. Raises UnusableError."""
    user_id = state.user(*stated_user(row))
    talk = parse_messages(_talk(row), state, state.time(stated_time(row)))
    session = stated_session(row) or id_text(row.get("id"))
    yield from entries(talk, Origin(user_id, "sharegpt", session), state)


def _talk(row: Mapping[str, Any]) -> Any:
    if "conversations" in row:
        return row["conversations"]
    talk = row.get("conversation", row.get("items"))
    first = talk[0] if isinstance(talk, list) and talk else None
    return talk if isinstance(first, dict) and "from" in first else None
