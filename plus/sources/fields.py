"""Fields of a log row: texts, chat messages and times, read the way logs write them."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time
from typing import Any

from plus.types import Turn

MAX_CHARACTERS = 1_000_000  # A longer field is a log file or a fault, and no model reads it.
_ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "customer"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatbot", "ai", "chatgpt"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
_LABELS = {
    **dict.fromkeys(("true", "1", "1.0", "+1", "yes", "agree", "agreed", "like", "liked"), True),
    **dict.fromkeys(("up", "upvote", "upvoted", "thumbs up", "thumbs_up", "\N{THUMBS UP SIGN}"), True),
    **dict.fromkeys(("false", "0", "0.0", "-1", "-1.0", "no", "disagree", "disagreed", "dislike", "disliked"), False),
    **dict.fromkeys(("down", "downvote", "downvoted", "thumbs down", "thumbs_down", "\N{THUMBS DOWN SIGN}"), False),
}
# The size of a number tells its unit: as seconds, 1e11 is the year 5138; as milliseconds, it is 1973.
_UNITS = ((1e11, 1.0, "seconds"), (1e14, 1e3, "milliseconds"), (1e17, 1e6, "microseconds"), (1e20, 1e9, "nanoseconds"))
# Marks of the speakers in dialogues that are written as text.
_BEGINS = re.compile(r"\s*(?:Human|User): ?")
_MARK = re.compile(r"(?:\A|\n)\s*(Human|User|Assistant|AI): ?")
_ANSWERS = re.compile(r"\s*(?:Assistant|AI): ?")
_ZONE = re.compile(r"\s*(?:UTC|GMT)$")


class UnusableError(ValueError):
    """Reason for leaving out one row. It names a count, so it says nothing of the row itself."""


def turns_of(value: Any, column: str) -> tuple[Turn, ...]:
    """Read turns from {role, content} or ShareGPT's {from, value} messages, from one message, a dialogue or a text.

    Only the content is read: an assistant's stored reasoning is no part of what the user saw.
    Raises UnusableError.
    """
    if isinstance(value, str):
        return dialogue(text_of(value, column)) or (Turn("user", value),)
    if isinstance(value, dict):
        return (_turn(value, column),)
    if not isinstance(value, list | tuple) or not all(isinstance(item, dict) for item in value):
        raise UnusableError(f"rows whose {column!r} is neither text nor a list of messages")
    return tuple(_turn(message, column) for message in value)


def dialogue(text: str) -> tuple[Turn, ...]:
    """Cut a dialogue that is written as text ("Human: ...", "Assistant: ...") into turns; () for any other text.

    As in HH-RLHF it begins with the human, and a mark without words after it at the end is no turn.
    """
    if not _BEGINS.match(text):
        return ()
    pieces = _MARK.split(text)[1:]
    pairs = list(zip(pieces[::2], pieces[1::2], strict=True))
    if pairs[0][0] == "User" and len(pairs) == 1:
        return ()  # A lone "User:" may begin any text.
    said = [Turn("user" if name in ("Human", "User") else "assistant", words.strip()) for name, words in pairs]
    return tuple(said if said[-1].content else said[:-1])


def answer_of(text: str, prompt: str) -> str:
    """Cut an answer out of a text that repeats its prompt before it, or begins with the answerer's mark."""
    rest = text.strip()
    repeats = bool(prompt.strip()) and rest.startswith(prompt.strip()) and rest != prompt.strip()
    rest = rest[len(prompt.strip()) :].lstrip() if repeats else text
    found = _ANSWERS.match(rest)
    return rest[found.end() :] if found and (repeats or _BEGINS.match(prompt)) else rest


def text_of(value: Any, column: str) -> str:
    """Return a text that can be written as UTF-8 and has at most MAX_CHARACTERS. Raises UnusableError."""
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


def label_of(value: Any, column: str = "label") -> bool:
    """Read whether a user liked an answer: true, 1, yes, agree, like or up, and their opposites. Raises UnusableError.

    0 is an opposite of 1, as -1 is; where both occur 0 is a pass (`is_zero`).
    """
    label = _LABELS.get(str(value).strip().lower())
    if label is None:
        raise UnusableError(f"rows whose {column} is neither true nor false")
    return label


def is_zero(label: Any) -> bool:
    """Tell a label that is the number 0, which beside labels of -1 is a pass."""
    return str(label).strip() in ("0", "0.0")


def is_minus_one(label: Any) -> bool:
    """Tell a label that is the number -1."""
    return str(label).strip() in ("-1", "-1.0")


def seconds(value: Any) -> tuple[float | None, str]:
    """Read a time as (seconds since 1970, the format found); (None, "none") where no value is given.

    Numbers may be in any unit; ISO texts, dates and times without a zone are UTC. Raises UnusableError
    for a value that cannot be read: an event at an unknown time may be newer than its targets.
    """
    if value is None or value == "":
        return None, "none"
    if isinstance(value, datetime | date):
        moment = value if isinstance(value, datetime) else datetime.combine(value, time())
        return _utc(moment), "dates"
    if isinstance(value, str):
        return _from_text(value.strip())
    # An int may be too large to be any float, so only floats are asked whether they are finite.
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        raise UnusableError("rows whose timestamp cannot be read")
    # The first unit under whose limit the number lies.
    for limit, scale, name in _UNITS:
        if abs(value) < limit:
            return value / scale, name
    raise UnusableError("rows whose timestamp cannot be read")


def _from_text(text: str) -> tuple[float, str]:
    try:
        number, name = seconds(float(text))
        return number or 0.0, name
    except ValueError:  # Also the UnusableError of "nan" and "1e99", which are no dates either.
        pass
    try:
        return _utc(datetime.fromisoformat(_ZONE.sub("+00:00", text))), "ISO texts"
    except (ValueError, OverflowError):
        raise UnusableError("rows whose timestamp cannot be read") from None


def _utc(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
