"""Plain sentences about a user: made of past events by rule, and read again as what they speak for and against.

"Agreed: I love parties." becomes "They love parties.", "Disagreed: I worry." becomes "They do not worry." A sentence
model hardly tells a sentence from its denial, so `read_sentence` takes the denial off and says that the rest is spoken
against. Whatever has another form speaks for its own text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from plus.profiles.sentences import split
from plus.prompts import one_line
from plus.types import Event, Preference, Reaction


def plain_summary(events: Sequence[Event], fits: Callable[[str], bool]) -> str:
    """Join the plain sentences of events, in order, while the text fits; a first one that does not loses its end."""
    text = ""
    for event in events:
        longer = f"{text} {plain_sentence(event)}".strip()
        if fits(longer):
            text = longer
        elif not text:
            text = _shortened(longer, fits)
    return text


def plain_sentence(event: Event) -> str:
    """Say in one plain sentence what a past event tells of its user.

    A statement about its reader ("I love parties.", or "Love parties." where the prompt asks whether it describes
    "you") becomes one about "they"; any other is quoted, and so are both answers of a choice.
    """
    match event.content:
        case Preference(_, chosen, rejected):
            return f'They prefer "{_first(chosen)}" to "{_first(rejected)}".'
        case Reaction(prompt, text, label):
            return _of_statement(_first(text), label, _DESCRIBES.search(prompt) is not None)
        case str(text):
            return _said(text)
        case turns:
            return _said(" ".join(turn.content for turn in turns))


# Words of a statement about its reader, and the same about "they"; longer ones first.
_ABOUT_THEM = {
    "i am": "they are", "i'm": "they are", "i was": "they were", "i've": "they have", "i'd": "they would",
    "i'll": "they will", "i": "they", "myself": "themselves", "my": "their", "mine": "theirs", "me": "them",
}  # fmt: skip
_FIRST_PERSON = re.compile(
    r"\b(?:i am|i was|i['\u2019](?:m|ve|d|ll)|i|myself|my|mine|me)\b(?!['\u2019])", re.IGNORECASE
)
_ABOUT_ITSELF = re.compile(r"i(?:['\u2019](?:m|ve|d|ll))?\s", re.IGNORECASE)
_DESCRIBES = re.compile(r"\bdescribes?\b.{0,20}\byou\b", re.IGNORECASE)
# Beginnings of a statement without its subject, and how each is denied; {} is the rest.
_DENIED = (
    (re.compile(r"(?:do not|don['\u2019]?t)\s", re.IGNORECASE), "They {}"),
    (re.compile(r"(?:am|are) not\s", re.IGNORECASE), "They are {}"),
    (re.compile(r"(?:am|are)\s", re.IGNORECASE), "They are not {}"),
    (re.compile(r"(?:cannot|can['\u2019]?t)\s", re.IGNORECASE), "They can {}"),
    (re.compile(r"can\s", re.IGNORECASE), "They cannot {}"),
    (re.compile(r"would\s", re.IGNORECASE), "They would not {}"),
    (re.compile(r"will\s", re.IGNORECASE), "They will not {}"),
    (re.compile(r"were\s", re.IGNORECASE), "They were not {}"),
    (re.compile(r"never\s", re.IGNORECASE), "They sometimes {}"),
    (re.compile(r"", re.IGNORECASE), "They do not {}"),
)


# Sentences about a user: quoted ones, then those with a subject of their own, whose denial is taken off.
_PREFERS = re.compile(r'they prefer "(.+)" to "(.+)"\.?$', re.IGNORECASE)
_QUOTES = re.compile(r"they (agree|disagree|said): (.+)$", re.IGNORECASE)
_SUBJECT = re.compile(r"(?:they|he|she|th(?:is|e) (?:user|person|voter))\s+(?=\w)", re.IGNORECASE)
_AUXILIARY = re.compile(r"(?:do|does|did)(?: not|n['\u2019]t)\s+|never\s+", re.IGNORECASE)
_NOT = re.compile(
    r"(am|are|is|was|were|can|could|will|would|should|have|has)(?:\s+not\b|n['\u2019]t\b|not\b)", re.IGNORECASE
)


def read_sentence(text: str) -> tuple[str, str]:
    """Read a sentence about a user as (text spoken for, text spoken against), "" for none."""
    if quoted := _PREFERS.match(text):
        return quoted[1], quoted[2]
    if quoted := _QUOTES.match(text):
        return ("", quoted[2]) if quoted[1].lower() == "disagree" else (quoted[2], "")
    if not (subject := _SUBJECT.match(text)):
        return text, ""
    # Without its subject it reads as the statement that it was made of.
    rest = text[subject.end() :]
    if denied := _AUXILIARY.match(rest):
        return "", _opened(rest[denied.end() :])
    if denied := _NOT.match(rest):
        return "", _opened(denied[1] + rest[denied.end() :])
    return _opened(rest), ""


def _opened(text: str) -> str:
    return text[:1].upper() + text[1:]


def _of_statement(text: str, agreed: bool, about_reader: bool) -> str:
    if not about_reader and not _ABOUT_ITSELF.match(text):
        return f"They {'agree' if agreed else 'disagree'}: {text}."
    # Without its subject, in the third person: "am a worrier", "would call themselves nervous".
    rest = _FIRST_PERSON.sub(lambda found: _ABOUT_THEM[found.group().lower().replace("\u2019", "'")], text)
    rest = re.sub(r"^they\s+", "", rest, flags=re.IGNORECASE)
    rest = re.sub(r"^don['\u2019]?t\b", "do not", rest, flags=re.IGNORECASE)
    rest = re.sub(r"^am\b", "are", rest, flags=re.IGNORECASE)
    rest = rest[:1].lower() + rest[1:]
    if agreed:
        return f"They {rest}."
    start, form = next((found, form) for pattern, form in _DENIED if (found := pattern.match(rest)))
    return f"{form.format(rest[start.end() :])}."


def _said(text: str) -> str:
    first = _first(text)
    return _of_statement(first, True, False) if _ABOUT_ITSELF.match(first) else f"They said: {first}."


def _first(text: str) -> str:
    """The first sentence of a text, without its closing mark."""
    line = one_line(text)
    start, end = next(iter(split(line)), (0, 0))
    return line[start:end].rstrip(".!?\u3002 ")


def _shortened(text: str, fits: Callable[[str], bool]) -> str:
    """The beginning of a sentence that fits, whole words."""
    words = text.split()
    while len(words) > 1 and not fits(f"{' '.join(words)} ..."):
        words.pop()
    return f"{' '.join(words)} ..."
