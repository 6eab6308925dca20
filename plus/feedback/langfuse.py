"""Langfuse: traces or observations with their input and output, and the users' scores on them.

Two exports are read: the tables' (JSON, JSONL, CSV: `userId`, `sessionId`, `input`, `output`, `scores`) and the blob
storage's (`observations_v2/`, `traces/`, `scores/`: `user_id`, `trace_id`, `data_type`, `string_value`). The latter has
scores in files of their own; give both. https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Origin, entries
from plus.feedback.log_row import (
    OVERRULED,
    DetachedReaction,
    LastReactions,
    LogMessage,
    ParseState,
    id_text,
    message_text,
    parse_message,
    parse_thumb,
)
from plus.sources.fields import UnusableError, text_of
from plus.types import Entry

COLUMNS = ("id", "input", "output")
SCORE_COLUMNS = ("name", "value", "trace_id")
_TEXT_KEYS = (
    *("content", "text", "question", "query", "prompt", "input"),
    *("answer", "output", "completion", "response"),
)


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a trace or an observation."""
    return "input" in row and "output" in row and "id" in row


def is_score(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a score."""
    about = _first(row, "trace_id", "traceId", "observation_id", "observationId")
    return about is not None and "name" in row and any(name in row for name in ("value", "string_value", "stringValue"))


def detached_reaction(row: Mapping[str, Any], state: ParseState) -> DetachedReaction | None:
    """Read a user's score; None for an evaluator's and for one that is neither yes nor no."""
    if _is_evaluator(row):
        return None
    about = id_text(_first(row, "observation_id", "observationId")) or id_text(_first(row, "trace_id", "traceId"))
    value = _rating(row)
    if value is None or not about:
        return None
    time = state.time(_first(row, "timestamp", "updated_at", "created_at"))
    return DetachedReaction(about, value, time, _comment(row))


def read(row: Mapping[str, Any], state: ParseState, last: LastReactions) -> Iterator[Entry]:
    """Read the exchange of one trace or observation and the reaction to it. Raises UnusableError."""
    if str(row.get("type", "GENERATION")).upper() not in ("GENERATION", "AGENT", "CHAIN", "SPAN"):
        raise UnusableError("observations that are no answer of a model")
    # 1. User, time and messages of the row.
    metadata = row.get("metadata")
    inside = metadata if isinstance(metadata, dict) else {}
    user_id = state.user(_first(row, "userId", "user_id"), inside.get("user_id"), inside.get("userId"))
    time = state.time(_first(row, "timestamp", "startTime", "start_time", "createdAt"))
    talk = [
        *_messages(_parsed(row["input"]), "user", state, time),
        *_messages(_parsed(row["output"]), "assistant", state, time),
    ]
    if not any(message.role == "user" for message in talk):
        raise UnusableError("rows in which no user says anything")
    session = id_text(_first(row, "sessionId", "session_id"))
    # 2. Its reaction is one to the last answer, under the id of the row.
    if talk[-1].role == "assistant":
        talk[-1] = talk[-1]._replace(id=id_text(row["id"]))
        if (found := _reaction(row, state, last)) is not None:
            talk[-1] = talk[-1]._replace(rating=found.label, comment=found.comment)
    yield from entries(talk, Origin(user_id, "langfuse", session), state)


def _reaction(row: Mapping[str, Any], state: ParseState, last: LastReactions) -> DetachedReaction | None:
    """Find the score of a row: one from a file of scores, else the last one in the row's own column."""
    # A score of the observation wins over one of its trace.
    for name in (row.get("id"), _first(row, "trace_id", "traceId")):
        if (found := last.take(id_text(name))) is not None:
            return found
    found = None
    for value in _own_scores(_parsed(row.get("scores"))):
        rating = _rating(value)
        if rating is None:
            state.drop("scores that are neither yes nor no")
            continue
        # The last score wins, as with scores in a file.
        if found is not None:
            state.drop(OVERRULED)
        found = DetachedReaction("", rating, None, _comment(value))
    return found


def _own_scores(scores: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the users' scores in a row's column: a list of objects, or {name: value or values}."""
    if isinstance(scores, list):
        yield from (score for score in scores if isinstance(score, dict) and not _is_evaluator(score))
    elif isinstance(scores, dict):
        for value in scores.values():
            yield from ({"value": one} for one in (value if isinstance(value, list) else [value]))


def _rating(score: Mapping[str, Any]) -> bool | None:
    for name in ("value", "string_value", "stringValue"):
        if (found := parse_thumb(score.get(name))) is not None:
            return found
    return None


def _is_evaluator(score: Mapping[str, Any]) -> bool:
    return str(score.get("source", "")).upper() == "EVAL"


def _comment(score: Mapping[str, Any]) -> str:
    comment = score.get("comment")
    return text_of(comment, "comment") if isinstance(comment, str) else ""


def _messages(value: Any, role: str, state: ParseState, time: float | None) -> list[LogMessage]:
    """Parse an input or output: messages, a message, or text under one of `_TEXT_KEYS`. Raises UnusableError."""
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = value["messages"]
    if isinstance(value, list) and all(isinstance(one, dict) and "role" in one for one in value):
        return [message for one in value if (message := parse_message(one, state, time)) is not None]
    if isinstance(value, dict) and "role" in value:
        message = parse_message(value, state, time)
        return [message] if message is not None else []
    if isinstance(value, dict):
        value = _first(value, *_TEXT_KEYS)
    text = message_text(value, state)
    return [LogMessage(role, text, "", time)] if text.strip() else []


def _parsed(value: Any) -> Any:
    """Decode JSON inside text, as blob exports and CSV cells hold it; any other value stays as it is."""
    if isinstance(value, str) and value[:1] in ("[", "{", '"'):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _first(row: Mapping[str, Any], *names: str) -> Any:
    """Find the first value that is neither None nor ""."""
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)
