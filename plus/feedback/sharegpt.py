"""ShareGPT rows: {"conversations": [{"from": "human" | "gpt", "value"}, ...]}; also under `conversation` or `items`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Place, entries, label, stated_session, stated_time, stated_user
from plus.feedback.openai_chat import spoken
from plus.types import Entry

COLUMNS = ("conversations",)


def is_mine(row: Mapping[str, Any]) -> bool:
    """Whether a row is of this format."""
    return isinstance(_talk(row), list)


def read(row: Mapping[str, Any], place: Place) -> Iterator[Entry]:
    """The events of one row. Raises UnusableError."""
    user_id = place.whose(*stated_user(row))
    talk = spoken(_talk(row), place, place.time(stated_time(row)))
    yield from entries(talk, user_id, "sharegpt", stated_session(row) or label(row.get("id")), place)


def _talk(row: Mapping[str, Any]) -> Any:
    if "conversations" in row:
        return row["conversations"]
    talk = row.get("conversation", row.get("items"))
    first = talk[0] if isinstance(talk, list) and talk else None
    return talk if isinstance(first, dict) and "from" in first else None
