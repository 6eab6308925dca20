"""Rows of preferences and of rated answers: TRL's columns, and flat rows in the words of applications.

rows    {prompt, chosen, rejected} or {prompt, completion, label}, as plus and TRL write them
flat    one exchange a row, such as {query, answer, rating}: Dify's feedback, tables, webhooks; --map names others
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from plus.feedback.chats import rate_last, row_label
from plus.feedback.conversation import Origin, entries
from plus.feedback.envelopes import read_answer, read_question
from plus.feedback.log_row import ParseState, id_text, stated_session, stated_time, stated_user
from plus.feedback.messages import require_user
from plus.sources.fields import UnusableError
from plus.sources.rows import READ, read_row
from plus.types import Entry

COLUMNS = ("chosen", "rejected")
FLAT_COLUMNS = ("query", "answer", "rating")
_PROMPTS = ("prompt", "query", "question", "instruction", "user_message", "user_input", "request", "input")
ANSWERS = (
    *("completion", "answer", "response", "output", "reply", "assistant_message", "bot_response", "model_response"),
    "generation",
)


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a preference or a reaction."""
    return ("chosen" in row and "rejected" in row) or ("completion" in row and "label" in row)


def read(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the event of one row. Raises UnusableError."""
    if "chosen" not in row and state.votes.vote("label", row["label"]) is None:
        raise UnusableError("rows whose label is neither true nor false")
    known = {column: row[column] for column in READ if column in row}
    found = read_row({**known, "user_id": state.user(*stated_user(row), row=row)})
    event = found.event if found.event.time is not None else replace(found.event, time=state.time(stated_time(row)))
    yield Entry(found.user_id, event, found.session_id or stated_session(row))


def is_flat(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is an exchange under other names."""
    asked, answered = _columns(row)
    return bool(asked and answered and isinstance(row[asked], str) and isinstance(row[answered], str))


def read_flat(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the exchange of one row and the reaction to it. Raises UnusableError."""
    user_id = state.user(*stated_user(row), row=row)
    time = state.time(stated_time(row))
    asked, answered = _columns(row)
    talk = [*read_question(row[asked], state, time), *read_answer(row[answered], state, time)]
    require_user(talk)
    rating, comment = row_label(row, state)
    # Dify says who rated: the user, or an administrator.
    if str(row.get("from_source")).lower() == "admin" and rating is not None:
        state.drop("scores of reviewers")
        rating, comment = None, ""
    comment = comment or (row["content"] if isinstance(row.get("content"), str) and rating is not None else "")
    own = id_text(row.get("message_id")) or id_text(row.get("id")) or ("" if time is None else str(time))
    if rating is not None or comment:
        rate_last(talk, rating, comment, state)
    yield from entries(talk, Origin(user_id, "flat", stated_session(row), own), state)


def _columns(row: Mapping[str, Any]) -> tuple[str, str]:
    """Find the columns of question and answer; "" where there is none."""
    asked = next((column for column in _PROMPTS if row.get(column) is not None), "")
    return asked, next((column for column in ANSWERS if row.get(column) is not None and column != asked), "")
