"""A prompted language model as judge: which of two answers would this user prefer?

A judge favours a place as readily as an answer (arXiv 2305.17926), so every pair is asked about in
both orders and the two verdicts are averaged: a judge that always says "A" is left undecided on
every pair instead of right on half of them. Its habit is kept, to be shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from plus.prompts import judge_messages
from plus.types import Preference, Writer

_VERDICT = re.compile(r"\b([AB])\b")


class Judge:
    """A `Scorer` over any `Writer`. `first_shares` holds, for each pair judged, the share of its two
    asks in which the answer shown first was taken (1/2 for a judge without a habit, 1/2 too where a
    verdict was unclear); `unclear` counts the replies that named neither A nor B, or both."""

    def __init__(self, writer: Writer, workers: int = 8) -> None:
        self.writer, self.workers = writer, workers
        self.first_shares: list[float] = []
        self.unclear = 0

    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """log P(chosen preferred to rejected | text): (wins + 1/2) of (asks + 1), two asks a pair.

        Equal questions are asked once. Raises whatever the writer raises.
        """
        asked = list(dict.fromkeys(q for t, p in zip(texts, pairs, strict=True) for q in ((t, p), (t, p.swapped()))))
        with ThreadPoolExecutor(self.workers) as pool:
            answered = dict(zip(asked, pool.map(self._first, asked), strict=True))
        found = []
        for text, pair in zip(texts, pairs, strict=True):
            straight, turned = answered[text, pair], answered[text, pair.swapped()]
            self.first_shares.append((straight + turned) / 2)
            found.append(math.log((straight + (1 - turned) + 0.5) / 3))
        self.unclear += sum(value == 0.5 for value in answered.values())
        return found

    def _first(self, question: tuple[str, Preference]) -> float:
        """1 when the answer shown first is taken, 0 for the second, 1/2 when the reply names neither or both."""
        text, pair = question
        reply = self.writer.complete(judge_messages(text, pair.conversation, pair.chosen, pair.rejected))
        named = set(_VERDICT.findall(reply))
        return 0.5 if len(named) != 1 else float(named == {"A"})
