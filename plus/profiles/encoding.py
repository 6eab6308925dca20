"""What happened, as the JSON that a store holds: small, and equal for equal events."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

from plus.errors import ProfileError
from plus.types import Event, Preference, Reaction, Turn

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # one for all: json.dumps makes one a call


def to_json(event: Event) -> str:
    """The content of an event. Raises ProfileError for text that is no valid Unicode."""
    match event.content:
        case Preference(prompt, chosen, rejected, earlier):
            value: Any = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
        case Reaction(prompt, completion, label, earlier):
            value = {"prompt": prompt, "completion": completion, "label": label}
        case str(text):
            value, earlier = text, ()
        case turns:
            value, earlier = [[turn.role, turn.content] for turn in turns], ()
    if earlier:
        value["earlier"] = [[turn.role, turn.content] for turn in earlier]
    return valid(_encode(value), f"event {event.id!r}")


def from_json(text: str) -> Preference | Reaction | str | tuple[Turn, ...]:
    """The content again."""
    value = json.loads(text)
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return tuple(Turn(role, content) for role, content in value)
    earlier = tuple(Turn(role, content) for role, content in value.pop("earlier", ()))
    return Preference(**value, earlier=earlier) if "chosen" in value else Reaction(**value, earlier=earlier)


def identified(event: Event, encoded: str) -> str:
    """The event's id, or one made of what it says and when, so that the same event is the same again."""
    return event.id or hashlib.sha256(f"{event.kind} {event.time} {encoded}".encode()).hexdigest()[:16]


def is_held_out(event_id: str, share: float) -> bool:
    """A fixed `share` of all ids, the same on every machine and in every order."""
    return zlib.crc32(event_id.encode()) < share * 2**32


def valid(text: str, what: str) -> str:
    """`text`, if it can be written at all. Raises ProfileError."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ProfileError(
                f"{what} is no valid Unicode at character {error.start}; mend it at its source"
            ) from None
    return text
