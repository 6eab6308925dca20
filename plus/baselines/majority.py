"""Majority: the answer that more people chose.

Models: P(chosen > rejected) = s(chosen) / (s(chosen) + s(rejected)), s = (wins + 1) / (times seen + 2)
over the training users' choices and reactions. Nothing about the user is read.
Relation to PLUS: the line to beat where users share answers; 0.5 on answers never seen.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from plus.baselines.methods import ScorerRow
from plus.types import Event, Preference, Reaction


class Majority:
    """`Scorer` that counts how often an answer was chosen or liked."""

    def __init__(self, pairs: Iterable[Preference], events: Iterable[Event] = ()) -> None:
        self.wins: Counter[tuple[str, str]] = Counter()
        self.seen: Counter[tuple[str, str]] = Counter()
        for content in [*pairs, *(event.content for event in events)]:
            match content:
                case Preference(prompt, chosen, rejected):
                    self.wins[prompt, chosen] += 1
                    self.seen.update([(prompt, chosen), (prompt, rejected)])
                case Reaction(prompt, completion, label):
                    self.wins[prompt, completion] += label
                    self.seen[prompt, completion] += 1

    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """Compute log P(chosen > rejected); the texts are ignored."""
        return [
            math.log(a / (a + b))
            for a, b in ((self._share(p.prompt, p.chosen), self._share(p.prompt, p.rejected)) for p in pairs)
        ]

    def log_probability(self, reaction: Reaction) -> float:
        """Compute log P of a reaction: the share of the users who saw the answer and reacted alike."""
        liked = self._share(reaction.prompt, reaction.completion)
        return math.log(liked if reaction.label else 1 - liked)

    def _share(self, prompt: str, answer: str) -> float:
        return (self.wins[prompt, answer] + 1) / (self.seen[prompt, answer] + 2)


EMBEDDING_METHODS = {"majority": ScorerRow(11, lambda events: Majority((), events))}
