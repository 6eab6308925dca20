"""WildChat: conversations of users known by a hashed address; https://huggingface.co/datasets/allenai/WildChat-1M."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Origin, entries
from plus.feedback.log_row import ParseState, id_text, parse_messages, stated_time
from plus.types import Entry

COLUMNS = ("conversation_hash", "conversation")


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a WildChat conversation."""
    return isinstance(row.get("conversation"), list) and ("conversation_hash" in row or "hashed_ip" in row)


def read(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the events of one conversation. Raises UnusableError."""
    talk = row["conversation"]
    user_id = state.user(
        row.get("hashed_ip"), row.get("user_id"), *(one.get("hashed_ip") for one in talk if isinstance(one, dict))
    )
    messages = parse_messages(talk, state, state.time(stated_time(row)))
    yield from entries(messages, Origin(user_id, "wildchat", id_text(row.get("conversation_hash"))), state)
