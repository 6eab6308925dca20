"""One row of a log while it is parsed: its place, user, time and session, and what is counted on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from plus.feedback.reactions import THUMB_NAMES, Votes
from plus.feedback.talks import Talks
from plus.sources.fields import UnusableError, seconds, text_of
from plus.types import Dropped

_DIGITS = 100_000  # ids of digits whose kind is remembered
NAMED = 50  # reasons that hold a name of the log's, such as a role: after so many, the others share one
_IN_ROW = (
    *("user_id", "userId", "user", "userID", "user.id", "attributes.user.id"),
    *("end_user_id", "from_end_user_id", "safety_identifier"),
)
_IN_METADATA = ("user_id", "userId", "user", "user.id", "langfuse_user_id")
_IN_USER = ("id", "user_id", "userId", "uuid", "_id", "email")
_TIMES = ("timestamp", "created_at", "createdAt", "created", "create_time", "time", "tstamp")
_SESSIONS = ("session_id", "sessionId", "conversation_id", "conversationId", "thread_id", "threadId", "chat_id")
# Columns that name a user to people, which no format reads.
_LIKE_A_USER = re.compile(
    r"(end|app|from|chat)?(user|customer|client|account|member|person|participant|respondent|annotator|worker|owner"
    r"|author|visitor|student|patient|employee|rater|judge|username|login|email|hashedip|demographicinformation)"
    r"(id|name|uuid|hash|key|email)?"
)


class OtherUserError(UnusableError):
    """Row that names another user than the rows before, in a column that is not read."""


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

    `repaired` counts values that are used, but not as the log has them. `user_column` names the user's column, with
    dots for what lies inside; `thumbs` are names of scores that are a user's thumb; `talks` are those read before.
    """

    where: str = ""
    user_id: str = ""
    dropped: Dropped = field(default_factory=Dropped)
    repaired: Dropped = field(default_factory=Dropped)
    user_column: str = ""
    thumbs: frozenset[str] = THUMB_NAMES
    votes: Votes = field(default_factory=Votes)
    talks: Talks | None = None
    lone: dict[str, str] = field(default_factory=dict)  # column that looks like a user's -> its first value
    kinds: dict[str, str] = field(default_factory=dict)  # id of digits -> whether it came as a number or as text

    def drop(self, reason: str, name: str | None = None) -> None:
        """Count a part of the row that is left out; `name` is a name of the log's that the reason holds."""
        if name is not None:
            shown = f"{reason} ({name[:40]!r})"
            reason = shown if shown in self.dropped or len(self.dropped) < NAMED else f"{reason} (other names)"
        self.dropped.add(reason, self.where)

    def repair(self, reason: str) -> None:
        """Count a value that is used, but not as the log has it."""
        self.repaired.add(reason, self.where)

    def user(self, *candidates: Any, row: Mapping[str, Any] | None = None) -> str:
        """Return the first candidate that is an id, else the default user.

        row: where the column of `user_column` is looked for, and columns that name several users. Raises UnusableError
        when there is no user, and OtherUserError when the default one would be given rows of several.
        """
        if self.user_column and row is not None:
            candidates = (inside(row, self.user_column),)
        for value in candidates:
            if (found := user_text(value)) is not None:
                self._note_kind(found, value)
                return text_of(found[:1000], "user")
        if not self.user_id:
            raise UnusableError("rows without a user (say whose they are with --user_id or --user_id_column)")
        for column, value in (row or {}).items():
            if _LIKE_A_USER.fullmatch(re.sub(r"[\W_]", "", column.lower())):
                self.lone_user(column, value)
        return self.user_id

    def _note_kind(self, user_id: str, value: Any) -> None:
        """Count an id that is a number in one row and text in another: both are taken for one user."""
        if user_id.isdigit() and (user_id in self.kinds or len(self.kinds) < _DIGITS):
            kind = type(value).__name__.replace("float", "int")
            if self.kinds.setdefault(user_id, kind) != kind:
                self.repair("user ids that are a number here and text there, taken for one user")

    def lone_user(self, column: str, value: Any) -> None:
        """Check that a column which looks like a user's has its first value only. Raises OtherUserError."""
        if (name := user_text(value)) is not None and self.lone.setdefault(column, name) != name:
            raise OtherUserError(
                f"rows whose {column!r} names another user than the rows before (read it with "
                f"--user_id_column {column})"
            )

    def time(self, value: Any) -> float | None:
        """Convert a time to seconds since 1970. An unreadable time is None, and counted as repaired."""
        try:
            return seconds(value)[0]
        except UnusableError:
            self.repair("times that cannot be read")
            return None


def user_text(value: Any) -> str | None:
    """Convert an id of a user to text; None for a value that is none."""
    # A table with gaps turns whole numbers into floats.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
        return str(value)
    return None


def id_text(value: Any) -> str:
    """Convert an id to text of at most 1,000 characters; "" for a value that is no text and no integer."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)[:1000].encode("utf-8", "replace").decode()
    return ""


def stated_user(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """List the values of the columns in which a row of a plain format may state its user."""
    plain = row.get("user_id")
    if isinstance(plain, str) and plain.strip():
        return (plain,)
    stated = [value for column in _IN_ROW if (value := row.get(column)) is not None]
    metadata = as_object(row.get("metadata"))
    stated += [metadata[column] for column in _IN_METADATA if column in metadata]
    found: list[Any] = []
    for value in stated:
        found += [value.get(column) for column in _IN_USER] if isinstance(value, dict) else [value]
    return tuple(found)


def stated_time(row: Mapping[str, Any]) -> Any:
    """Find the time of a row of a plain format, as it stands; None when the row states none."""
    return next((value for column in _TIMES if (value := row.get(column)) is not None), None)


def stated_session(row: Mapping[str, Any]) -> str:
    """Find the conversation id of a row of a plain format, or "". Its `id` is the id of one call, so it is not used."""
    found = id_text(next((value for column in _SESSIONS if (value := row.get(column)) is not None), None))
    if found:
        return found
    metadata = as_object(row.get("metadata"))
    return id_text(next((metadata[column] for column in _SESSIONS if metadata.get(column) is not None), None))


def as_object(value: Any) -> Mapping[str, Any]:
    """Return a value that is an object or the JSON of one, else an empty object."""
    if isinstance(value, str):
        value = decoded(value)
    return value if isinstance(value, dict) else {}


def decoded(value: Any, depth: int = 4) -> Any:
    """Decode JSON inside text, and JSON inside that, as exports and CSV cells hold it; leave any other value."""
    while depth and isinstance(value, str) and value.lstrip()[:1] in ("[", "{", '"'):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
        depth -= 1
    return value


def inside(row: Mapping[str, Any], path: str) -> Any:
    """Find a column, or the value inside that a path with dots names; None where there is none."""
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        value = as_object(value).get(name)
    return value
