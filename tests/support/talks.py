"""Talks of alternate turns, the user first; and the measure of their labels."""

from __future__ import annotations

from plus.signals.pairs import Talk
from plus.types import Turn

LABELS = ("satisfied", "dissatisfied", "none")


def turns(*said: str) -> list[Turn]:
    return [Turn(("user", "assistant")[number % 2], text) for number, text in enumerate(said)]


def talk(*said: str) -> Talk:
    return Talk("ann", "s", tuple(turns(*said)), 7.0)


def macro_f1(table: dict[tuple[str, str], int]) -> float:
    scores = []
    for one in LABELS:
        hit = table[one, one]
        claimed = sum(count for (_, got), count in table.items() if got == one)
        real = sum(count for (true, _), count in table.items() if true == one)
        scores.append(2 * hit / (claimed + real))
    return sum(scores) / len(scores)
