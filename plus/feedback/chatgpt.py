"""ChatGPT's export: `conversations.json` (or `conversations-000.json`, ...), each conversation a tree, and its thumbs.

The path to `current_node` is what the user saw last. Hidden messages, tools and the model's thoughts are counted; the
text that a canvas was begun with is part of the answer. `message_feedback.json` has the thumbs and comments. The export
does not state its user: `user.json` beside it does, or --user_id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Origin
from plus.feedback.log_row import LogMessage, ParseState, as_object, id_text
from plus.feedback.messages import CALLS, SYSTEM, THOUGHTS, TOOL, message_text, shown
from plus.feedback.reactions import NEITHER, DetachedReaction, LastReactions, parse_thumb
from plus.feedback.tree import Node, read_tree
from plus.sources.fields import UnusableError
from plus.types import Entry

COLUMNS = ("mapping", "current_node")
FEEDBACK_COLUMNS = ("conversation_id", "rating", "content")
_SHOWN = ("text", "multimodal_text", "code", None)


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a ChatGPT conversation."""
    return isinstance(row.get("mapping"), dict)


def read(row: Mapping[str, Any], state: ParseState, last: LastReactions) -> Iterator[Entry]:
    """Read the events of one conversation. Raises UnusableError."""
    user_id = state.user(row.get("user_id"))
    nodes = {str(name): _node(node, state, last) for name, node in row["mapping"].items() if isinstance(node, dict)}
    if not any(node.message and node.message.content for node in nodes.values()):
        raise UnusableError("rows with an empty conversation")
    session = id_text(row.get("conversation_id")) or id_text(row.get("id"))
    own = session or id_text(row.get("create_time"))
    yield from read_tree(nodes, id_text(row.get("current_node")), Origin(user_id, "chatgpt", session, own), state)


def is_feedback(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a thumb of `message_feedback.json`."""
    is_thumb = str(row.get("rating")).lower().startswith("thumb")
    return is_thumb and "conversation_id" in row and "app_id" not in row and "query" not in row


def detached_reaction(row: Mapping[str, Any], state: ParseState) -> DetachedReaction | None:
    """Read a thumb, and the comment in the JSON of its `content`."""
    message = id_text(row.get("message_id")) or id_text(row.get("id"))
    rating = parse_thumb(row.get("rating"))
    if rating is None or not message:
        state.drop(NEITHER)
        return None
    comment = as_object(row.get("content")).get("text")
    text = message_text(comment, state) if isinstance(comment, str) else ""
    return DetachedReaction(f"chatgpt {message}", rating, state.time(row.get("create_time")), text)


def _node(node: Mapping[str, Any], state: ParseState, last: LastReactions) -> Node:
    children = node.get("children")
    names = tuple(id_text(child) for child in children) if isinstance(children, list) else ()
    message = _message(node.get("message"), state)
    if message is not None and message.id and (found := last.take(f"chatgpt {message.id}")) is not None:
        message = message._replace(rating=found.label, comment=found.comment)
    return Node(id_text(node.get("parent")), names, message)


def _message(message: Any, state: ParseState) -> LogMessage | None:
    """Parse a message; None where the user sees nothing of it."""
    if not isinstance(message, dict):
        return None
    author, content = message.get("author"), message.get("content")
    role = author.get("role") if isinstance(author, dict) else None
    if role == "assistant" and str(message.get("recipient")).startswith("canmore."):
        text = _canvas(message, state)
    else:
        hidden = _why_hidden(message, role)
        if hidden:
            # An empty message of a tool is nothing that anybody said.
            if _has_text(content):
                state.drop(hidden)
            return None
        text = message_text(content, state)
    if role == "assistant":
        text = shown(text, state)
        if not text.strip():
            return None
    text = text if text.strip() else ""
    return LogMessage(str(role), text, id_text(message.get("id")), state.time(message.get("create_time")))


def _why_hidden(message: Mapping[str, Any], role: Any) -> str:
    """Say why the user sees nothing of a message; "" when it is shown."""
    about = message.get("metadata")
    about = about if isinstance(about, dict) else {}
    # Calls of tools and their results have another recipient or role.
    if role not in ("user", "assistant"):
        return TOOL if role == "tool" else SYSTEM
    if message.get("recipient") not in (None, "all"):
        return CALLS
    if about.get("is_visually_hidden_from_conversation"):
        return "hidden messages"
    # Thoughts, reasoning and browsing have content types of their own; a preamble to thoughts is one.
    content = message.get("content")
    kind = content.get("content_type") if isinstance(content, dict) else None
    is_thought = kind not in _SHOWN or message.get("channel") not in (None, "final")
    return THOUGHTS if is_thought or about.get("is_thinking_preamble_message") else ""


def _canvas(message: Mapping[str, Any], state: ParseState) -> str:
    """Return the text of a canvas that a message begins or writes anew; other edits of it are counted."""
    content = message.get("content")
    text = content.get("text") or content.get("parts") if isinstance(content, dict) else None
    call = as_object(text[0] if isinstance(text, list) and text else text)
    if isinstance(call.get("content"), str):
        return str(call["content"])
    updates = call.get("updates")
    for update in updates if isinstance(updates, list) else []:
        if isinstance(update, dict) and update.get("pattern") == ".*" and isinstance(update.get("replacement"), str):
            return str(update["replacement"])
    state.drop("edits and comments of a canvas")
    return ""


def _has_text(content: Any) -> bool:
    """Tell whether a message holds any text, so that leaving it out is an omission."""
    if not isinstance(content, dict):
        return bool(content)
    parts = content.get("parts")
    texts = [content.get("text"), content.get("thoughts"), *(parts if isinstance(parts, list) else [parts])]
    return any(text if not isinstance(text, str) else text.strip() for text in texts)
