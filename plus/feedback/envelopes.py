"""Question and answer inside what programs log of a call: messages, requests and responses of APIs, or text.

JSON inside text is decoded to its end. Read are the requests and responses of OpenAI (chat and Responses), Anthropic
and Gemini, LangChain's messages, and text under the names that applications give it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plus.feedback.log_row import LogMessage, ParseState, decoded
from plus.feedback.messages import CALLS, ROLES, message_text, parse_message, shown

_DEPTH = 6  # envelopes inside envelopes
_MESSAGES = ("messages", "contents", "chat_history", "history")
_TEXT_KEYS = (
    *("content", "text", "question", "query", "prompt", "input", "user_input", "message", "inputs"),
    *("answer", "output", "completion", "response", "result", "output_text", "outputs"),
)
_LANGCHAIN = ("human", "ai", "system", "tool", "function")


def first(row: Mapping[str, Any], *names: str) -> Any:
    """Find the first value that is neither None nor ""."""
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def read_question(value: Any, state: ParseState, time: float | None) -> list[LogMessage]:
    """Read what went into a call: the conversation so far, or the user's text. Raises UnusableError."""
    return _messages(value, "user", state, time, _DEPTH)


def read_answer(value: Any, state: ParseState, time: float | None) -> list[LogMessage]:
    """Read what came out of a call: the answer, without the conversation that some programs repeat before it.

    Raises UnusableError.
    """
    talk = _messages(value, "assistant", state, time, _DEPTH)
    start = next((number for number in range(len(talk), 0, -1) if talk[number - 1].role == "user"), 0)
    return talk[start:]


def _messages(value: Any, role: str, state: ParseState, time: float | None, depth: int) -> list[LogMessage]:
    """Parse an input or output. Raises UnusableError."""
    value = decoded(value)
    if depth and isinstance(value, list) and value:
        # Responses and LangChain list messages, and what else a model did, beside each other.
        if all(isinstance(one, dict) and _is_message(one) for one in value):
            return [message for one in value if (message := parse_message(one, state, time)) is not None]
        if any(isinstance(one, dict) and one.get("type") == "message" for one in value):
            return _items(value, state, time)
        if all(isinstance(one, list | dict) for one in value) and not _is_part(value[0]):
            return _messages(value[0], role, state, time, depth - 1)
    if depth and isinstance(value, dict):
        inner = _inside(value)
        if inner is not None:
            return _messages(inner, role, state, time, depth - 1)
        if _is_message(value):
            message = parse_message(value, state, time)
            return [message] if message is not None else []
        if not _is_part(value) and not isinstance(value.get("parts"), list):
            return _messages(first(value, *_TEXT_KEYS), role, state, time, depth - 1)
    text = message_text(value, state)
    if role == "assistant":
        text = shown(text, state)
    # The arguments of a function, as Python writes them, are nothing that a user said.
    if text.lstrip().startswith(("{'", "[{'")):
        state.drop(CALLS)
        return []
    return [LogMessage(role, text, "", time)] if text.strip() else []


def _items(items: list[Any], state: ParseState, time: float | None) -> list[LogMessage]:
    """Parse the items of a response: messages; thoughts and calls beside them are counted."""
    talk = []
    for item in items:
        if isinstance(item, dict) and item.get("type", "message") == "message":
            message = parse_message(item, state, time)
            talk += [message] if message is not None else []
        else:
            message_text([item], state)
    return talk


def _inside(value: Mapping[str, Any]) -> Any:
    """Find the messages that an envelope holds; None where it is none."""
    for column in _MESSAGES:
        if isinstance(value.get(column), list) and value[column]:
            return value[column]
    for column in ("choices", "candidates", "generations"):
        if isinstance(value.get(column), list) and value[column]:
            return value[column][0]
    for column in ("message", "content", "output", "data", "response", "kwargs"):
        if isinstance(value.get(column), dict | list) and not _is_message(value):
            return value[column]
    return None


def _is_message(value: Mapping[str, Any]) -> bool:
    """Tell whether an object is one message: by its role, or by LangChain's type."""
    if "role" in value or "from" in value:
        return True
    kind = value.get("id")
    if isinstance(kind, list) and kind and isinstance(value.get("kwargs"), dict):
        return str(kind[-1]).lower() in ROLES
    return value.get("type") in _LANGCHAIN and any(name in value for name in ("content", "data"))


def _is_part(value: Any) -> bool:
    """Tell whether an object is a part of a message rather than an envelope."""
    if not isinstance(value, dict):
        return True
    return isinstance(value.get("type"), str) and not _is_message(value) and "choices" not in value
