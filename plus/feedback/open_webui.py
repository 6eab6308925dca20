"""Open WebUI: exported chats (a tree with thumbs) and exported feedback (a thumb with the chat it was given in).

A chat: {"id", "user_id", "chat": {"history": {"messages": {id: {role, content, parentId, childrenIds, annotation}},
"currentId"}}}. A feedback: {"id", "user_id", "type": "rating", "data": {"rating": 1 | -1, "comment", "reason"},
"meta": {"message_id", "chat_id"}, "snapshot": {"chat": a chat}}; a rating of 0 is a draw between two models and no thumb.
https://github.com/open-webui/open-webui/blob/main/backend/open_webui/models/feedbacks.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Place, label, reactions, said_of
from plus.feedback.last_reaction import Given, LastWins
from plus.feedback.tree import Node, path_to, read_tree
from plus.sources.messages import UnusableError, text_of
from plus.types import Entry

COLUMNS = ("chat", "user_id")
FEEDBACK_COLUMNS = ("user_id", "data", "meta", "snapshot")


def is_mine(row: Mapping[str, Any]) -> bool:
    """Whether a row is an exported chat."""
    return isinstance(row.get("chat"), dict)


def read(row: Mapping[str, Any], place: Place) -> Iterator[Entry]:
    """The events of one chat. Raises UnusableError."""
    user_id = place.whose(row.get("user_id"))
    nodes, current = _tree(row, place)
    session = label(row.get("id")) or label(row["chat"].get("id"))
    yield from read_tree(nodes, current, user_id, "open_webui", session, place)


def is_feedback(row: Mapping[str, Any]) -> bool:
    """Whether a row is an exported feedback."""
    return isinstance(row.get("data"), dict) and isinstance(row.get("meta"), dict) and "snapshot" in row


def given(row: Mapping[str, Any], place: Place) -> Given | None:
    """The message that a feedback is about, and when it was given."""
    rating = _vote(row["data"].get("rating"))
    message = label(row["meta"].get("message_id"))
    if rating is None or not message:
        return None
    return Given(f"{label(row.get('user_id'))} {message}", rating, place.time(_time(row)))


def read_feedback(row: Mapping[str, Any], place: Place, last: LastWins) -> Iterator[Entry]:
    """The reaction and the remark of one feedback, if none after it was given to the same message. Raises UnusableError."""
    user_id = place.whose(row.get("user_id"))
    this = given(row, place)
    if this is None:
        raise UnusableError("reactions that are neither yes nor no, or name no message")
    if not last.is_last(this.message, place.where):
        return
    snapshot = row["snapshot"].get("chat") if isinstance(row["snapshot"], dict) else None
    nodes, _ = _tree(snapshot, place) if isinstance(snapshot, dict) and is_mine(snapshot) else ({}, "")
    name = label(row["meta"].get("message_id"))
    if name not in nodes or (said := nodes[name].said) is None:
        raise UnusableError("reactions to unknown messages")
    before = [one for node in path_to(nodes, name)[:-1] if (one := nodes[node].said) is not None]
    said = said._replace(rating=this.label, comment=_comment(row["data"]), time=this.time)
    yield from reactions(said, before, user_id, "open_webui", label(row["meta"].get("chat_id")), name, place)


def _tree(row: Mapping[str, Any], place: Place) -> tuple[dict[str, Node], str]:
    history = row["chat"].get("history")
    messages = history.get("messages") if isinstance(history, dict) else None
    if not isinstance(history, dict) or not isinstance(messages, dict) or not messages:
        raise UnusableError("rows with an empty conversation")
    nodes = {str(name): _node(message, place) for name, message in messages.items() if isinstance(message, dict)}
    return nodes, label(history.get("currentId"))


def _node(message: Mapping[str, Any], place: Place) -> Node:
    children = message.get("childrenIds")
    names = tuple(label(child) for child in children) if isinstance(children, list) else ()
    said, annotation = said_of(message, place), message.get("annotation")
    if said is not None and isinstance(annotation, dict):
        rating = _vote(annotation.get("rating"))
        if rating is None and annotation.get("rating") is not None:
            place.drop("reactions that are neither yes nor no")
        said = said._replace(rating=rating, comment=_comment(annotation))
    return Node(label(message.get("parentId")), names, said)


def thumb(value: Any) -> bool | None:
    """Up or down as programs write it; None of anything between."""
    if isinstance(value, str):
        value = value.strip().lower().replace("_", " ").replace("-", " ")
        named = {**dict.fromkeys(("up", "thumbs up", "thumb up", "like", "liked", "love", "positive", "good", "true", "yes", "1"), True),
                 **dict.fromkeys(("down", "thumbs down", "thumb down", "dislike", "disliked", "negative", "bad", "false", "no", "0", " 1"), False)}  # fmt: skip
        return named.get(value)
    if isinstance(value, bool | int | float) and value in (1, 0, -1):
        return value == 1
    return None


def _vote(value: Any) -> bool | None:
    """A thumb in this program's numbers, in which 0 is neither."""
    return None if str(value).strip() in ("0", "0.0", "False") else thumb(value)


def _comment(data: Mapping[str, Any]) -> str:
    comment = data.get("comment")
    return text_of(comment, "comment") if isinstance(comment, str) else ""


def _time(row: Mapping[str, Any]) -> Any:
    return row.get("updated_at") or row.get("created_at")
