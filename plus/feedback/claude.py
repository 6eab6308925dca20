"""Claude: the account export of claude.ai, and the transcripts of Claude Code.

    claude         conversations.json: {"uuid", "account", "chat_messages": [{"uuid", "sender": "human" | "assistant",
                   "text", "content": [blocks], "created_at"}]}; newer messages hold their text in blocks only
    claude_code    ~/.claude/projects/*/*.jsonl, a message a line: {"sessionId", "uuid", "type", "message", "timestamp"}

Thoughts, tools and what the program says in the user's name are counted, and no part of a turn. An account export
belongs to one account: with --user_id it is that user's, else its account's id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Origin, entries
from plus.feedback.log_row import LogMessage, ParseState, as_object, id_text
from plus.feedback.messages import parse_message, parse_messages
from plus.feedback.tree import Node, read_tree
from plus.sources.fields import UnusableError
from plus.types import Entry

COLUMNS = ("uuid", "account", "chat_messages")
CODE_COLUMNS = ("sessionId", "uuid", "type", "message")
# What Claude Code writes in the user's name.
_OF_THE_PROGRAM = ("<command-", "<local-command", "<system-reminder>", "<bash-", "Caveat: The messages below")


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a conversation of an account export."""
    return isinstance(row.get("chat_messages"), list)


def read(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the events of one conversation. Raises UnusableError."""
    account = as_object(row.get("account")).get("uuid")
    if state.user_id and not state.user_column:
        state.lone_user("account", account)
        user_id = state.user_id
    else:
        user_id = state.user(account, row=row)
    nodes: dict[str, Node] = {}
    before = ""
    for number, message in enumerate(row["chat_messages"]):
        if not isinstance(message, dict):
            raise UnusableError("rows with a message that is no object")
        name = id_text(message.get("uuid")) or f"message {number}"
        # Edits and retries stand beside each other, and name what they answer.
        parent = id_text(message.get("parent_message_uuid"))
        parent = parent if parent in nodes else before if "parent_message_uuid" not in message else ""
        nodes[name] = Node(parent, (), _message(message, state))
        if parent:
            nodes[parent] = nodes[parent]._replace(children=(*nodes[parent].children, name))
        before = name
    if not any(node.message and node.message.content for node in nodes.values()):
        raise UnusableError("rows with an empty conversation")
    current = id_text(row.get("current_leaf_message_uuid"))
    session = id_text(row.get("uuid"))
    yield from read_tree(nodes, current if current in nodes else before, Origin(user_id, "claude", session), state)


def _message(message: Mapping[str, Any], state: ParseState) -> LogMessage | None:
    """Parse a message by its blocks, or by its text where it has none."""
    blocks = message.get("content")
    has_text = isinstance(blocks, list) and any(isinstance(one, dict) and one.get("text") for one in blocks)
    plain = {name: value for name, value in message.items() if name not in ("text", "content")}
    content = blocks if has_text or not message.get("text") else message["text"]
    return parse_message({**plain, "id": message.get("uuid"), "content": content}, state)


def code_part(row: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Read (session, message) from one line of Claude Code; None for a row that is none of its lines."""
    session, message = row.get("sessionId"), row.get("message")
    if not isinstance(session, str) or not isinstance(row.get("type"), str) or "traceId" in row:
        return ("", {"role": "tool", "content": ""}) if row.get("type") == "summary" and "leafUuid" in row else None
    session = id_text(session)
    if not isinstance(message, dict):
        return session, {"role": "tool", "content": ""}
    content, role = message.get("content"), message.get("role")
    if row.get("isSidechain") or message.get("stop_reason") == "tool_use":
        role, content = "tool", "call"
    elif row.get("isMeta") or (isinstance(content, str) and content.lstrip().startswith(_OF_THE_PROGRAM)):
        role, content = "system", "note"
    part = {"role": role, "content": content, "id": id_text(row.get("uuid")), "timestamp": row.get("timestamp")}
    return session, part


def read_code(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the events of one transcript; `code_part` read its lines. Raises UnusableError."""
    talk = parse_messages(row["messages"], state)
    yield from entries(talk, Origin(state.user(row=row), "claude_code", row["session"]), state)
