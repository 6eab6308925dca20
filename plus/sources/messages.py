"""Chat messages as people store them, read into turns with the roles system, user and assistant."""

from __future__ import annotations

from typing import Any

from plus.types import Turn

MAX_CHARACTERS = 1_000_000  # A longer field is a log file or a fault, and no model reads it.
_ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "customer"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatbot", "ai", "chatgpt"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}


class UnusableError(ValueError):
    """Why one row is left out; the reason is a count's name, so it says nothing of the row itself."""


def turns_of(value: Any, column: str) -> tuple[Turn, ...]:
    """Turns from {role, content} or ShareGPT's {from, value} messages, from one message or from text.

    Only the content is read: an assistant's stored reasoning is no part of what the user saw.
    Raises UnusableError.
    """
    if isinstance(value, str):
        return (Turn("user", text_of(value, column)),)
    if isinstance(value, dict):
        return (_turn(value, column),)
    if not isinstance(value, list | tuple) or not all(isinstance(item, dict) for item in value):
        raise UnusableError(f"rows whose {column!r} is neither text nor a list of messages")
    return tuple(_turn(message, column) for message in value)


def text_of(value: Any, column: str) -> str:
    """Text that can be written and is not absurdly long. Raises UnusableError."""
    if not isinstance(value, str):
        raise UnusableError(f"rows whose {column!r} is no text")
    if len(value) > MAX_CHARACTERS:
        raise UnusableError(f"rows with more than {MAX_CHARACTERS:,} characters in {column!r}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UnusableError(f"rows whose {column!r} is no valid Unicode") from None
    return value


def _turn(message: dict[str, Any], column: str) -> Turn:
    role = message.get("role", message.get("from"))
    if role is None:
        raise UnusableError(f"rows whose {column!r} has a message without a role")
    if str(role).lower() not in _ROLES:
        raise UnusableError(f"rows whose {column!r} has a role other than system, user or assistant")
    content = message.get("content", message.get("value"))
    if isinstance(content, list):  # OpenAI's parts: text is joined, and an image cannot be read.
        if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
            raise UnusableError(f"rows whose {column!r} has a message with parts that are no text")
        content = "\n".join(part["text"] for part in content)
    return Turn(_ROLES[str(role).lower()], text_of(content, column))
