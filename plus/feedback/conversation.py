"""Events of a conversation, which is a list of messages or a tree: exchanges, reactions, remarks and weak pairs.

A log repeats what came before with every call and every export. Each exchange carries an id of its own (the log's, or
a hash of the conversation up to it), so a repeated exchange is the same event again.

In a tree, regenerating an answer or editing a question starts a branch. The answer of the branch that was kept against
the answer of an abandoned one is a weak pair. Weak pairs are never held out: they train, they do not judge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from plus.feedback.log_row import LogMessage, ParseState
from plus.sources.fields import text_of
from plus.types import Entry, Event, Preference, Reaction, Turn

EARLIER = 20  # turns before a prompt that a pair or a reaction keeps, the latest


class Origin(NamedTuple):
    """User, log format and conversation id that the events of one conversation share."""

    user_id: str
    source: str
    session: str


class Node(NamedTuple):
    """Node of a conversation tree; `message` is None where the user sees nothing of it."""

    parent: str
    children: tuple[str, ...]
    message: LogMessage | None


def entries(talk: Sequence[LogMessage], origin: Origin, state: ParseState) -> Iterator[Entry]:
    """Convert a conversation to events, oldest first: an event per exchange, reaction and remark.

    A conversation without an id that has several exchanges is named by a hash of the first two.
    """
    talk = _in_time_order(talk, state)
    seen = hashlib.sha256("\0".join((origin.source, origin.user_id, origin.session)).encode())
    origin = origin._replace(session=origin.session or _derived_session(talk, origin))
    start = 0
    while start < len(talk):
        # An exchange is one message and the answers that follow it.
        end = start + 1
        while end < len(talk) and talk[end].role == "assistant":
            end += 1
        exchange = talk[start:end]
        for message in exchange:
            seen.update(f"\0{message.role}\0{message.content}".encode())
        if exchange[0].role == "user":
            name = exchange[0].id or seen.copy().hexdigest()[:24]
            turns = (Turn("user", exchange[0].content), *_answer(exchange[1:]))
            event = Event(f"said-{name}", "message", turns, exchange[0].time, origin.source)
            yield Entry(origin.user_id, event, origin.session)
        # Thumbs and comments come after the exchange in which they were given.
        for number, message in enumerate(exchange):
            if message.role == "assistant" and (message.rating is not None or message.comment):
                name = seen.copy().hexdigest()[:24]
                yield from reactions(message, talk[: start + number], origin, name, state)
        start = end


def _in_time_order(talk: Sequence[LogMessage], state: ParseState) -> list[LogMessage]:
    """Give a message whose time is before its predecessor's the predecessor's time, and count it."""
    latest: float | None = None
    ordered = []
    for message in talk:
        if message.time is not None and latest is not None and message.time < latest:
            state.repair("times that run backwards")
            message = message._replace(time=latest)
        latest = latest if message.time is None else message.time
        ordered.append(message)
    return ordered


def _derived_session(talk: Sequence[LogMessage], origin: Origin) -> str:
    """Hash the first two exchanges; "" for a single one, since many conversations begin with the same greeting."""
    asked = [number for number, message in enumerate(talk) if message.role == "user"]
    if len(asked) < 2:
        return ""
    first = [origin.source, origin.user_id, *(message.content for message in talk[asked[0] : asked[1] + 1])]
    return f"talk-{hashlib.sha256(chr(0).join(first).encode()).hexdigest()[:24]}"


def _answer(messages: Sequence[LogMessage]) -> tuple[Turn, ...]:
    """Join consecutive messages of the assistant to one turn."""
    return (Turn("assistant", "\n\n".join(message.content for message in messages)),) if messages else ()


def reactions(
    message: LogMessage, before: Sequence[LogMessage], origin: Origin, name: str, state: ParseState
) -> Iterator[Entry]:
    """Convert the thumb and the comment on one answer to events; `name` is their id where the message has none.

    `before` holds the messages before the answer. Without a question among them the reaction is counted as dropped.
    """
    asked, earlier = last_question(before)
    if asked is None:
        state.drop("reactions to an answer that nothing was asked before")
        return
    # The id holds the label or the text, so a changed thumb or comment is a new event.
    name = message.id or name
    if message.rating is not None:
        reaction = Reaction(asked.content, message.content, message.rating, earlier)
        thumb = Event(f"thumb-{name}-{int(message.rating)}", "reaction", reaction, message.time, origin.source)
        yield Entry(origin.user_id, thumb, origin.session)
    if message.comment.strip():
        digest = hashlib.sha256(message.comment.encode()).hexdigest()[:8]
        text = text_of(message.comment, "comment")
        remark = Event(f"comment-{name}-{digest}", "remark", text, message.time, origin.source)
        yield Entry(origin.user_id, remark, origin.session)


def last_question(before: Sequence[LogMessage]) -> tuple[LogMessage | None, tuple[Turn, ...]]:
    """Find the user's last message; returns it with the turns before it, at most `EARLIER`."""
    for number in range(len(before) - 1, -1, -1):
        if before[number].role == "user":
            first = max(0, number - EARLIER)
            return before[number], tuple(Turn(one.role, one.content) for one in before[first:number])
    return None, ()


def first_answer(talk: Sequence[LogMessage]) -> str:
    """Join the messages of the first answer in a stretch that begins with an answer or with the user's message."""
    texts: list[str] = []
    for number, message in enumerate(talk):
        if message.role == "user" and number:
            break
        if message.role == "assistant":
            texts.append(message.content)
    return "\n\n".join(texts)


def read_tree(nodes: Mapping[str, Node], current: str, origin: Origin, state: ParseState) -> Iterator[Entry]:
    """Convert a conversation tree to events: the path to `current`, then pairs and thumbs of the abandoned branches."""
    if current not in nodes:
        state.repair("conversations whose current message is unknown, read to their newest")
        current = _newest(nodes)
    path = path_to(nodes, current)
    yield from entries([message for name in path if (message := nodes[name].message) is not None], origin, state)
    # Walk the path again; each sibling that is not on it starts an abandoned branch.
    seen = set(path)
    before: list[LogMessage] = []
    for number, name in enumerate(path):
        parent = path[number - 1] if number else nodes[name].parent
        for other in nodes[parent].children if parent in nodes else ():
            if other in nodes and other not in seen:
                left = _branch(nodes, other, seen)
                kept = _next_exchange(nodes, path, number)
                yield from _weak_pair(before, kept, left, other, origin, state)
                yield from _branch_reactions(before, left, origin, state)
        if (message := nodes[name].message) is not None:
            before.append(message)


def path_to(nodes: Mapping[str, Node], current: str) -> list[str]:
    """List the nodes from the root to `current`; a circle is cut where it closes."""
    path: dict[str, None] = {}
    while current in nodes and current not in path:
        path[current] = None
        current = nodes[current].parent
    return list(path)[::-1]


def _weak_pair(
    before: Sequence[LogMessage], kept: Sequence[LogMessage], left: Sequence[LogMessage],
    name: str, origin: Origin, state: ParseState,
) -> Iterator[Entry]:  # fmt: skip
    """Pair the answer that was kept with the one of an abandoned branch; the event's source says how it arose."""
    if not kept or not left or kept[0].role != left[0].role:
        state.drop("abandoned branches without another answer")
        return
    kind = "edited" if left[0].role == "user" else "regenerated"
    # An edited question is compared under the question that was kept.
    asked, earlier = last_question([*before, *(message for message in kept[:1] if message.role == "user")])
    chosen, rejected = first_answer(kept), first_answer(left)
    if asked is None or not chosen or not rejected or chosen == rejected:
        state.drop("abandoned branches without another answer")
        return
    time = next((message.time for message in kept if message.role == "assistant"), None)
    pair = Preference(asked.content, chosen, rejected, earlier)
    event = Event(f"{kind}-{name}", "choice", pair, time, f"{origin.source}:{kind}")
    yield Entry(origin.user_id, event, origin.session, held_out=False)


def _branch_reactions(
    before: Sequence[LogMessage], left: Sequence[LogMessage], origin: Origin, state: ParseState
) -> Iterator[Entry]:
    """Convert the thumbs on the answers of an abandoned branch to events."""
    for number, message in enumerate(left):
        if message.role == "assistant" and (message.rating is not None or message.comment):
            yield from reactions(message, [*before, *left[:number]], origin, message.id, state)


def _next_exchange(nodes: Mapping[str, Node], path: Sequence[str], start: int) -> list[LogMessage]:
    """List the messages of the path from `start` to the end of the first answer, so that no branch walks all of it."""
    talk: list[LogMessage] = []
    for number in range(start, len(path)):
        message = nodes[path[number]].message
        if message is not None and message.role == "user" and talk:
            break
        if message is not None:
            talk.append(message)
    return talk


def _branch(nodes: Mapping[str, Node], name: str, seen: set[str]) -> list[LogMessage]:
    """List the messages from `name` on, along the newest child; nodes are added to `seen` and walked once."""
    talk = []
    while name in nodes and name not in seen:
        seen.add(name)
        if (message := nodes[name].message) is not None:
            talk.append(message)
        name = nodes[name].children[-1] if nodes[name].children else ""
    return talk


def _newest(nodes: Mapping[str, Node]) -> str:
    """Find the last node without a child."""
    leaves = [name for name, node in nodes.items() if not any(child in nodes for child in node.children)]
    return (leaves or list(nodes) or [""])[-1]
