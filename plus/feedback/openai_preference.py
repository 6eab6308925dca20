"""OpenAI's preference rows: {"input": {"messages"}, "preferred_output", "non_preferred_output"}.

https://platform.openai.com/docs/guides/direct-preference-optimization
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import (
    Place,
    asked_in,
    first_answer,
    label,
    said_of,
    stated_session,
    stated_time,
    stated_user,
)
from plus.feedback.openai_chat import spoken
from plus.sources.messages import UnusableError
from plus.types import Entry, Event, Preference

COLUMNS = ("input", "preferred_output", "non_preferred_output")


def is_mine(row: Mapping[str, Any]) -> bool:
    """Whether a row is of this format."""
    return all(column in row for column in COLUMNS)


def read(row: Mapping[str, Any], place: Place) -> Iterator[Entry]:
    """The choice of one row. Raises UnusableError."""
    user_id = place.whose(*stated_user(row))
    asked_for = row["input"]
    asked, earlier = asked_in(spoken(asked_for.get("messages") if isinstance(asked_for, dict) else None, place))
    chosen, rejected = (_output(row[column], place) for column in COLUMNS[1:])
    if asked is None or not chosen or not rejected:
        raise UnusableError("rows with an empty answer")
    if chosen == rejected:
        raise UnusableError("rows whose preferred output equals the other one")
    pair = Preference(asked.content, chosen, rejected, earlier)
    event = Event(label(row.get("id")), "choice", pair, place.time(stated_time(row)), "openai_preference")
    yield Entry(user_id, event, stated_session(row))


def _output(messages: Any, place: Place) -> str:
    if not isinstance(messages, list):
        raise UnusableError("rows whose outputs are no list of messages")
    return first_answer([said for message in messages if (said := said_of(message, place)) is not None])
