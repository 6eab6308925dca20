"""Rows of chats that many programs write: OpenAI's {messages}, ShareGPT's {conversations}, WildChat's {conversation}.

openai_chat    {"messages": [{"role", "content"}, ...]}, as fine-tuning files and request logs hold them; the answer
               of a logged call in `choices` or `response`; a label or rating of the row is a thumb on its last answer
sharegpt       {"conversations": [{"from": "human" | "gpt", "value"}, ...]}; also under `conversation` or `items`
chatbot_ui     {"history": [{"id", "messages"}, ...], "folders", "prompts"}, one object of many talks
wildchat       users known by a hashed address; https://huggingface.co/datasets/allenai/WildChat-1M
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Origin, entries
from plus.feedback.envelopes import read_answer
from plus.feedback.log_row import (
    LogMessage,
    ParseState,
    decoded,
    id_text,
    stated_session,
    stated_time,
    stated_user,
)
from plus.feedback.messages import parse_messages
from plus.feedback.reactions import NEITHER
from plus.sources.fields import text_of
from plus.types import Entry

OPENAI_COLUMNS, SHAREGPT_COLUMNS, WILDCHAT_COLUMNS = (
    ("messages",),
    ("conversations",),
    ("conversation_hash", "conversation"),
)
LABELS = (
    *("label", "rating", "thumb", "thumbs", "thumbs_up", "feedback", "user_feedback", "liked", "like", "vote"),
    *("reaction", "is_helpful", "helpful"),
)
_LABELS = frozenset(LABELS)
_ANSWERS = ("choices", "response", "completion", "output", "answer")
_COMMENTS = ("comment", "feedback_text", "feedback_comment", "feedback_content", "content")


def is_openai_chat(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is an OpenAI chat."""
    return isinstance(row.get("messages"), list)


def read_openai_chat(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the events of one row. Raises UnusableError."""
    yield from _read(row, row["messages"], "openai_chat", stated_user(row), stated_session(row), state)


def is_chatbot_ui(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a whole export of Chatbot UI."""
    return "folders" in row and "prompts" in row and isinstance(row.get("history"), list)


def expand_chatbot_ui(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the talks of an export, each as a row with its messages."""
    for talk in row["history"]:
        named = isinstance(talk, dict)
        yield {"session_id": talk.get("id"), **talk, "id": None} if named else {"history": talk}


def is_sharegpt(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a ShareGPT conversation."""
    return isinstance(_talk(row), list)


def read_sharegpt(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the events of one row. Raises UnusableError."""
    session = stated_session(row) or id_text(row.get("id"))
    yield from _read(row, _talk(row), "sharegpt", stated_user(row), session, state)


def is_wildchat(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a WildChat conversation."""
    return isinstance(row.get("conversation"), list) and ("conversation_hash" in row or "hashed_ip" in row)


def read_wildchat(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the events of one conversation. Raises UnusableError."""
    talk = row["conversation"]
    inside = (one.get("hashed_ip") for one in talk if isinstance(one, dict))
    users = (row.get("hashed_ip"), row.get("user_id"), *inside)
    yield from _read(row, talk, "wildchat", users, id_text(row.get("conversation_hash")), state)


def _read(
    row: Mapping[str, Any], messages: list[Any], source: str, users: tuple[Any, ...], session: str, state: ParseState
) -> Iterator[Entry]:
    """Read a row with its messages, the answer that stands beside them, and its label."""
    user_id = state.user(*users, row=row)
    stated = stated_time(row)
    time = state.time(stated)
    talk = parse_messages(messages, state, time)
    if talk[-1].role == "user":
        answer = next((row[column] for column in _ANSWERS if row.get(column) not in (None, "", [])), None)
        talk += read_answer(answer, state, time)
    rating, comment = row_label(row, state)
    if rating is not None or comment:
        rate_last(talk, rating, comment, state)
    own = id_text(row.get("id")) or ("" if time is None else str(time))
    yield from entries(talk, Origin(user_id, source, session, own), state)


def row_label(row: Mapping[str, Any], state: ParseState) -> tuple[bool | None, str]:
    """Read the label or rating of a row as a thumb, with the comment beside it; one that is no thumb is counted."""
    if _LABELS.isdisjoint(row):
        return None, ""
    column = next((column for column in LABELS if row.get(column) not in (None, "", [], {})), None)
    if column is None:
        return None, ""
    value, beside = decoded(row[column]), row
    if isinstance(value, dict):
        beside, names = value, ("rating", "score", "value", "thumb", "label")
        value = next((beside[name] for name in names if beside.get(name) is not None), None)
    rating = state.votes.vote(column, value)
    if rating is None:
        state.drop("labels and ratings that are no thumb", column)
    columns = _COMMENTS if beside is not row else _COMMENTS[:-1]
    comment = next((beside[name] for name in columns if isinstance(beside.get(name), str)), "")
    return rating, text_of(comment, "comment")


def rate_last(talk: list[LogMessage], rating: bool | None, comment: str, state: ParseState) -> None:
    """Put a thumb on the last answer of a talk; counted where there is none."""
    for number in range(len(talk) - 1, -1, -1):
        if talk[number].role == "assistant":
            talk[number] = talk[number]._replace(rating=rating, comment=comment)
            return
    state.drop(NEITHER if rating is None else "labels of rows without an answer")


def _talk(row: Mapping[str, Any]) -> Any:
    if "conversations" in row:
        return row["conversations"]
    talk = row.get("conversation", row.get("items"))
    first = talk[0] if isinstance(talk, list) and talk else None
    return talk if isinstance(first, dict) and ("from" in first or "role" in first) else None
