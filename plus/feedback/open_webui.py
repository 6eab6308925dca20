"""Open WebUI: exported chats (a tree with thumbs) and exported feedback (a thumb with a snapshot of its chat).

A chat: {"id", "user_id", "chat": {"history": {"messages": {id: {role, content, parentId, childrenIds, annotation}},
"currentId"}}}. A feedback: {"id", "user_id", "type": "rating", "data": {"rating": 1 | -1, "comment", "reason"},
"meta": {"message_id", "chat_id"}, "snapshot": {"chat": a chat}}. A rating of 0 is a draw between two models, no thumb.
https://github.com/open-webui/open-webui/blob/main/backend/open_webui/models/feedbacks.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Node, Origin, path_to, reactions, read_tree
from plus.feedback.log_row import (
    UNKNOWN,
    DetachedReaction,
    LastReactions,
    ParseState,
    id_text,
    parse_message,
    parse_thumb,
)
from plus.sources.fields import UnusableError, text_of
from plus.types import Entry

COLUMNS = ("chat", "user_id")
FEEDBACK_COLUMNS = ("user_id", "data", "meta", "snapshot")


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is an exported chat."""
    return isinstance(row.get("chat"), dict)


def read(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the events of one chat. Raises UnusableError."""
    user_id = state.user(row.get("user_id"))
    nodes, current = _tree(row, state)
    session = id_text(row.get("id")) or id_text(row["chat"].get("id"))
    yield from read_tree(nodes, current, Origin(user_id, "open_webui", session), state)


def is_feedback(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is an exported feedback."""
    return isinstance(row.get("data"), dict) and isinstance(row.get("meta"), dict) and "snapshot" in row


def detached_reaction(row: Mapping[str, Any], state: ParseState) -> DetachedReaction | None:
    """Read the thumb of a feedback, without its comment; the id is user and message. None where either is missing."""
    rating = _vote(row["data"].get("rating"))
    message = id_text(row["meta"].get("message_id"))
    if rating is None or not message:
        return None
    return DetachedReaction(f"{id_text(row.get('user_id'))} {message}", rating, state.time(_time(row)))


def read_feedback(row: Mapping[str, Any], state: ParseState, last: LastReactions) -> Iterator[Entry]:
    """Read reaction and remark of one feedback; nothing where a later one overrules it. Raises UnusableError."""
    # Of several feedbacks to one message only the last is read.
    user_id = state.user(row.get("user_id"))
    reaction = detached_reaction(row, state)
    if reaction is None:
        raise UnusableError("reactions that are neither yes nor no, or name no message")
    if not last.is_last(reaction.message, state.where):
        return
    # The message and what led to it stand in the snapshot.
    snapshot = row["snapshot"].get("chat") if isinstance(row["snapshot"], dict) else None
    nodes, _ = _tree(snapshot, state) if isinstance(snapshot, dict) and is_mine(snapshot) else ({}, "")
    name = id_text(row["meta"].get("message_id"))
    if name not in nodes or (message := nodes[name].message) is None:
        raise UnusableError(UNKNOWN)
    before = [one for node in path_to(nodes, name)[:-1] if (one := nodes[node].message) is not None]
    message = message._replace(rating=reaction.label, comment=_comment(row["data"]), time=reaction.time)
    origin = Origin(user_id, "open_webui", id_text(row["meta"].get("chat_id")))
    yield from reactions(message, before, origin, name, state)


def _tree(row: Mapping[str, Any], state: ParseState) -> tuple[dict[str, Node], str]:
    history = row["chat"].get("history")
    messages = history.get("messages") if isinstance(history, dict) else None
    if not isinstance(history, dict) or not isinstance(messages, dict) or not messages:
        raise UnusableError("rows with an empty conversation")
    nodes = {str(name): _node(message, state) for name, message in messages.items() if isinstance(message, dict)}
    return nodes, id_text(history.get("currentId"))


def _node(message: Mapping[str, Any], state: ParseState) -> Node:
    children = message.get("childrenIds")
    names = tuple(id_text(child) for child in children) if isinstance(children, list) else ()
    parsed, annotation = parse_message(message, state), message.get("annotation")
    if parsed is not None and isinstance(annotation, dict):
        rating = _vote(annotation.get("rating"))
        if rating is None and annotation.get("rating") is not None:
            state.drop("reactions that are neither yes nor no")
        parsed = parsed._replace(rating=rating, comment=_comment(annotation))
    return Node(id_text(message.get("parentId")), names, parsed)


def _vote(value: Any) -> bool | None:
    """Parse a thumb in Open WebUI's numbers, in which 0 is neither up nor down."""
    return None if str(value).strip() in ("0", "0.0", "False") else parse_thumb(value)


def _comment(data: Mapping[str, Any]) -> str:
    comment = data.get("comment")
    return text_of(comment, "comment") if isinstance(comment, str) else ""


def _time(row: Mapping[str, Any]) -> Any:
    return row.get("updated_at") or row.get("created_at")
