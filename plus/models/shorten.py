"""Cut long answers to the sentences that carry a choice, so that a summary of events stays short enough to read.

Each event of a summary has the same share of its tokens (`estimate_tokens`). A text that fits stays as it is, to the
letter. A longer one is cut to whole sentences in their order, with "..." where something is left out: those with the
most words that the other answer of the choice does not have, and of an answer that stands alone the first ones.

Which sentences these are is read off the words, so the cut costs no pass of any model. A line is the same wherever it
is written: in training, in use, and in every summary that holds the event.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from plus.measures import estimate_tokens
from plus.profiles.sentences import split
from plus.prompts import event_lines, one_line
from plus.types import Event, Preference, Reaction

REMEMBERED = 100_000  # events whose lines are kept
LABELS = 4  # tokens of the labels of an event's lines
GAP = "..."
_WORD = re.compile(r"\w+")


class EventLines:
    """Renderer of events as lines of a summary, at most `tokens` tokens an event; None cuts nothing."""

    def __init__(self, tokens: int | None = None) -> None:
        self.tokens = tokens
        self.lines: dict[object, str] = {}
        self.shortened: set[str] = set()

    def __call__(self, event: Event) -> str:
        """Render an event; what two events both say is rendered once."""
        if self.tokens is None:
            return event_lines(event)
        if event.content not in self.lines:
            if len(self.lines) >= REMEMBERED:
                self.lines.clear()
                self.shortened.clear()
            short = shortened(event, self.tokens - LABELS)
            self.lines[event.content] = event_lines(short)
            if short is not event:
                self.shortened.add(self.lines[event.content])
        return self.lines[event.content]

    def is_cut(self, lines: str) -> bool:
        """Tell whether lines that were rendered here lack a part of their answers."""
        return lines in self.shortened


def shortened(event: Event, tokens: int) -> Event:
    """Cut the texts of an event to at most `tokens` tokens together; an event that fits is returned as it is."""
    match event.content:
        case Preference(_, chosen, rejected):
            # The shorter side leaves to the other what it does not need.
            sizes = [estimate_tokens(one_line(side)) for side in (chosen, rejected)]
            if sum(sizes) <= tokens:
                return event
            first = min(sizes[0], max(tokens // 2, tokens - sizes[1]))
            mine, other = cut(chosen, first, rejected), cut(rejected, tokens - first, chosen)
            return replace(event, content=replace(event.content, chosen=mine, rejected=other))
        case Reaction(_, completion, _):
            short = cut(completion, tokens)
            return event if short == completion else replace(event, content=replace(event.content, completion=short))
        case tuple(turns):
            said = " ".join(turn.content for turn in turns)
        case str(said):
            pass
    short = cut(said, tokens)
    return event if short == said else replace(event, content=short)


def cut(text: str, tokens: int, other: str = "") -> str:
    """Cut a text to at most `tokens` tokens: the sentences with the most words that `other` does not have, in order.

    Without `other` the first sentences. Of a sentence that is alone too long the first words stay. A text that fits is
    returned as it is.
    """
    if estimate_tokens(one_line(text)) <= tokens:
        return text
    sentences = [one_line(text[start:end]) for start, end in split(text)]
    # 1. The sentences in the order of what they say of the choice.
    theirs = set(_WORD.findall(other.lower()))
    own = [len(set(_WORD.findall(sentence.lower())) - theirs) if other else 0 for sentence in sentences]
    ranked = sorted(range(len(sentences)), key=lambda place: -own[place])
    # 2. As many as fit, the best first.
    kept: list[int] = []
    for place in ranked:
        if estimate_tokens(_joined(sentences, [*kept, place])) <= tokens:
            kept.append(place)
    if kept:
        return _joined(sentences, kept)
    return _beginning(sentences[ranked[0]], tokens)


def _joined(sentences: Sequence[str], kept: Iterable[int]) -> str:
    """Join sentences in their order, with a mark where others stood."""
    parts: list[str] = []
    following = 0
    for place in sorted(kept):
        parts += [GAP] * (place > following) + [sentences[place]]
        following = place + 1
    return " ".join([*parts, *[GAP] * (following < len(sentences))])


def _beginning(sentence: str, tokens: int) -> str:
    """Return the first words that fit with the mark of what is left out; letters where the first word is too long."""
    low, high = 0, len(sentence)
    while low < high:  # The longest beginning that fits.
        middle = (low + high + 1) // 2
        if estimate_tokens(f"{sentence[:middle]} {GAP}") <= tokens:
            low = middle
        else:
            high = middle - 1
    words = sentence[:low].rpartition(" ")[0] or sentence[:low]
    return f"{words} {GAP}".strip()
