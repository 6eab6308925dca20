"""Self-hosted chat programs: Open WebUI and LibreChat, which keep trees of messages with thumbs.

Open WebUI: exported chats (a tree with thumbs) and exported feedback (a thumb with a snapshot of its chat).

A chat: {"id", "user_id", "chat": {"history": {"messages": {id: {role, content, parentId, childrenIds, annotation}},
"currentId"}}}. A feedback: {"id", "user_id", "type": "rating", "data": {"rating": 1 | -1, "comment", "reason"},
"meta": {"message_id", "chat_id"}, "snapshot": {"chat": a chat}}. A rating of 0 is a draw between two models, no thumb.
Where a question went to several models (`models`, `modelIdx`), their answers are no choice.
LibreChat: {"conversationId", "messages": [{"messageId", "parentMessageId", "isCreatedByUser", "text" or "content",
"feedback": {"rating": "thumbsUp" | "thumbsDown", "text"}, "children": [...]}]}, inside each other or as a list.
https://github.com/open-webui/open-webui/blob/main/backend/open_webui/models/feedbacks.py
https://github.com/danny-avila/LibreChat/blob/main/packages/data-provider/src/schemas.ts
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Origin, reactions
from plus.feedback.log_row import ParseState, id_text, stated_user
from plus.feedback.messages import parse_message
from plus.feedback.reactions import NEITHER, UNKNOWN, DetachedReaction, LastReactions, parse_thumb
from plus.feedback.tree import Node, path_to, read_tree
from plus.sources.fields import UnusableError, text_of
from plus.types import Entry

COLUMNS = ("chat", "user_id")
FEEDBACK_COLUMNS = ("user_id", "data", "meta", "snapshot")
LIBRECHAT_COLUMNS = ("conversationId", "messages")


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is an exported chat."""
    return isinstance(row.get("chat"), dict)


def read(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the events of one chat. Raises UnusableError."""
    user_id = state.user(row.get("user_id"), row=row)
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
    user_id = state.user(row.get("user_id"), row=row)
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
    origin = Origin(user_id, "open_webui", id_text(row["meta"].get("chat_id")), is_whole=True)
    yield from reactions(message, before, origin, origin.session, state)


def _tree(row: Mapping[str, Any], state: ParseState) -> tuple[dict[str, Node], str]:
    history = row["chat"].get("history")
    messages = history.get("messages") if isinstance(history, dict) else None
    if not isinstance(history, dict) or not isinstance(messages, dict) or not messages:
        raise UnusableError("rows with an empty conversation")
    messages = {str(name): message for name, message in messages.items() if isinstance(message, dict)}
    nodes = {name: _node(message, messages, state) for name, message in messages.items()}
    return nodes, id_text(history.get("currentId"))


def _node(message: Mapping[str, Any], messages: Mapping[str, Any], state: ParseState) -> Node:
    children = message.get("childrenIds")
    names = tuple(id_text(child) for child in children) if isinstance(children, list) else ()
    parsed, annotation = parse_message(message, state), message.get("annotation")
    if parsed is not None and isinstance(annotation, dict):
        rating = _vote(annotation.get("rating"))
        if rating is None and annotation.get("rating") is not None:
            state.drop(NEITHER)
        parsed = parsed._replace(rating=rating, comment=_comment(annotation))
    parent = id_text(message.get("parentId"))
    return Node(parent, names, parsed, _slot(message, messages.get(parent)))


def _slot(message: Mapping[str, Any], question: Any) -> str:
    """Return which of several models answers, where the question went to several at once."""
    models = question.get("models") if isinstance(question, dict) else None
    if not isinstance(models, list) or len(models) < 2:
        return ""
    place = message.get("modelIdx")
    return id_text(message.get("model") if place is None else place)


def _vote(value: Any) -> bool | None:
    """Parse a thumb in Open WebUI's numbers, in which 0 is neither up nor down."""
    return None if str(value).strip() in ("0", "0.0", "False") else parse_thumb(value)


def _comment(data: Mapping[str, Any]) -> str:
    comment = data.get("comment")
    return text_of(comment, "comment") if isinstance(comment, str) else ""


def _time(row: Mapping[str, Any]) -> Any:
    return row.get("updated_at") or row.get("created_at")


def is_librechat(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a conversation of LibreChat."""
    messages = row.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    return "conversationId" in row and isinstance(first, dict) and "isCreatedByUser" in first


def read_librechat(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the events of one conversation. Raises UnusableError."""
    user_id = state.user(*stated_user(row), row=row)
    nodes: dict[str, Node] = {}
    waiting = [("", message) for message in reversed(row["messages"])]
    while waiting:
        parent, message = waiting.pop()
        if not isinstance(message, dict):
            raise UnusableError("rows with a message that is no object")
        name = id_text(message.get("messageId")) or f"message {len(nodes)}"
        parent = parent or id_text(message.get("parentMessageId"))
        nodes[name] = _librechat_node(message, parent, state)
        if parent in nodes:
            nodes[parent] = nodes[parent]._replace(children=(*nodes[parent].children, name))
        children = message.get("children")
        waiting += [(name, child) for child in reversed(children)] if isinstance(children, list) else []
    if not any(node.message and node.message.content for node in nodes.values()):
        raise UnusableError("rows with an empty conversation")
    # The export does not say which answer the user saw last: it is the newest.
    leaves = [name for name, node in nodes.items() if not node.children]
    numbered = enumerate(leaves or nodes)
    newest = max(numbered, key=lambda leaf: (_sent(nodes[leaf[1]]), leaf[0]))[1]
    origin = Origin(user_id, "librechat", id_text(row["conversationId"]))
    yield from read_tree(nodes, newest, origin, state)


def _librechat_node(message: Mapping[str, Any], parent: str, state: ParseState) -> Node:
    content = message.get("content") or message.get("text")
    role = "user" if message.get("isCreatedByUser") else "assistant"
    sent = {"role": role, "content": content, "id": message.get("messageId"), "createdAt": message.get("createdAt")}
    parsed, feedback = parse_message({**sent, "files": message.get("files")}, state), message.get("feedback")
    if parsed is not None and isinstance(feedback, dict):
        rating, comment = parse_thumb(feedback.get("rating")), feedback.get("text")
        if rating is None and feedback.get("rating") is not None:
            state.drop(NEITHER)
        parsed = parsed._replace(rating=rating, comment=text_of(comment, "comment") if comment else "")
    return Node(parent, (), parsed)


def _sent(node: Node) -> float:
    return node.message.time if node.message is not None and node.message.time is not None else float("-inf")
