"""Personalized messages: the one place where a profile joins a request.

The order is the app's own text, then the profile, then the conversation: the text that is the same for all
users stands first, so that providers can reuse it, and the app's rules come before anything about a
person.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from plus.errors import SettingError, WindowError
from plus.measures import estimate_tokens
from plus.profiles.sentences import split
from plus.prompts import fenced, unfenced
from plus.types import Summary

Placement = Literal["system", "developer", "user", "last_user"]
# A model that rejects one may take the next.
PLACEMENTS: tuple[Placement, ...] = ("developer", "system", "user", "last_user")
USER_PLACEMENTS = ("user", "last_user")
APP_ROLES = ("system", "developer")
MAX_TOKENS = 512


def personalize(
    messages: Iterable[Any], summary: Summary | str, *, max_tokens: int = MAX_TOKENS, placement: Placement = "system"
) -> list[Any]:
    """Put the profile into the messages; return a new list, the given one is not changed.

    The profile follows the app's text inside the same message, since many chat templates refuse a second
    system message. Where the app has none, it is a first message of role `placement`; "user" puts it before the
    first user message's text instead, for models that know neither role. Messages are dictionaries of the Chat
    Completions or the Responses protocol; items of other kinds pass through. An empty summary changes nothing.

    Raises WindowError when `max_tokens` (an estimate, `estimate_tokens`) cannot hold the first sentence.
    """
    if placement not in PLACEMENTS:
        raise SettingError(f"there is no placement {placement!r}; give one of {', '.join(PLACEMENTS)}")
    found = list(messages)
    # Without a summary nothing changes.
    if not (profile := profile_text(summary, max_tokens)):
        return found
    return placed([_cleaned(message) for message in found], profile, placement)


def placed(messages: list[Any], profile: str, placement: Placement) -> list[Any]:
    """Put a text about the user into messages that hold none; returns a new list."""
    if placement in USER_PLACEMENTS:
        return _before_user(messages, profile, last=placement == "last_user")
    # After the app's leading messages, inside the last of them.
    leading = 0
    while leading < len(messages) and _role(messages[leading]) in APP_ROLES:
        leading += 1
    if not leading:
        return [{"role": placement, "content": profile}, *messages]
    last = messages[leading - 1]
    return [
        *messages[: leading - 1], {**last, "content": joined(last.get("content"), profile)}, *messages[leading:],
    ]  # fmt: skip


def instructions(text: str | None, summary: Summary | str, *, max_tokens: int = MAX_TOKENS) -> str | None:
    """Put the profile after the app's text in the `instructions` of the Responses protocol."""
    profile = profile_text(summary, max_tokens)
    text = unfenced(text) if text and profile else text
    return f"{text}\n\n{profile}" if text and profile else profile or text


def profile_text(summary: Summary | str, max_tokens: int = MAX_TOKENS) -> str:
    """Fence the summary, cut to the whole sentences from its start that fit `max_tokens`; "" for an empty one."""
    text = (summary if isinstance(summary, str) else summary.text).strip()
    if not text or estimate_tokens(whole := fenced(text)) <= max_tokens:
        return whole if text else ""
    ends = [end for _, end in split(text)] or [len(text)]
    fitting = bisect_right(ends, max_tokens, key=lambda end: estimate_tokens(fenced(text[:end])))
    if not fitting:
        needed = estimate_tokens(fenced(text[: ends[0]]))
        raise WindowError(
            f"max_tokens={max_tokens} cannot hold the first sentence of the summary in its fence; it takes {needed}"
        )
    return fenced(text[: ends[fitting - 1]])


def without_profile(content: Any) -> Any:
    """Remove the profiles that stand in a content, texts or parts; parts that held nothing else go."""
    if isinstance(content, str):
        return unfenced(content)
    if not isinstance(content, list):
        return content
    kept = [{**part, "text": unfenced(part["text"])} if _is_text(part) else part for part in content]
    # A part that was empty before is the app's own.
    return [part for part, old in zip(kept, content, strict=True) if part == old or part["text"]]


def joined(first: Any, second: Any) -> Any:
    """Join two contents: texts as text, else as parts of the kind that is there."""
    if not first or not second:
        return first or second
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    parts = [*([] if isinstance(first, str) else first), *([] if isinstance(second, str) else second)]
    # Responses names its parts input_text, the others text.
    kind = "input_text" if any(_kind(part).startswith("input_") for part in parts) else "text"
    text = {"type": kind, "text": first if isinstance(first, str) else second}
    return [text, *parts] if isinstance(first, str) else [*parts, text]


def _role(message: Any) -> str | None:
    return message.get("role") if isinstance(message, Mapping) else None


def _kind(part: Any) -> str:
    return str(part.get("type", "")) if isinstance(part, Mapping) else ""


def _is_text(part: Any) -> bool:
    return isinstance(part, Mapping) and isinstance(part.get("text"), str)


def _cleaned(message: Any) -> Any:
    """Take earlier profiles out of a message; one without any is returned as it is."""
    if not isinstance(message, Mapping) or not isinstance(given := message.get("content"), str | list):
        return message
    content = without_profile(given)
    return message if content == given else {**message, "content": content}


def _before_user(messages: list[Any], profile: str, last: bool) -> list[Any]:
    places = [place for place, message in enumerate(messages) if _role(message) == "user"]
    if not places:
        return (
            [*messages, {"role": "user", "content": profile}]
            if last
            else [{"role": "user", "content": profile}, *messages]
        )
    place = places[-1 if last else 0]
    content = joined(profile, messages[place].get("content"))
    return [*messages[:place], {**messages[place], "content": content}, *messages[place + 1 :]]
