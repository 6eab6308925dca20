"""Knows when not to: a prompt that has nothing to do with what is known about the user goes without it.

How near a prompt is to a summary is measured as a sentence model embeds them: the mean of its cosine with the
nearest sentence of the summary and of that with the whole summary (each alone tells less: notebooks/LOG.md), for the
nearest of the user's newest turns. Below a threshold the summary stays at home.
`calibrate` finds the threshold on choices that no summarizer has read: the highest that gives up no
more than a small share of what the summaries add to the reward model's log-likelihood there. Where they
help with any prompt (a liking for short answers, say), it is so low that nothing is held back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, groupby
from operator import itemgetter, mul
from typing import Any, NamedTuple

from plus.errors import EvidenceError
from plus.profiles.sentences import split

# Texts to vectors of any length, as lists of numbers.
Encode = Callable[[list[str]], Sequence[Sequence[float]]]
TURNS = 3  # of the user, newest last: "and for two?" has no subject of its own
KEPT = 0.95  # of the gain
_REMEMBERED = 4096


class Gate:
    """Open where the relevance of a request to a summary is `threshold` or more.

    `encode` is any sentence model, such as plus.models.embeddings.minilm; nothing else is asked, and
    nothing is sent. Vectors of the texts met last are kept in memory.
    """

    def __init__(self, encode: Encode, threshold: float) -> None:
        self.encode, self.threshold = encode, threshold
        self._unit = lru_cache(_REMEMBERED)(self._encoded)

    def is_open(self, request: Mapping[str, Any], summary: str) -> bool:
        """Whether the request should hold the summary. One without any text of the user keeps it."""
        texts = asked(request)
        return not texts or self.relevance(texts, summary) >= self.threshold

    def relevance(self, texts: Sequence[str], summary: str) -> float:
        """How near the nearest of the texts is to the summary, -1..1; -1 where there is no text."""
        whole, *sentences = self._unit((summary, *(summary[start:end] for start, end in split(summary))))
        prompts = [self._unit((text,))[0] for text in texts]
        return max(((max(_dot(s, p) for s in sentences) + _dot(whole, p)) / 2 for p in prompts), default=-1.0)

    def _encoded(self, texts: tuple[str, ...]) -> list[list[float]]:
        return [_unit(vector) for vector in self.encode(list(texts))] if texts else []


def asked(request: Mapping[str, Any]) -> list[str]:
    """The newest texts of the user in a request of either protocol, oldest first."""
    given = request.get("messages") or request.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    turns = given if isinstance(given, list) else []  # The SDK's own marks for "not given" hold none.
    said = [text_of(turn.get("content")) for turn in turns if isinstance(turn, Mapping) and turn.get("role") == "user"]
    return [text for text in said if text.strip()][-TURNS:]


def text_of(content: Any) -> str:
    """A message's text: itself, or its parts that are text."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "\n".join(text for text in texts if isinstance(text, str))


class HeldOut(NamedTuple):
    """A held-out choice: how near its prompt is to the summary, and log P(choice | summary) - log P(choice)."""

    relevance: float
    gain: float


class Calibration(NamedTuple):
    """A threshold, and what it does on choices: the share of them that keep the summary, and the share of
    the whole gain that these hold."""

    threshold: float
    kept: float
    gain_kept: float


def calibrate(choices: Sequence[HeldOut], keep: float = KEPT) -> Calibration:
    """The highest threshold at which the choices that keep the summary hold `keep` of the whole gain.

    Raises EvidenceError where the summaries predict these choices no better than nothing does.
    """
    total = sum(choice.gain for choice in choices)
    if total <= 0:
        raise EvidenceError(
            f"over {len(choices):,} held-out choices the summaries gain {total:.3f} nats, so there is nothing to "
            "calibrate on; train the run longer, or give more choices"
        )
    ordered = sorted(choices, key=lambda choice: -choice.relevance)
    levels = [(at, sum(c.gain for c in same)) for at, same in groupby(ordered, key=lambda choice: choice.relevance)]
    held = list(accumulate(map(itemgetter(1), levels)))
    last = next(number for number, gain in enumerate(held) if gain >= keep * total or number == len(held) - 1)
    lowest = levels[last][0]
    below = levels[last + 1][0] if last + 1 < len(levels) else -1.0
    return measure(choices, (lowest + below) / 2)


def measure(choices: Sequence[HeldOut], threshold: float) -> Calibration:
    """What a threshold does on these choices, such as those of users that it was not calibrated on."""
    kept = [choice for choice in choices if choice.relevance >= threshold]
    total = sum(choice.gain for choice in choices)
    gain = sum(choice.gain for choice in kept) / total if total else 0.0
    return Calibration(threshold, len(kept) / max(1, len(choices)), gain)


def _dot(one: Sequence[float], two: Sequence[float]) -> float:
    return sum(map(mul, one, two))


def _unit(vector: Sequence[float]) -> list[float]:
    length = _dot(vector, vector) ** 0.5 or 1.0
    return [value / length for value in vector]
