"""Summarizer that selects, then writes: the select engine picks past events, a language model puts them into prose.

The language model reads the k picked events alone, best first, and writes a few sentences. What it imitates before it
is rewarded are plain sentences made of those events by rule (`plain_sentences.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from transformers import PreTrainedTokenizerBase

from plus.models.extractive import ExtractiveSummarizer
from plus.models.language_model import LanguageModelSummarizer
from plus.models.plain_sentences import plain_summary
from plus.models.text import encode
from plus.prompts import summarizer_messages
from plus.types import UserHistory

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
