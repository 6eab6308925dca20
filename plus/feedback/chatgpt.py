"""ChatGPT's export: `conversations.json` (or `conversations-000.json`, ...), each conversation a tree.

The path to `current_node` is what the user saw last. Hidden messages, tool messages and the model's thoughts are left
out. The export does not state its user: `user.json` beside it does, or --user_id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Node, Origin, read_tree
from plus.feedback.log_row import LogMessage, ParseState, id_text, message_text
from plus.sources.fields import UnusableError
from plus.types import Entry

COLUMNS = ("mapping", "current_node")
_SHOWN = ("text", "multimodal_text", "code", None)


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a ChatGPT conversation."""
    return isinstance(row.get("mapping"), dict)


def read(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the events of one conversation. Raises UnusableError."""
    user_id = state.user(row.get("user_id"))
    nodes = {str(name): _node(node, state) for name, node in row["mapping"].items() if isinstance(node, dict)}
    if not any(node.message for node in nodes.values()):
        raise UnusableError("rows with an empty conversation")
    session = id_text(row.get("conversation_id")) or id_text(row.get("id"))
    yield from read_tree(nodes, id_text(row.get("current_node")), Origin(user_id, "chatgpt", session), state)


def _node(node: Mapping[str, Any], state: ParseState) -> Node:
    children = node.get("children")
    names = tuple(id_text(child) for child in children) if isinstance(children, list) else ()
    return Node(id_text(node.get("parent")), names, _message(node.get("message"), state))


def _message(message: Any, state: ParseState) -> LogMessage | None:
    """Parse a message; None where the user sees nothing of it."""
    if not isinstance(message, dict):
        return None
    author, content, about = message.get("author"), message.get("content"), message.get("metadata")
    # Calls of tools and their results have another recipient or role.
    role = author.get("role") if isinstance(author, dict) else None
    if role not in ("user", "assistant") or message.get("recipient") not in (None, "all"):
        return None
    if isinstance(about, dict) and about.get("is_visually_hidden_from_conversation"):
        return None
    # Thoughts, reasoning and browsing have content types of their own.
    if isinstance(content, dict) and content.get("content_type") not in _SHOWN:
        return None
    text = message_text(content, state)
    if not text.strip():
        return None
    return LogMessage(role, text, id_text(message.get("id")), state.time(message.get("create_time")))
