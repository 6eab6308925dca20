"""OpenAI's own records: responses, logged calls, stored completions, preference rows, and Codex's transcripts.

    openai_response      {"object": "response", "input", "output": [items]}, alone or as {"request", "response"}
    openai_call          {"request": {"messages"}, "response": {"choices"}}, also as `request_body` and the like
    openai_preference    {"input": {"messages"}, "preferred_output", "non_preferred_output"}
    codex                ~/.codex/sessions/*.jsonl, an item a line; what begins with a tag is not the user's

https://platform.openai.com/docs/api-reference/responses, .../guides/direct-preference-optimization
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.chats import rate_last, row_label
from plus.feedback.conversation import Origin, entries, first_answer, last_question
from plus.feedback.envelopes import read_answer, read_question
from plus.feedback.log_row import ParseState, as_object, decoded, id_text, stated_session, stated_time, stated_user
from plus.feedback.messages import parse_message, parse_messages, require_user
from plus.sources.fields import UnusableError
from plus.types import Entry, Event, Preference

CALL_COLUMNS, RESPONSE_COLUMNS = ("request", "response"), ("object", "input", "output")
PREFERENCE_COLUMNS = ("input", "preferred_output", "non_preferred_output")
CODEX_COLUMNS = ("timestamp", "type", "payload")
_PAIRS = (("request", "response"), ("request_body", "response_body"), ("body", "response"), ("req", "res"))
_CODEX_LINES = ("session_meta", "response_item", "event_msg", "turn_context", "compacted")


def is_call(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a logged call or a response."""
    if row.get("object") in ("response", "chat.completion") and ("input" in row or "messages" in row):
        return True
    request, response = _call(row)
    return bool(("messages" in request or "input" in request or "contents" in request) and response)


def read_call(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the exchange of one call. Raises UnusableError."""
    request, response = _call(row)
    request, response = request or row, response or row
    user_id = state.user(*stated_user(row), *stated_user(request), *stated_user(response), row=row)
    stated = next((time for part in (row, request, response) if (time := stated_time(part)) is not None), None)
    time = state.time(stated)
    asked = next((request[c] for c in ("messages", "input", "contents") if request.get(c)), None)
    answered = next((response[c] for c in ("choices", "output", "candidates", "content") if response.get(c)), None)
    talk = [*read_question(asked, state, time), *read_answer(answered, state, time)]
    require_user(talk)
    rating, comment = row_label(row, state)
    if rating is not None or comment:
        rate_last(talk, rating, comment, state)
    session = stated_session(row) or stated_session(request) or id_text(response.get("conversation"))
    own = id_text(row.get("id")) or id_text(response.get("id")) or ("" if time is None else str(time))
    yield from entries(talk, Origin(user_id, "openai_call", session, own), state)


def _call(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Find request and response of a logged call; empty where the row is none."""
    for asked, answered in _PAIRS:
        if row.get(asked) is not None and row.get(answered) is not None:
            response = as_object(row[answered])
            # The Batch API wraps the response once more.
            return as_object(row[asked]), as_object(response.get("body")) or response
    return {}, {}


def is_preference(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is an OpenAI preference."""
    return all(column in row for column in PREFERENCE_COLUMNS)


def read_preference(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the choice of one row. Raises UnusableError."""
    user_id = state.user(*stated_user(row), row=row)
    messages = as_object(row["input"]).get("messages")
    asked, earlier = last_question(parse_messages(messages, state))
    chosen, rejected = (_output(decoded(row[column]), state) for column in PREFERENCE_COLUMNS[1:])
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


def codex_part(row: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Read (session, message) from one line of Codex; None for a row that is none of its lines."""
    if row.get("type") not in _CODEX_LINES or not isinstance(row.get("payload"), dict):
        return None
    item = row["payload"]
    session = id_text(item.get("id")) if row["type"] == "session_meta" else ""
    content = item.get("content")
    if row["type"] != "response_item" or item.get("type") != "message" or not isinstance(content, list):
        is_call = row["type"] == "response_item" and item.get("type") != "message"
        return session, {"role": "tool", "content": "call" if is_call else ""}
    text = next((part["text"] for part in content if isinstance(part, dict) and "text" in part), "")
    # What Codex tells the model of its surroundings comes in the user's name.
    role = "system" if item.get("role") == "user" and str(text).lstrip().startswith("<") else item.get("role")
    message = {"role": role, "content": content, "timestamp": row.get("timestamp"), "id": id_text(item.get("id"))}
    return session, message


def read_codex(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the events of one transcript; `codex_part` read its lines. Raises UnusableError."""
    talk = parse_messages(row["messages"], state)
    yield from entries(talk, Origin(state.user(row=row), "codex", row["session"]), state)
