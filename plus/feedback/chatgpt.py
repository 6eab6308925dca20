"""ChatGPT's export: `conversations.json` (or `conversations-000.json`, ...), each conversation a tree.

The path to `current_node` is what the user saw last; hidden messages, tools' and the model's thoughts are
left out. The export does not say whose it is: `user.json` beside it does, or --user_id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Place, Said, label, visible
from plus.feedback.tree import Node, read_tree
from plus.sources.messages import UnusableError
from plus.types import Entry

COLUMNS = ("mapping", "current_node")
_SHOWN = ("text", "multimodal_text", "code", None)


def is_mine(row: Mapping[str, Any]) -> bool:
    """Whether a row is of this format."""
    return isinstance(row.get("mapping"), dict)


def read(row: Mapping[str, Any], place: Place) -> Iterator[Entry]:
    """The events of one conversation. Raises UnusableError."""
    user_id = place.whose(row.get("user_id"))
    nodes = {str(name): _node(node, place) for name, node in row["mapping"].items() if isinstance(node, dict)}
    if not any(node.said for node in nodes.values()):
        raise UnusableError("rows with an empty conversation")
    session = label(row.get("conversation_id")) or label(row.get("id"))
    yield from read_tree(nodes, label(row.get("current_node")), user_id, "chatgpt", session, place)


def _node(node: Mapping[str, Any], place: Place) -> Node:
    children = node.get("children")
    names = tuple(label(child) for child in children) if isinstance(children, list) else ()
    return Node(label(node.get("parent")), names, _said(node.get("message"), place))


def _said(message: Any, place: Place) -> Said | None:
    """What a reader of the conversation sees of a message."""
    if not isinstance(message, dict):
        return None
    author, content, about = message.get("author"), message.get("content"), message.get("metadata")
    role = author.get("role") if isinstance(author, dict) else None
    if role not in ("user", "assistant") or message.get("recipient") not in (None, "all"):
        return None
    if isinstance(about, dict) and about.get("is_visually_hidden_from_conversation"):
        return None
    if isinstance(content, dict) and content.get("content_type") not in _SHOWN:
        return None
    text = visible(content, place)
    return Said(role, text, label(message.get("id")), place.time(message.get("create_time"))) if text.strip() else None
