"""Events of a conversation, which is a list of messages: exchanges, reactions and remarks.

A log repeats what came before with every call and every export, so an exchange needs a name that is the same each
time, and another one in another talk. It is the log's id of the user's message. Without one, it is made of what was
said up to it and of the talk: the conversation that the log names, else the one that a row goes on with (`Talks`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from plus.feedback.log_row import LogMessage, ParseState
from plus.feedback.talks import digest
from plus.sources.fields import text_of
from plus.types import Entry, Event, Reaction, Turn

EARLIER = 20  # turns before a prompt that a pair or a reaction keeps, the latest
UNIQUE = 16  # characters from which on a message's id is taken to be one of its own in all of a log


class Origin(NamedTuple):
    """User, log format and conversation id that the events of one conversation share.

    own: what tells a row from another one with the same words, its id or time; "" where it has neither. is_whole: the
    row is all of the conversation, so that an id tells its messages apart.
    """

    user_id: str
    source: str
    session: str
    own: str = ""
    is_whole: bool = False


def entries(talk: Sequence[LogMessage], origin: Origin, state: ParseState) -> Iterator[Entry]:
    """Convert a conversation to events, oldest first: an event per exchange, reaction and remark."""
    exchanges = list(_exchanges(_in_time_order(talk, state)))
    names, session = _names(exchanges, origin, state)
    origin = origin._replace(session=session)
    before: list[LogMessage] = []
    for exchange, name in zip(exchanges, names, strict=True):
        said = exchange[0]
        if said.role == "user" and (said.content or len(exchange) > 1):
            turns = (Turn("user", said.content), *_answer(exchange[1:]))
            event = Event(f"said-{message_name(said, origin, name)}", "message", turns, said.time, origin.source)
            yield Entry(origin.user_id, event, session, revises=True)
        elif said.role == "assistant":
            state.drop("answers before any question")
        # Thumbs and comments come after the exchange in which they were given.
        for number, message in enumerate(exchange):
            if message.role == "assistant" and (message.rating is not None or message.comment):
                own = name if number < 2 else f"{name}-{number}"
                yield from reactions(message, [*before, *exchange[:number]], origin, own, state)
        before += exchange


def message_name(message: LogMessage, origin: Origin, name: str) -> str:
    """Return the id of a message where it is one of its own in all of a log, or in its conversation, else `name`."""
    if len(message.id) >= UNIQUE:
        return message.id
    is_own = message.id and origin.is_whole and origin.session
    return f"{message.id}-{digest(origin.source, origin.session)}" if is_own else name


def _exchanges(talk: Sequence[LogMessage]) -> Iterator[list[LogMessage]]:
    """Yield each message with the answers that follow it."""
    start = 0
    while start < len(talk):
        end = start + 1
        while end < len(talk) and talk[end].role == "assistant":
            end += 1
        yield list(talk[start:end])
        start = end


def _names(exchanges: Sequence[Sequence[LogMessage]], origin: Origin, state: ParseState) -> tuple[list[str], str]:
    """Name each exchange, and the conversation where the log does not."""
    if all(len(exchange[0].id) >= UNIQUE for exchange in exchanges):
        return [""] * len(exchanges), origin.session
    seen = hashlib.sha256("\0".join((origin.source, origin.user_id, origin.session)).encode())
    prefixes = []
    for exchange in exchanges:
        for message in exchange:
            seen.update(f"\0{message.role}\0{message.content}".encode())
        prefixes.append(seen.hexdigest()[:24])
    if state.talks is None:
        return prefixes, origin.session
    found = state.talks.names(prefixes, origin.user_id, origin.session, origin.own)
    names = [f"{prefix}-{talk}" for prefix, talk in zip(prefixes, found, strict=True)]
    return names, origin.session or f"talk-{found[-1]}"


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
    # The id holds neither label nor text: a later export has the thumb that now stands.
    name = message_name(message, origin, name)
    if message.rating is not None:
        reaction = Reaction(asked.content, message.content, message.rating, earlier)
        thumb = Event(f"thumb-{name}", "reaction", reaction, message.time, origin.source)
        yield Entry(origin.user_id, thumb, origin.session, revises=True)
    if message.comment.strip():
        text = text_of(message.comment, "comment")
        remark = Event(f"comment-{name}", "remark", text, message.time, origin.source)
        yield Entry(origin.user_id, remark, origin.session, revises=True)


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
