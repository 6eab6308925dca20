"""Filters of text: flags for suspicious summaries, masks for personal data, our own summaries taken out of logs."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import lru_cache

from plus.prompts import ABOUT_USER, escape
from plus.types import Event, Preference, Reaction, Turn

_LINE_BREAKS = re.compile(r"\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_ORDERS = re.compile(
    r"\b(ignore|disregard|forget|override)\b.{0,40}\b(previous|prior|above|earlier|instructions?|rules|prompts?)\b"
    r"|\bsystem prompt\b|\byou are now\b|\bdo not tell the user\b|\bjailbreak",
    re.IGNORECASE | re.DOTALL,
)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
# Kinds of personal data that have a shape of their own. Names and places have none.
_KINDS = (
    ("email", re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")),
    ("url", re.compile(r"\bhttps?://[^\s<>\"]{1,2000}", re.IGNORECASE)),
    ("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")),
    ("ip", re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b", re.IGNORECASE)),
    ("card", re.compile(r"\b\d(?:[ -]?\d){12,18}\b")),
    ("national_id", re.compile(r"\b\d{3}-\d{2}-\d{4}\b")),
    (
        "phone",
        re.compile(
            r"(?<![\w.])(?:\+|00)\d(?:[ ()/.-]{0,2}\d){6,13}\b"  # international
            r"|(?<![\w.])\(?0\d{1,4}\)?[ /-](?:[ ()/.-]{0,2}\d){5,10}\b"  # with an area code
            r"|\b\d{3}[-. ]\d{3}[-. ]\d{4}\b"  # of North America
        ),
    ),
)
_NO_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")  # scripts without spaces
_SHORTEST = 16  # characters: a shorter text may be in anyone's log


def flags(text: str) -> list[str]:
    """List the reasons to look at a summary before a model reads it; it is kept as text in any case.

    "role_marker": it looks like a chat turn. "instruction": it gives a model orders. "invisible": it has marks that are
    not displayed, which emoji and right-to-left scripts use too. "control_characters": it could steer a terminal.
    """
    found = []
    if escape(text) != _LINE_BREAKS.sub("\n", text):
        found.append("role_marker")
    if _ORDERS.search(text):
        found.append("instruction")
    if not text.isascii() and _INVISIBLE.search(text):
        found.append("invisible")
    if _CONTROL.search(text):
        found.append("control_characters")
    return found


def redact(text: str, found: Counter[str] | None = None) -> str:
    """Replace personal data that has a shape by "[email]" and the like; `found` counts it by kind."""
    for kind, pattern in _KINDS:
        if kind == "card":
            text = pattern.sub(lambda m: _count(f"[{kind}]", found) if _luhn(m.group()) else m.group(), text)  # noqa: B023
        else:
            text = pattern.sub(lambda m: _count(f"[{kind}]", found), text)  # noqa: B023
    return text


def holds(bans: Collection[str], sentence: str) -> bool:
    """Look whether one of `bans`, a word or several ("health", "diabet*"), stands in a sentence as whole words.

    Case, width and white space do not count; a star at a word's end stands for any ending.
    """
    return bool(bans) and _pattern(tuple(bans)).search(_folded(sentence)) is not None


def without_own(events: Iterable[Event], texts: Collection[str]) -> tuple[list[Event], int]:
    """Take our own summaries (`texts`: of every version) out of events; returns (events, how many were changed).

    Logs of a personalized program hold the summary that was sent with each request. Read back as evidence, it would
    confirm itself for ever: the commonest complaint about memory products.
    """
    marks = {form for text in texts if len(text) >= _SHORTEST for form in (text, escape(text.strip()))}
    kept, touched = [], 0
    for event in events:
        cleaned = _cleaned(event, marks)
        touched += cleaned != event
        if cleaned is not None:
            kept.append(cleaned)
    return kept, touched


@lru_cache(maxsize=16)
def _pattern(bans: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(_whole_words(_folded(ban)) for ban in bans))


def _whole_words(ban: str) -> str:
    """Write a ban as a pattern, with an edge of a word on each side where its script has spaces between words."""
    words = [re.escape(word.rstrip("*")) + (r"\w*" if word.endswith("*") else "") for word in ban.split()]
    first, last = (unicodedata.name(ban.strip("* ")[place], "").split(" ")[0] for place in (0, -1))
    before, after = ("" if script in _NO_SPACES else edge for script, edge in ((first, r"(?<!\w)"), (last, r"(?!\w)")))
    return before + r"\s+".join(words) + after


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _count(label: str, found: Counter[str] | None) -> str:
    if found is not None:
        found[label[1:-1]] += 1
    return label


def _luhn(number: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1)."""
    digits = [int(digit) for digit in number if digit.isdigit()][::-1]
    return sum(d if place % 2 == 0 else sum(divmod(2 * d, 10)) for place, d in enumerate(digits)) % 10 == 0


def _cleaned(event: Event, marks: Collection[str]) -> Event | None:
    """An event without our own texts; None when nothing is left of it."""
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
    """Text without the paragraph that opens as ours do, and without the words of any version."""
    before, opening, after = text.partition(ABOUT_USER)
    if opening and (not before or before.endswith("\n")):
        text = before + after.partition("\n\n")[2]
    for mark in marks:
        if mark in text:
            text = text.replace(mark, "").strip()
    return text
