"""WildChat: conversations of people known by a hashed address; https://huggingface.co/datasets/allenai/WildChat-1M."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Place, entries, label, stated_time
from plus.feedback.openai_chat import spoken
from plus.types import Entry

COLUMNS = ("conversation_hash", "conversation")


def is_mine(row: Mapping[str, Any]) -> bool:
    """Whether a row is of this format."""
    return isinstance(row.get("conversation"), list) and ("conversation_hash" in row or "hashed_ip" in row)


def read(row: Mapping[str, Any], place: Place) -> Iterator[Entry]:
    """The events of one conversation. Raises UnusableError."""
    talk = row["conversation"]
    user_id = place.whose(
        row.get("hashed_ip"), row.get("user_id"), *(one.get("hashed_ip") for one in talk if isinstance(one, dict))
    )
    said = spoken(talk, place, place.time(stated_time(row)))
    yield from entries(said, user_id, "wildchat", label(row.get("conversation_hash")), place)
