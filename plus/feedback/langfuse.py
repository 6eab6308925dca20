"""Langfuse: traces or observations with what went in and came out, and the users' scores on them.

The tables' export (JSON, JSONL, CSV: `userId`, `sessionId`, `input`, `output`, `scores`) and the blob storage's
(`observations_v2/`, `traces/`, `scores/`: `user_id`, `trace_id`, `data_type`, `string_value`). A score stands in a file
of its own; give both. https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Place, Said, entries, label, said_of, visible
from plus.feedback.last_reaction import Given, LastWins
from plus.feedback.open_webui import thumb
from plus.sources.messages import UnusableError, text_of
from plus.types import Entry

COLUMNS = ("id", "input", "output")
SCORE_COLUMNS = ("name", "value", "trace_id")


def is_mine(row: Mapping[str, Any]) -> bool:
    """Whether a row is a trace or an observation."""
    return "input" in row and "output" in row and "id" in row


def is_score(row: Mapping[str, Any]) -> bool:
    """Whether a row is a score."""
    about = _first(row, "trace_id", "traceId", "observation_id", "observationId")
    return about is not None and "name" in row and any(name in row for name in ("value", "string_value", "stringValue"))


def given(row: Mapping[str, Any], place: Place) -> Given | None:
    """What a person's score says, or None where it is an evaluator's or neither yes nor no."""
    if str(row.get("source", "")).upper() == "EVAL":
        return None
    about = label(_first(row, "observation_id", "observationId")) or label(_first(row, "trace_id", "traceId"))
    value = _rating(row)
    if value is None or not about:
        return None
    comment = row.get("comment")
    text = text_of(comment, "comment") if isinstance(comment, str) else ""
    return Given(about, value, place.time(_first(row, "timestamp", "updated_at", "created_at")), text)


def read(row: Mapping[str, Any], place: Place, last: LastWins) -> Iterator[Entry]:
    """The exchange of one trace or observation, with the reaction that belongs to it. Raises UnusableError."""
    if str(row.get("type", "GENERATION")).upper() not in ("GENERATION", "AGENT", "CHAIN", "SPAN"):
        raise UnusableError("observations that are no answer of a model")
    about = row.get("metadata")
    inside = about if isinstance(about, dict) else {}
    user_id = place.whose(_first(row, "userId", "user_id"), inside.get("user_id"), inside.get("userId"))
    time = place.time(_first(row, "timestamp", "startTime", "start_time", "createdAt"))
    talk = [
        *_said(_parsed(row["input"]), "user", place, time),
        *_said(_parsed(row["output"]), "assistant", place, time),
    ]
    if not any(said.role == "user" for said in talk):
        raise UnusableError("rows in which no user says anything")
    session = label(_first(row, "sessionId", "session_id"))
    if talk[-1].role == "assistant":
        talk[-1] = talk[-1]._replace(id=label(row["id"]))
        if (found := _reaction(row, place, last)) is not None:
            talk[-1] = talk[-1]._replace(rating=found.label, comment=found.comment)
    yield from entries(talk, user_id, "langfuse", session, place)


def _reaction(row: Mapping[str, Any], place: Place, last: LastWins) -> Given | None:
    """The score on this row: one in a file of scores, else one in its own column."""
    for name in (row.get("id"), _first(row, "trace_id", "traceId")):
        if (found := last.take(label(name))) is not None:
            return found
    found = None
    for value in _inside(_parsed(row.get("scores"))):
        rating = _rating(value)
        if rating is None:
            place.drop("scores that are neither yes nor no")
            continue
        if found is not None:
            place.drop("reactions that a later one overrules")
        comment = value.get("comment")
        found = Given("", rating, None, text_of(comment, "comment") if isinstance(comment, str) else "")
    return found


def _inside(scores: Any) -> Iterator[Mapping[str, Any]]:
    """Scores in a row: a list of objects, or {name: value or values}."""
    if isinstance(scores, list):
        yield from (one for one in scores if isinstance(one, dict) and str(one.get("source", "")).upper() != "EVAL")
    elif isinstance(scores, dict):
        for value in scores.values():
            yield from ({"value": one} for one in (value if isinstance(value, list) else [value]))


def _rating(score: Mapping[str, Any]) -> bool | None:
    for name in ("value", "string_value", "stringValue"):
        if (found := thumb(score.get(name))) is not None:
            return found
    return None


def _said(value: Any, role: str, place: Place, time: float | None) -> list[Said]:
    """What an input or an output says: messages, a message, or text under one of the usual names. Raises UnusableError."""
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = value["messages"]
    if isinstance(value, list) and all(isinstance(one, dict) and "role" in one for one in value):
        return [said for one in value if (said := said_of(one, place, time)) is not None]
    if isinstance(value, dict) and "role" in value:
        said = said_of(value, place, time)
        return [said] if said is not None else []
    if isinstance(value, dict):
        value = _first(value, "content", "text", "question", "query", "prompt", "input", "answer", "output", "completion", "response")  # fmt: skip
    text = visible(value, place)
    return [Said(role, text, "", time)] if text.strip() else []


def _parsed(value: Any) -> Any:
    """Blob exports and CSV cells hold JSON as text."""
    if isinstance(value, str) and value[:1] in ("[", "{", '"'):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _first(row: Mapping[str, Any], *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)
