"""OpenAI's preference rows: {"input": {"messages"}, "preferred_output", "non_preferred_output"}.

https://platform.openai.com/docs/guides/direct-preference-optimization
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import first_answer, last_question
from plus.feedback.log_row import (
    ParseState,
    id_text,
    parse_message,
    parse_messages,
    stated_session,
    stated_time,
    stated_user,
)
from plus.sources.fields import UnusableError
from plus.types import Entry, Event, Preference

COLUMNS = ("input", "preferred_output", "non_preferred_output")


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is an OpenAI preference."""
    return all(column in row for column in COLUMNS)


def read(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the choice of one row. Raises UnusableError."""
    user_id = state.user(*stated_user(row))
    messages = row["input"].get("messages") if isinstance(row["input"], dict) else None
    asked, earlier = last_question(parse_messages(messages, state))
    chosen, rejected = (_output(row[column], state) for column in COLUMNS[1:])
    if asked is None or not chosen or not rejected:
        raise UnusableError("rows with an empty answer")
    if chosen == rejected:
        raise UnusableError("rows whose preferred output equals the other one")
    pair = Preference(asked.content, chosen, rejected, earlier)
    event = Event(id_text(row.get("id")), "choice", pair, state.time(stated_time(row)), "openai_preference")
    yield Entry(user_id, event, stated_session(row))


def _output(messages: Any, state: ParseState) -> str:
    if not isinstance(messages, list):
        raise UnusableError("rows whose outputs are no list of messages")
    return first_answer([parsed for message in messages if (parsed := parse_message(message, state)) is not None])
