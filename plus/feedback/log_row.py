"""One row of a log while it is parsed: messages, user, time and session, and reactions logged apart from messages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from plus.sources.fields import UnusableError, seconds, text_of
from plus.types import Dropped

OVERRULED, UNKNOWN = "reactions that a later one overrules", "reactions to unknown messages"
_ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "customer"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatbot", "ai", "chatgpt"), "assistant"),
}  # fmt: skip
# Thumbs in lower case, with blanks for dashes: so " 1" is -1.
_UP = ("up", "thumbs up", "thumb up", "like", "liked", "love", "positive", "good", "true", "yes", "1")
_DOWN = ("down", "thumbs down", "thumb down", "dislike", "disliked", "negative", "bad", "false", "no", "0", " 1")
_THUMBS = {**dict.fromkeys(_UP, True), **dict.fromkeys(_DOWN, False)}


class LogMessage(NamedTuple):
    """Visible message of a log; `rating` is the user's thumb on it, `comment` the text written beside the thumb."""

    role: str
    content: str
    id: str = ""
    time: float | None = None
    rating: bool | None = None
    comment: str = ""


@dataclass
class ParseState:
    """Location, default user and drop counters of the row being parsed.

    `repaired` counts values that are used, but not as the log has them.
    """

    where: str = ""
    user_id: str = ""
    dropped: Dropped = field(default_factory=Dropped)
    repaired: Dropped = field(default_factory=Dropped)

    def drop(self, reason: str) -> None:
        """Count a part of the row that is left out."""
        self.dropped.add(reason, self.where)

    def repair(self, reason: str) -> None:
        """Count a value that is used, but not as the log has it."""
        self.repaired.add(reason, self.where)

    def user(self, *candidates: Any) -> str:
        """Return the first candidate that is an id, else the default user. Raises UnusableError when there is none."""
        for value in candidates:
            # A table with gaps turns whole numbers into floats.
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
                return text_of(str(value)[:1000], "user")
        if not self.user_id:
            raise UnusableError("rows without a user (say whose they are with --user_id)")
        return self.user_id

    def time(self, value: Any) -> float | None:
        """Convert a time to seconds since 1970. An unreadable time is None, and counted as repaired."""
        try:
            return seconds(value)[0]
        except UnusableError:
            self.repair("times that cannot be read")
            return None


def id_text(value: Any) -> str:
    """Convert an id to text of at most 1,000 characters; "" for a value that is no text and no integer."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)[:1000].encode("utf-8", "replace").decode()
    return ""


def parse_messages(messages: Any, state: ParseState, time: float | None = None) -> list[LogMessage]:
    """Parse a list of messages; `time` is the default. Raises UnusableError when the user says nothing in it."""
    if not isinstance(messages, list):
        raise UnusableError("rows whose messages are no list")
    talk = [parsed for message in messages if (parsed := parse_message(message, state, time)) is not None]
    if not any(message.role == "user" for message in talk):
        raise UnusableError("rows in which no user says anything")
    return talk


def parse_message(message: Any, state: ParseState, time: float | None = None) -> LogMessage | None:
    """Parse {role, content} or {from, value}; None for an empty message and for one of a tool or the system.

    `time` is used when the message states none. Raises UnusableError for a value that is no message.
    """
    if not isinstance(message, dict):
        raise UnusableError("rows with a message that is no object")
    role = message.get("role", message.get("from"))
    if not isinstance(role, str):
        raise UnusableError("rows with a message without a role")
    # Tools, systems, and messages without text are not shown to a user.
    if role.lower() not in _ROLES:
        return None
    text = message_text(message.get("content", message.get("value")), state)
    if not text.strip():
        return None
    # Its own time wins over the row's.
    stated = next((message[c] for c in ("timestamp", "created_at", "create_time") if message.get(c) is not None), None)
    sent = time if stated is None else state.time(stated)
    return LogMessage(_ROLES[role.lower()], text, id_text(message.get("id")), sent)


def message_text(content: Any, state: ParseState) -> str:
    """Join the text parts of a message's content; other parts are counted as dropped. Raises UnusableError."""
    if content is None:
        return ""
    # ChatGPT holds {content_type, parts}, OpenAI a list of parts, others text.
    if isinstance(content, dict):
        content = content.get("parts") or [content]
    if not isinstance(content, list):
        return text_of(content, "content")
    texts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            texts.append(text_of(text, "content"))
        else:
            state.drop("parts of messages that are no text")
    return "\n".join(text for text in texts if text)


def stated_user(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """List the values of the columns in which a row of a plain format may state its user."""
    metadata = row.get("metadata")
    inside = metadata if isinstance(metadata, dict) else {}
    columns = ("user_id", "user", "safety_identifier")
    return (*(row.get(column) for column in columns), inside.get("user_id"), inside.get("user"))


def stated_time(row: Mapping[str, Any]) -> Any:
    """Find the time of a row of a plain format, as it stands; None when the row states none."""
    return next((row[c] for c in ("timestamp", "created_at", "created", "time") if row.get(c) is not None), None)


def stated_session(row: Mapping[str, Any]) -> str:
    """Find the conversation id of a row of a plain format, or "". Its `id` is the id of one call, so it is not used."""
    columns = ("session_id", "conversation_id", "thread_id")
    return id_text(next((row[column] for column in columns if row.get(column) is not None), None))


def parse_thumb(value: Any) -> bool | None:
    """Parse a thumb as programs write it: True for up, False for down, None for any other value."""
    if isinstance(value, str):
        return _THUMBS.get(value.strip().lower().replace("_", " ").replace("-", " "))
    if isinstance(value, bool | int | float) and value in (1, 0, -1):
        return value == 1
    return None


class DetachedReaction(NamedTuple):
    """Reaction logged apart from its message: the message's id, up or down, time, and the comment beside it."""

    message: str
    label: bool
    time: float | None = None
    comment: str = ""


class _Stored(NamedTuple):
    label: bool
    time: float | None
    comment: str
    where: str
    used: bool


class LastReactions:
    """Last detached reaction to each message, with its location; earlier ones are counted as dropped.

    Reactions are collected before the messages are read. They lie in a temporary SQLite table, so memory stays bounded.
    """

    def __init__(self, dropped: Dropped) -> None:
        self.dropped = dropped
        self.table = sqlite3.connect("", isolation_level=None)  # "": a private file, deleted when it is closed.
        self.table.execute(
            "CREATE TABLE reactions"
            "(message TEXT PRIMARY KEY, label INTEGER, time REAL, comment TEXT, place TEXT, used INTEGER)"
        )
        self.table.execute("BEGIN")

    def add(self, reaction: DetachedReaction, where: str) -> None:
        """Store a reaction unless a later one is known; without times the one that is read later is the last."""
        known = self._find(reaction.message)
        if known is not None:
            is_older = known.time is not None and reaction.time is not None and reaction.time < known.time
            self.dropped.add(OVERRULED, where if is_older else known.where)
            if is_older:
                return
        self.table.execute("REPLACE INTO reactions VALUES (?, ?, ?, ?, ?, 0)", (*reaction, where))

    def is_last(self, message: str, where: str) -> bool:
        """Tell whether the reaction at `where` is the last one to its message; if so it is marked as used."""
        known = self._find(message)
        if known is None or known.where != where:
            return False
        self._use(message)
        return True

    def take(self, message: str) -> DetachedReaction | None:
        """Return the reaction to a message and mark it as used; None when there is none or it was used before."""
        known = self._find(message)
        if known is None or known.used:
            return None
        self._use(message)
        return DetachedReaction(message, bool(known.label), known.time, known.comment)

    def unused(self) -> Iterator[str]:
        """Yield the location of each reaction for which no message was found."""
        query = "SELECT place FROM reactions WHERE NOT used ORDER BY rowid"
        yield from (where for (where,) in self.table.execute(query))

    def _use(self, message: str) -> None:
        self.table.execute("UPDATE reactions SET used = 1 WHERE message = ?", (message,))

    def _find(self, message: str) -> _Stored | None:
        query = "SELECT label, time, comment, place, used FROM reactions WHERE message = ?"
        row = self.table.execute(query, (message,)).fetchone()
        return None if row is None else _Stored(*row)
