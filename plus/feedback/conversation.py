"""A conversation as events: one for each thing that the user said with its answer, each reaction, each remark.

A log repeats what came before with every call and every export; each exchange carries an id of its own
(the log's, or a hash of the conversation up to it), so whatever is repeated is the same event again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from plus.sources.messages import UnusableError, text_of
from plus.sources.timestamps import seconds
from plus.types import Dropped, Entry, Event, Preference, Reaction, Turn

EARLIER = 20  # turns before a prompt that a pair or a reaction keeps, the latest
_ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "customer"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatbot", "ai", "chatgpt"), "assistant"),
}  # fmt: skip


class Said(NamedTuple):
    """One visible message; `rating` is the user's thumb on it and `comment` what they wrote beside it."""

    role: str
    content: str
    id: str = ""
    time: float | None = None
    rating: bool | None = None
    comment: str = ""


@dataclass
class Place:
    """Where a row stands and who it belongs to where it does not say, and what is counted on the way."""

    where: str = ""
    user_id: str = ""
    dropped: Dropped = field(default_factory=Dropped)
    mended: Dropped = field(default_factory=Dropped)

    def drop(self, reason: str) -> None:
        """Count a part of the row that is left out."""
        self.dropped.add(reason, self.where)

    def mend(self, reason: str) -> None:
        """Count what is used, but not as it stood."""
        self.mended.add(reason, self.where)

    def whose(self, *candidates: Any) -> str:
        """The first candidate that is an id, else the file's user. Raises UnusableError."""
        for value in candidates:
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
                return text_of(str(value)[:1000], "user")
        if not self.user_id:
            raise UnusableError("rows without a user (say whose they are with --user_id)")
        return self.user_id

    def time(self, value: Any) -> float | None:
        """Seconds since 1970; a time that cannot be read is none, and counted."""
        try:
            return seconds(value)[0]
        except UnusableError:
            self.mend("times that cannot be read")
            return None


def label(value: Any) -> str:
    """An id as text; anything that is no id is none."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)[:1000].encode("utf-8", "replace").decode()
    return ""


def said_of(message: Any, place: Place, time: float | None = None) -> Said | None:
    """What {role, content} or {from, value} says to a reader, or None: a tool's, a system's or an empty message.

    Raises UnusableError for what is no message.
    """
    if not isinstance(message, dict):
        raise UnusableError("rows with a message that is no object")
    role = message.get("role", message.get("from"))
    if not isinstance(role, str):
        raise UnusableError("rows with a message without a role")
    if role.lower() not in _ROLES:
        return None
    text = visible(message.get("content", message.get("value")), place)
    if not text.strip():
        return None
    stated = next((message[c] for c in ("timestamp", "created_at", "create_time") if message.get(c) is not None), None)
    return Said(
        _ROLES[role.lower()], text, label(message.get("id")), time if stated is None else place.time(stated)
    )  # fmt: skip


def visible(content: Any, place: Place) -> str:
    """The text of a message: as it stands, or the text parts of a list; other parts are counted. Raises UnusableError."""
    if content is None:
        return ""
    if isinstance(content, dict):
        content = content.get("parts") or [content]
    if not isinstance(content, list):
        return text_of(content, "content")
    texts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            texts.append(text_of(text, "content"))
        else:
            place.drop("parts of messages that are no text")
    return "\n".join(text for text in texts if text)


def forward_in_time(talk: Sequence[Said], place: Place) -> list[Said]:
    """The same messages with times that never run backwards: an earlier one becomes its predecessor's."""
    latest: float | None = None
    ordered = []
    for said in talk:
        if said.time is not None and latest is not None and said.time < latest:
            place.mend("times that run backwards")
            said = said._replace(time=latest)
        latest = latest if said.time is None else said.time
        ordered.append(said)
    return ordered


def entries(talk: Sequence[Said], user_id: str, source: str, session: str, place: Place) -> Iterator[Entry]:
    """The events of one conversation, in order. One that has no name, but several exchanges, is named by how it begins."""
    talk = forward_in_time(talk, place)
    seen = hashlib.sha256(f"{source}\0{user_id}\0{session}".encode())
    session = session or _named(talk, user_id, source)
    start = 0
    while start < len(talk):
        end = start + 1
        while end < len(talk) and talk[end].role == "assistant":
            end += 1
        part = talk[start:end]
        for said in part:
            seen.update(f"\0{said.role}\0{said.content}".encode())
        if part[0].role == "user":
            name = part[0].id or seen.copy().hexdigest()[:24]
            turns = (Turn("user", part[0].content), *_answer(part[1:]))
            yield Entry(user_id, Event(f"said-{name}", "message", turns, part[0].time, source), session)
        for number, said in enumerate(part):
            if said.role == "assistant" and (said.rating is not None or said.comment):
                before = talk[: start + number]
                yield from reactions(said, before, user_id, source, session, seen.copy().hexdigest()[:24], place)
        start = end


def _named(talk: Sequence[Said], user_id: str, source: str) -> str:
    """A name made of the first two exchanges; "" where there is one only, since many begin with the same greeting."""
    asked = [number for number, said in enumerate(talk) if said.role == "user"]
    if len(asked) < 2:
        return ""
    first = [source, user_id, *(said.content for said in talk[asked[0] : asked[1] + 1])]
    return f"talk-{hashlib.sha256(chr(0).join(first).encode()).hexdigest()[:24]}"


def _answer(said: Sequence[Said]) -> tuple[Turn, ...]:
    """Messages in a row are one answer."""
    return (Turn("assistant", "\n\n".join(one.content for one in said)),) if said else ()


def reactions(
    said: Said, before: Sequence[Said], user_id: str, source: str, session: str, name: str, place: Place
) -> Iterator[Entry]:
    """The thumb on one answer and the remark beside it; `before` is what led to it."""
    asked, earlier = asked_in(before)
    if asked is None:
        place.drop("reactions to an answer that nothing was asked before")
        return
    name = said.id or name
    if said.rating is not None:
        thumb = Event(f"thumb-{name}-{int(said.rating)}", "reaction",
                      Reaction(asked.content, said.content, said.rating, earlier), said.time, source)  # fmt: skip
        yield Entry(user_id, thumb, session)
    if said.comment.strip():
        digest = hashlib.sha256(said.comment.encode()).hexdigest()[:8]
        yield Entry(
            user_id, Event(f"comment-{name}-{digest}", "remark", text_of(said.comment, "comment"), said.time, source), session
        )  # fmt: skip


def asked_in(before: Sequence[Said]) -> tuple[Said | None, tuple[Turn, ...]]:
    """(the last thing that the user said, the turns before it)."""
    for number in range(len(before) - 1, -1, -1):
        if before[number].role == "user":
            first = max(0, number - EARLIER)
            return before[number], tuple(Turn(one.role, one.content) for one in before[first:number])
    return None, ()


def weak_pair(
    before: Sequence[Said], kept: Sequence[Said], left: Sequence[Said], source: str, kind: str, name: str, place: Place
) -> Event | None:
    """The answer that the talk went on with against one that the user left: evidence, but weak (`source` says so)."""
    asked, earlier = asked_in([*before, *(said for said in kept[:1] if said.role == "user")])
    chosen, rejected = first_answer(kept), first_answer(left)
    if asked is None or not chosen or not rejected or chosen == rejected:
        place.drop("abandoned branches without another answer")
        return None
    time = next((said.time for said in kept if said.role == "assistant"), None)
    return Event(
        f"{kind}-{name}", "choice", Preference(asked.content, chosen, rejected, earlier), time, f"{source}:{kind}"
    )


def first_answer(talk: Sequence[Said]) -> str:
    """The first answer of a stretch that begins with an answer, or with what the user said."""
    texts: list[str] = []
    for number, said in enumerate(talk):
        if said.role == "user" and number:
            break
        if said.role == "assistant":
            texts.append(said.content)
    return "\n\n".join(texts)


def stated_user(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Where rows of the plain formats keep whose they are."""
    extra = row.get("metadata")
    inside = extra if isinstance(extra, dict) else {}
    return (
        row.get("user_id"),
        row.get("user"),
        row.get("safety_identifier"),
        inside.get("user_id"),
        inside.get("user"),
    )


def stated_time(row: Mapping[str, Any]) -> Any:
    """Where rows of the plain formats keep their time."""
    return next((row[c] for c in ("timestamp", "created_at", "created", "time") if row.get(c) is not None), None)


def stated_session(row: Mapping[str, Any]) -> str:
    """Where rows of the plain formats keep which conversation they are of; not `id`, which is one call's."""
    return label(next((row[c] for c in ("session_id", "conversation_id", "thread_id") if row.get(c) is not None), None))
