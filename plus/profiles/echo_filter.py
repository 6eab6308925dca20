"""A summary is never evidence for the next one: what we wrote ourselves is taken out of what happened.

Logs of a personalized program hold the summary that was sent with each request. Read back, it would
confirm itself for ever (the commonest complaint about memory products).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from plus.prompts import ABOUT_USER, escape
from plus.types import Event, Preference, Reaction, Turn

_SHORTEST = 16  # characters: a shorter text may be anybody's


def without_own(events: Iterable[Event], texts: Collection[str]) -> tuple[list[Event], int]:
    """The events without our own texts (`texts`: every version's), and how many were touched or left out."""
    marks = {form for text in texts if len(text) >= _SHORTEST for form in (text, escape(text.strip()))}
    kept, touched = [], 0
    for event in events:
        cleaned = _cleaned(event, marks)
        touched += cleaned != event
        if cleaned is not None:
            kept.append(cleaned)
    return kept, touched


def _cleaned(event: Event, marks: Collection[str]) -> Event | None:
    match event.content:
        case Preference() | Reaction() as content:
            earlier = tuple(_turns(content.earlier, marks))
            return replace(event, content=replace(content, prompt=_text(content.prompt, marks), earlier=earlier))
        case str(text):
            rest = _text(text, marks)
            return replace(event, content=rest) if rest.strip() else None
        case turns:
            left = tuple(_turns(turns, marks))
            return replace(event, content=left) if left else None


def _turns(turns: Iterable[Turn], marks: Collection[str]) -> Iterable[Turn]:
    for turn in turns:
        content = _text(turn.content, marks)
        if content.strip() or content == turn.content:
            yield Turn(turn.role, content)


def _text(text: str, marks: Collection[str]) -> str:
    """`text` without a paragraph that opens as ours do, and without the words of any version."""
    before, opening, after = text.partition(ABOUT_USER)
    if opening and (not before or before.endswith("\n")):
        text = before + after.partition("\n\n")[2]
    for mark in marks:
        if mark in text:
            text = text.replace(mark, "").strip()
    return text
