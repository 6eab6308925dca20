"""Guards against reactions that are no opinion: floods, bursts, and a few people who say most.

    duplicates  of a user's equal reactions to answers that read almost alike the first one counts
    bursts      more than `burst` reactions of a user within `burst_seconds`: nobody read those answers
    cap         at most `max_per_user` of a user, a seeded sample of all

What is left out is counted, and whoever stands out is named (`Suspect`). People who only react much and
fast are left out in part, never as a whole: what they said at a person's pace counts. In six Polis
conversations, 1,727 voters, 8 people ever voted more than 12 times within ten seconds (median 3 to 4).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from plus.types import Dropped, Event, Reaction

DUPLICATE = "reactions like an earlier one of the same user to an answer that reads almost alike"
BURST = "reactions in a burst, faster than anybody reads"
CAPPED = "reactions beyond the number that one user may have"
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Guards:
    """What is guarded against. `similar` is the share of words that two texts have in common (Jaccard) to read
    almost alike. None switches a guard off."""

    similar: float | None = 0.8
    burst: int | None = 12
    burst_seconds: float = 10.0
    max_per_user: int | None = 500
    named_from: int = 5  # reactions left out as duplicates or in bursts from which on a user is named


OFF = Guards(similar=None, burst=None, max_per_user=None)


@dataclass(frozen=True)
class Suspect:
    """A user who stands out: how many reactions were left out and why, of how many, and the answer that most of
    them were about."""

    user_id: str
    duplicates: int
    bursts: int
    reactions: int
    answer: str
    love: float


def guard(
    events: Mapping[str, Sequence[Event]], guards: Guards, dropped: Dropped, seed: int = 0
) -> tuple[dict[str, list[Event]], list[Suspect]]:
    """What the guards let through, oldest first as it came, and who stands out, worst first."""
    kept: dict[str, list[Event]] = {}
    suspects: list[Suspect] = []
    for user, past in events.items():
        hasty = _bursts(past, guards)
        again = _duplicates([event for event in past if id(event) not in hasty], guards)
        rest = [event for event in past if id(event) not in hasty and id(event) not in again]
        if guards.max_per_user is not None and len(rest) > guards.max_per_user:
            places = sorted(Random(f"cap-{seed}-{user}").sample(range(len(rest)), guards.max_per_user))
            dropped.add(CAPPED, f"user {user}", len(rest) - len(places))
            rest = [rest[place] for place in places]
        for reason, found in ((BURST, hasty), (DUPLICATE, again)):
            if found:
                dropped.add(reason, f"user {user}", len(found))
        if len(hasty) + len(again) >= guards.named_from:
            suspects.append(_suspect(user, past, hasty, again))
        if rest:
            kept[user] = rest
    return kept, sorted(suspects, key=lambda s: (-s.duplicates - s.bursts, s.user_id))


def _bursts(past: Sequence[Event], guards: Guards) -> set[int]:
    """Every reaction that stands in a window of `burst_seconds` with more than `burst` of them."""
    timed = [event for event in past if event.time is not None]
    found: set[int] = set()
    if guards.burst is None:
        return found
    first = 0
    for place, event in enumerate(timed):
        while (event.time or 0) - (timed[first].time or 0) > guards.burst_seconds:
            first += 1
        if place - first + 1 > guards.burst:
            found.update(id(one) for one in timed[first : place + 1])
    return found


def _duplicates(past: Sequence[Event], guards: Guards) -> set[int]:
    """Reactions with the label of an earlier one whose answer has the same words, or nearly."""
    found: set[int] = set()
    if guards.similar is None:
        return found
    met = {True: _Met(guards.similar), False: _Met(guards.similar)}
    for event in past:
        assert isinstance(event.content, Reaction)
        if not met[event.content.label].add(words_of(event.content.completion)):
            found.add(id(event))
    return found


class _Met:
    """Sets of words, none nearly like another. Two sets that have a share t of their words in common, have one in
    common among the first n - ceil(t n) + 1 of each in any fixed order, so only those are looked up (prefix filter,
    Chaudhuri et al., ICDE 2006); in this order the longest, rarest words come first."""

    def __init__(self, similar: float) -> None:
        self.similar = similar
        self.by_word: dict[str, list[frozenset[str]]] = defaultdict(list)

    def add(self, words: frozenset[str]) -> bool:
        """Whether nothing like them was met before; then they are kept."""
        order = sorted(words, key=lambda word: (-len(word), word))
        first = order[: len(order) - math.ceil(self.similar * len(order) - 1e-9) + 1]
        if any(_alike(words, other, self.similar) for word in first for other in self.by_word.get(word, ())):
            return False
        for word in first:
            self.by_word[word].append(words)
        return True


def words_of(text: str) -> frozenset[str]:
    """The words of a text, without case and marks; a text without any stands for itself."""
    return frozenset(_WORD.findall(text.casefold())) or frozenset([text.strip()])


def _alike(one: frozenset[str], other: frozenset[str], similar: float) -> bool:
    if min(len(one), len(other)) < similar * max(len(one), len(other)):
        return False
    return len(one & other) >= similar * len(one | other)


def _suspect(user: str, past: Sequence[Event], hasty: set[int], again: set[int]) -> Suspect:
    out = [e.content for e in past if id(e) in hasty | again and isinstance(e.content, Reaction)]
    answer, _ = Counter(reaction.completion for reaction in out).most_common(1)[0]
    love = sum(reaction.label for reaction in out) / len(out)
    return Suspect(user, len(again), len(hasty), len(past), answer, love)
