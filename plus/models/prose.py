"""Summarizer that selects, then writes: the select engine picks past events, a language model puts them into prose.

The language model reads the k picked events alone, best first, and writes a few sentences. What it imitates before it
is rewarded are plain sentences made of those events by rule (`plain_sentence`): "Agreed: I love parties." becomes
"They love parties."
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from transformers import PreTrainedTokenizerBase

from plus.models.extractive import ExtractiveSummarizer
from plus.models.language_model import LanguageModelSummarizer
from plus.models.text import encode
from plus.profiles.sentences import split
from plus.prompts import one_line, summarizer_messages
from plus.types import Event, Preference, Reaction, UserHistory

CUT = "selected events that did not fit the window"


class SelectThenWrite:
    """Summarizer z = prose of a language model about the k events that `selector` picks."""

    def __init__(self, selector: ExtractiveSummarizer, writer: LanguageModelSummarizer) -> None:
        self.selector, self.writer = selector, writer
        self.cut = writer.cut  # one count for what the two leave out

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The writer's tokenizer, by which summaries are counted."""
        return self.writer.tokenizer

    def selected(self, histories: Sequence[UserHistory]) -> list[UserHistory]:
        """Reduce each history to its picked events, best first; those that the window does not hold are left out."""
        places = self.selector.places(histories)
        found = [
            replace(history, events=tuple(history.events[place] for place in of))
            for history, of in zip(histories, places, strict=True)
        ]
        rows = list(range(len(found)))
        while rows:
            prompts = [summarizer_messages(found[row], self.writer.instruction) for row in rows]
            lengths = [len(ids) for ids in encode(self.tokenizer, prompts, generate=True)]
            long = [length > self.writer.max_prompt_length for length in lengths]
            rows = [row for row, is_long in zip(rows, long, strict=True) if is_long and len(found[row].events) > 1]
            for row in rows:  # The worst goes; a single event is shortened by the writer.
                found[row] = replace(found[row], events=found[row].events[:-1])
            if rows:
                self.cut[CUT] += len(rows)
        return found

    def summarize(self, histories: Sequence[UserHistory]) -> list[str]:
        """Write one text a history, in order."""
        return self.writer.summarize(self.selected(histories))

    def stream(self, histories: Sequence[UserHistory]) -> Iterator[tuple[int, str]]:
        """Yield (position, text) of each history as it is written."""
        yield from self.writer.stream(self.selected(histories))

    def sample(
        self, histories: Sequence[UserHistory], num_generations: int
    ) -> tuple[list[str], torch.Tensor, torch.Tensor, torch.Tensor]:
        """Sample G texts per history for `train/loop.py`; the reference is the writer with its adapters off."""
        return self.writer.sample(self.selected(histories), num_generations, None)

    def plain(self, selected: Sequence[UserHistory]) -> list[str]:
        """Write each selected history by rule: plain sentences of its events, as many as the writer may write."""
        return [plain_summary(history.events, self._fits) for history in selected]

    def _fits(self, text: str) -> bool:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return len(ids) < self.writer.max_completion_length  # The end takes a token too.


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
