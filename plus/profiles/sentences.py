"""Sentences of a summary: their spans in the text, and their ids across versions.

A sentence is a span of the text, so that the text itself is kept to the last character. Its id ("s3") is never given
to another sentence of the same user, and stays when the words around it change.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from plus.prompts import AGREED, CHOSE, DISAGREED, OVER, SAID

Origin = Literal["model", "user"]
Span = tuple[int, int]

_BREAK = re.compile(
    r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+"  # any line ends a sentence
    r"|[.!?\u2026\u061f]+[\"'\u2019\u201d\u00bb)\]]*(?=\s)"  # a mark, closing quotes, a space
    r"|[\u3002\uff01\uff1f\u0964\u0965\u06d4]+[\u300d\u300f\u201d\u2019\"'\uff09]*"  # full-width, danda, Urdu: no space
)
_EVENT = re.compile(rf"\s*(?:{'|'.join((AGREED, DISAGREED, CHOSE, OVER, SAID))})")
_CHOICE = re.compile(rf"\s*{CHOSE}[^\n\r]*\s+")  # the first line of a choice
# Abbreviations that end in a full stop without ending a sentence.
_SHORT = frozenset((
    "e.g.", "i.e.", "etc.", "cf.", "vs.", "approx.", "dr.", "mr.", "mrs.", "ms.", "prof.", "st.", "no.", "fig.", "jr.",
    "sr.", "z.b.", "d.h.", "bzw.", "usw.", "ca.",
))  # fmt: skip
_LETTERS = re.compile(r"(?:[^\W\d_]{1,2}\.){2,}")  # letters with stops between: u.s., ph.d., p.m.
_SIMILAR = 0.6  # two wordings of one sentence share at least this much


@dataclass(frozen=True)
class Sentence:
    """Sentence of a version: its visible id, words, author, first version, and span in the text."""

    id: str
    text: str
    origin: Origin
    since: int
    start: int
    end: int


def split(text: str) -> list[Span]:
    """Split a text into (start, end) of each sentence, without the white space around it. Takes linear time.

    A line that quotes an event ("Disagreed: ...") is one sentence, however many it quotes, and so are the two lines of
    a choice ("Chose: ...", "Over: ..."): alone they would say the opposite.
    """
    spans: list[Span] = []
    start = 0
    for found in _BREAK.finditer(text):
        end = found.end()
        if found.group() == "." and _goes_on(text, start, end - 1):
            continue
        ends_line = found.group()[0].isspace()
        if not ends_line and _EVENT.match(text, start):
            continue
        if ends_line and text.startswith(OVER, end) and _CHOICE.fullmatch(text, start, end):
            continue
        _add(spans, text, start, end)
        start = end
    _add(spans, text, start, len(text))
    return spans


def normalized(sentence: str) -> str:
    """Normalize a sentence for comparison: no case, no spacing, no closing mark."""
    folded = unicodedata.normalize("NFKC", sentence).casefold()
    return " ".join(folded.split()).strip(".!?\u3002 \"'-*\u2022")


def carry(
    text: str,
    before: Sequence[Sentence],
    next_id: int,
    origin: Origin,
    since: int,
    keep: Mapping[str, str] | None = None,
    gone: Collection[str] = (),
) -> tuple[tuple[Sentence, ...], int]:
    """Split `text` into sentences and give them ids; returns (sentences, next free number).

    A sentence with the same words as one in `before` keeps its id, author and version. In a person's text (`origin` is
    "user") other words keep the id alone, where they stand alone between the same neighbours as an old sentence or are
    worded much like one; in a model's text they are another sentence. keep: new words -> the id they replace.
    gone: ids that are not given again.
    """
    # 1. Sentences with the same words as before.
    spans = split(text)
    words = [text[start:end] for start, end in spans]
    old: list[Sentence | None] = _same(words, before)
    ids = [sentence.id if sentence else None for sentence in old]
    taken = {name for name in ids if name} | set(gone)
    # 2. Words that the editor assigned to an id, then reworded sentences.
    for place, word in enumerate(words):
        if ids[place] is None and keep and (name := keep.get(word)) and name not in taken:
            ids[place] = name
            taken.add(name)
    left = [sentence for sentence in before if sentence.id not in taken and origin == "user"]
    for place, sentence in _edited([n for n, name in enumerate(ids) if name is None], words, ids, left, before):
        ids[place] = sentence.id
    # 3. New ids for the rest.
    found = []
    for (start, end), word, name, same in zip(spans, words, ids, old, strict=True):
        if name is None:
            name, next_id = f"s{next_id}", next_id + 1
        found.append(Sentence(name, word, same.origin if same else origin, same.since if same else since, start, end))
    return tuple(found), next_id


def number_of(sentence_id: str) -> int:
    """Read the number of a sentence's id: 3 for "s3", 0 for what is no id of ours."""
    return int(sentence_id[1:]) if re.fullmatch(r"s[1-9]\d{0,17}", sentence_id, re.ASCII) else 0


def _same(words: Sequence[str], before: Iterable[Sentence]) -> list[Sentence | None]:
    """For each new sentence the old one of the same words; of repeated ones the first goes to the first."""
    known: dict[str, list[Sentence]] = {}
    for sentence in before:
        known.setdefault(sentence.text, []).append(sentence)
    for same in known.values():
        same.reverse()
    return [known[word].pop() if known.get(word) else None for word in words]


def _edited(
    open_places: Sequence[int],
    words: Sequence[str],
    ids: Sequence[str | None],
    left: Sequence[Sentence],
    before: Sequence[Sentence],
) -> Iterator[tuple[int, Sentence]]:
    """Pairs (place of a new sentence, the old one that it rewords)."""
    if len(open_places) * len(left) > 2500:  # A rewritten book: comparing every pair would take minutes.
        return
    # Each place takes the most similar sentence that is free; a lone one also by its neighbours.
    position = {sentence.id: number for number, sentence in enumerate(before)}
    used: set[str] = set()
    for place in open_places:
        free = [sentence for sentence in left if sentence.id not in used]
        alike = [(_likeness(words[place], sentence.text), sentence) for sentence in free]
        best = max(alike, key=lambda pair: pair[0], default=(0.0, None))
        chosen = best[1] if best[0] >= _SIMILAR else None
        if chosen is None and len(open_places) == len(left) == 1 and _neighbours(place, ids, before, position, left[0]):
            chosen = left[0]
        if chosen is not None:
            used.add(chosen.id)
            yield place, chosen


def _likeness(one: str, two: str) -> float:
    """0..1; long sentences are compared by their words, since letters would take minutes."""
    a, b = (one, two) if len(one) + len(two) < 2000 else (one.split()[:500], two.split()[:500])
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    return matcher.ratio() if matcher.real_quick_ratio() >= _SIMILAR else 0.0


def _neighbours(
    place: int,
    ids: Sequence[str | None],
    before: Sequence[Sentence],
    position: Mapping[str, int],
    sentence: Sentence,
) -> bool:
    """Whether a new sentence stands where the old one stood: after and before the same sentences."""
    here = position[sentence.id]
    previous = before[here - 1].id if here else None
    following = before[here + 1].id if here + 1 < len(before) else None
    now_previous = ids[place - 1] if place else None
    now_following = ids[place + 1] if place + 1 < len(ids) else None
    return (previous, following) == (now_previous, now_following)


def _goes_on(text: str, start: int, stop: int) -> bool:
    """Whether the full stop at `stop` belongs to an abbreviation, an initial, or the number of a list."""
    before = text[max(start, stop - 11) : stop + 1].split()
    word = before[-1].lower().lstrip("(\"'") if before else ""
    if word in _SHORT or (len(word) == 2 and word[0].isalnum()):
        return True
    # "U.S." and "Ph.D." go on; "p.m." does where the next word is not capital.
    if _LETTERS.fullmatch(word):
        following = text[stop + 1 : stop + 9].lstrip()[:1]
        return before[-1].lstrip("(\"'") != word or not following.isupper()
    return stop - start < 12 and text[start:stop].strip().isdigit()


def _add(spans: list[Span], text: str, start: int, end: int) -> None:
    """The span without the white space around it, if there is anything else."""
    piece = text[start:end]
    left = len(piece.lstrip())
    if left:
        spans.append((end - left, start + len(piece.rstrip())))
