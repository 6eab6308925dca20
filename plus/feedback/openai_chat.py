"""OpenAI's chat rows: {"messages": [{"role", "content"}, ...]}, as fine-tuning files and request logs hold them.

https://platform.openai.com/docs/guides/supervised-fine-tuning
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Place, Said, entries, said_of, stated_session, stated_time, stated_user
from plus.sources.messages import UnusableError
from plus.types import Entry

COLUMNS = ("messages",)


def is_mine(row: Mapping[str, Any]) -> bool:
    """Whether a row is of this format."""
    return isinstance(row.get("messages"), list)


def read(row: Mapping[str, Any], place: Place) -> Iterator[Entry]:
    """The events of one row. Raises UnusableError."""
    user_id = place.whose(*stated_user(row))
    time = place.time(stated_time(row))
    talk = spoken(row["messages"], place, time)
    yield from entries(talk, user_id, "openai_chat", stated_session(row), place)


def spoken(messages: Any, place: Place, time: float | None = None) -> list[Said]:
    """What was said in a list of messages. Raises UnusableError where nothing was."""
    if not isinstance(messages, list):
        raise UnusableError("rows whose messages are no list")
    talk = [said for message in messages if (said := said_of(message, place, time)) is not None]
    if not any(said.role == "user" for said in talk):
        raise UnusableError("rows in which no user says anything")
    return talk
