"""ChatGPT's export: `conversations.json` (or `conversations-000.json`, ...), each conversation a tree, and its thumbs.

The path to `current_node` is what the user saw last. Hidden messages, tools and the model's thoughts are counted; the
text that a canvas was begun with is part of the answer. `message_feedback.json` has the thumbs and comments,
`model_comparisons.json` which of two answers was preferred; it is read where the export holds both as answers to one
question. The export does not state its user: `user.json` beside it does, or --user_id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Origin, last_question, message_name
from plus.feedback.log_row import LogMessage, ParseState, as_object, id_text
from plus.feedback.messages import CALLS, SYSTEM, THOUGHTS, TOOL, message_text, shown
from plus.feedback.reactions import COMPARED, NEITHER, DetachedReaction, LastReactions, parse_thumb
from plus.feedback.tree import Node, path_to, read_tree
from plus.sources.fields import UnusableError
from plus.types import Entry, Event, Preference

COLUMNS = ("mapping", "current_node")
FEEDBACK_COLUMNS = ("conversation_id", "rating", "content")
COMPARISON_COLUMNS = ("original_message_id", "new_message_id", "completion_comparison_rating")
_SIDES = ("original", "new")
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
    origin = Origin(user_id, "chatgpt", session, own, is_whole=True)
    compared = list(_compared(nodes, origin, last))
    # What was stated of two answers stands, and not what going on with one of them would tell.
    settled = {name for names, _ in compared for name in names}
    for entry in read_tree(nodes, id_text(row.get("current_node")), origin, state):
        if entry.event.id not in settled:
            yield entry
    yield from (entry for _, entry in compared if entry is not None)


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


def is_comparison(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is one of `model_comparisons.json`."""
    if "original_message_id" in row and "new_message_id" in row:
        return True
    output = row.get("output")
    return isinstance(output, dict) and any(column in output for column in ("feedback_step_1", "feedback_step_2"))


def comparison(row: Mapping[str, Any], state: ParseState) -> DetachedReaction | None:
    """Read which of two answers was preferred: up for the new one; the comment is the id of the original."""
    output = as_object(row.get("output")) or row
    steps = [as_object(output.get("feedback_step_2")), as_object(output.get("feedback_step_1")), output]
    rating = next((step[c] for step in steps for c in ("completion_comparison_rating", "rating") if c in step), None)
    original, new = (next((name for step in steps if (name := _answer_id(step, side))), "") for side in _SIDES)
    if rating not in ("new", "original", "same") or not original or not new or original == new:
        state.drop(NEITHER)
        return None
    kind = f"{COMPARED} same" if rating == "same" else COMPARED
    return DetachedReaction(f"{kind} {new}", rating == "new", state.time(row.get("create_time")), original)


def _answer_id(step: Mapping[str, Any], side: str) -> str:
    """Find the id of an answer, stated or as the first message of its turn."""
    turn = step.get(f"{side}_turn")
    first = turn[0] if isinstance(turn, list) and turn else None
    return id_text(step.get(f"{side}_message_id")) or (id_text(first.get("id")) if isinstance(first, dict) else "")


def _compared(
    nodes: Mapping[str, Node], origin: Origin, last: LastReactions
) -> Iterator[tuple[list[str], Entry | None]]:
    """Yield the choice of each comparison of two answers of the tree, None for neither, with what it makes void."""
    answers = {node.message.id: name for name, node in nodes.items() if node.message and node.message.content}
    for new, name in answers.items():
        for kind in (COMPARED, f"{COMPARED} same"):
            found = last.peek(f"{kind} {new}")
            pair = _pair(nodes, name, answers.get(found.comment, ""), found.label) if found else None
            if found is None or pair is None:
                continue
            last.take(f"{kind} {new}")
            void = [message_name(LogMessage("", "", one), origin, one) for one in (new, found.comment)]
            event = Event(f"compared-{void[0]}", "choice", pair, found.time, "chatgpt:compared")
            entry = Entry(origin.user_id, event, origin.session, revises=True) if kind == COMPARED else None
            yield [f"regenerated-{one}" for one in void], entry


def _pair(nodes: Mapping[str, Node], new: str, original: str, is_new: bool) -> Preference | None:
    """Pair two answers to one question; None where they are none."""
    one, two = (nodes[name].message if name in nodes else None for name in (new, original))
    if one is None or two is None or one.role != "assistant" or two.role != "assistant" or one.content == two.content:
        return None
    paths = [path_to(nodes, name)[:-1] for name in (new, original)]
    before, other = ([said for name in path if (said := nodes[name].message) is not None] for path in paths)
    asked, earlier = last_question(before)
    if before != other or asked is None or before[-1] is not asked:
        return None
    chosen, rejected = (one, two) if is_new else (two, one)
    return Preference(asked.content, chosen.content, rejected.content, earlier)


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
