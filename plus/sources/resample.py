"""A training user's events, cut anew at every update: another context, other targets.

The cut between past and future is arbitrary for training users, and a model that always sees the
same one learns it by heart. Test users are cut once, by time (`contexts.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random

from plus.sources.leaks import pair_key
from plus.types import Event, Preference, Reaction


def recut(
    events: Sequence[Event], rng: Random, share: float = 0.6, pairs: int = 12
) -> tuple[tuple[Event, ...], tuple[Preference, ...]]:
    """A random `share` of the events, in their order, and at most `pairs` targets from the rest."""
    places = sorted(range(len(events)), key=lambda _: rng.random())  # a shuffle, faster
    size = max(1, int(len(events) * share))
    context = tuple(events[place] for place in sorted(places[:size]))
    return context, draw_targets([events[place] for place in places[size:]], context, rng, pairs)


def draw_targets(later: Sequence[Event], context: Sequence[Event], rng: Random, pairs: int) -> tuple[Preference, ...]:
    """At most `pairs` distinct choices: those made, and a liked answer against a disliked one to the
    same prompt. What the context shows is no target."""
    shown = [event.content for event in context]
    reactions = {(content.prompt, content.completion) for content in shown if isinstance(content, Reaction)}
    compared = {pair_key(content) for content in shown if isinstance(content, Preference)}
    found = [e.content for e in later if isinstance(e.content, Preference) and pair_key(e.content) not in compared]
    by_prompt: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for event in later:
        said = event.content
        if isinstance(said, Reaction) and (said.prompt, said.completion) not in reactions:
            by_prompt[said.prompt][not said.label].append(said.completion)
    for prompt, (liked, disliked) in by_prompt.items():
        count = len(liked) * len(disliked)
        for place in rng.sample(range(count), min(count, pairs)):
            chosen, rejected = liked[place // len(disliked)], disliked[place % len(disliked)]
            made = Preference(prompt, chosen, rejected)
            if chosen != rejected and (not compared or pair_key(made) not in compared):
                found.append(made)
    found = list(dict.fromkeys(found))
    return tuple(rng.sample(found, min(pairs, len(found))))
