"""Logs of reactions whose truth is known: every user loves one kind of animal, some answers are better than others."""

from __future__ import annotations

import math
import random

from plus.types import Event, Reaction

KINDS = ("cats", "dogs")
START = 1_700_000_000.0
WORDS = ("big", "small", "old", "young", "red", "blue", "wild", "tame", "loud", "calm", "warm", "cold")


def answers() -> list[tuple[str, str, float]]:
    """(text, kind, quality in nats): 24 of each kind, and quality is what its adjective says."""
    found = []
    for kind in KINDS:
        for number, word in enumerate(WORDS):
            for verb in ("saw", "fed"):
                found.append((f"I {verb} some {word} {kind}.", kind, (number - 5.5) / 5))
    return found


def truth(taste: str, kind: str, quality: float, base: float, strength: float = 1.5) -> float:
    """Log-odds of love."""
    return base + quality + (strength if taste == kind else -strength)


def log(
    users: int = 60, each: int = 30, base: float = 0.0, seed: int = 0, strength: float = 1.5
) -> dict[str, list[Event]]:
    """Reactions of `users`, a minute apart; answers come up at random, each at most once a user."""
    rng = random.Random(f"love-{seed}")
    known = answers()
    found = {}
    for number in range(users):
        taste = KINDS[number % 2]
        start = START + 3600 * rng.random() * 24
        past = []
        for place, (text, kind, quality) in enumerate(rng.sample(known, min(each, len(known)))):
            chance = 1 / (1 + math.exp(-truth(taste, kind, quality, base, strength)))
            past.append(
                Event(
                    f"e{place}", "reaction", Reaction("Say something.", text, rng.random() < chance), start + 60 * place
                )
            )
        found[f"u{number:03}"] = past
    return found


def rows(events: dict[str, list[Event]]) -> list[dict]:
    """The same as rows of one's own."""
    return [
        {"user_id": user, "prompt": e.content.prompt, "completion": e.content.completion, "label": e.content.label,
         "timestamp": e.time}
        for user, past in events.items()
        for e in past
    ]  # fmt: skip
