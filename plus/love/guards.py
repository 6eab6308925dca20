"""Guards against reactions that are no opinion: floods, bursts, and users with far more reactions than others.

    duplicates  of a user's equal reactions to answers that read almost alike the first one counts
    bursts      more than `burst` reactions of a user within `burst_seconds`: faster than answers can be read
    cap         at most `max_per_user` of a user, a seeded sample of all

Reactions that are left out are counted, and users with many of them are reported (`Suspect`). A fast user loses
the fast reactions only; those at a normal pace count. In six Polis conversations, 1,727 voters, 8 people ever
voted more than 12 times within ten seconds (median 3 to 4).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from plus.love.reactions import label_of, reaction_of
from plus.types import Dropped, Event

DUPLICATE = "reactions like an earlier one of the same user to an answer that reads almost alike"
BURST = "reactions in a burst, faster than anybody reads"
CAPPED = "reactions beyond the number that one user may have"
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Guards:
    """Settings of the guards; None switches a guard off.

    similar: share of words in common (Jaccard) from which two answers read almost alike.
    burst, burst_seconds: more than `burst` reactions within so many seconds are a burst.
    max_per_user: reactions of one user that count.
    report_from: duplicates and burst reactions of a user from which on the user is reported.
    """

    similar: float | None = 0.8
    burst: int | None = 12
    burst_seconds: float = 10.0
    max_per_user: int | None = 500
    report_from: int = 5


OFF = Guards(similar=None, burst=None, max_per_user=None)


@dataclass(frozen=True)
class Suspect:
    """User with many reactions left out: how many and why, of how many, and the answer most of them were about.

    `love` is the share of positive ones among the reactions that were left out.
    """

    user_id: str
    duplicates: int
    bursts: int
    reactions: int
    answer: str
    love: float


def guard(
    events: Mapping[str, Sequence[Event]], guards: Guards, dropped: Dropped, seed: int = 0
) -> tuple[dict[str, list[Event]], list[Suspect]]:
    """Leave out reactions that the guards refuse: (events that remain, in order; suspects, worst first)."""
    kept: dict[str, list[Event]] = {}
    suspects: list[Suspect] = []
    for user, past in events.items():
        # Bursts first: a duplicate inside a burst is counted once, as a burst.
        burst = _bursts(past, guards)
        duplicate = _duplicates([event for event in past if id(event) not in burst], guards)
        rest = [event for event in past if id(event) not in burst and id(event) not in duplicate]
        # The cap keeps a sample over the whole time, not the oldest reactions.
        if guards.max_per_user is not None and len(rest) > guards.max_per_user:
            places = sorted(Random(f"cap-{seed}-{user}").sample(range(len(rest)), guards.max_per_user))
            dropped.add(CAPPED, f"user {user}", len(rest) - len(places))
            rest = [rest[place] for place in places]
        for reason, found in ((BURST, burst), (DUPLICATE, duplicate)):
            if found:
                dropped.add(reason, f"user {user}", len(found))
        if len(burst) + len(duplicate) >= guards.report_from:
            suspects.append(_suspect(user, past, burst, duplicate))
        if rest:
            kept[user] = rest
    return kept, sorted(suspects, key=lambda s: (-s.duplicates - s.bursts, s.user_id))


def _bursts(past: Sequence[Event], guards: Guards) -> set[int]:
    """Find the ids (of Python) of events in a window of `burst_seconds` that holds more than `burst` events."""
    timed = [event for event in past if event.time is not None]
    found: set[int] = set()
    if guards.burst is None:
        return found
    first = 0  # start of the window that ends at `place`
    # A window that slides over the times.
    for place, event in enumerate(timed):
        while (event.time or 0) - (timed[first].time or 0) > guards.burst_seconds:
            first += 1
        if place - first + 1 > guards.burst:
            found.update(id(one) for one in timed[first : place + 1])
    return found


def _duplicates(past: Sequence[Event], guards: Guards) -> set[int]:
    """Find the ids (of Python) of events with the label of an earlier one whose answer has almost the same words."""
    found: set[int] = set()
    if guards.similar is None:
        return found
    seen = {True: _WordSets(guards.similar), False: _WordSets(guards.similar)}  # by label
    for event in past:
        if not seen[label_of(event)].add(words_of(reaction_of(event).completion)):
            found.add(id(event))
    return found


class _WordSets:
    """Sets of words, no two of them similar.

    Two sets that share a part t of their words have one in common among the first n - ceil(t n) + 1 of each in any
    fixed order, so only those are indexed (prefix filter, Chaudhuri et al., ICDE 2006); here long words come
    first, because they are rare.
    """

    def __init__(self, similar: float) -> None:
        self.similar = similar
        self.by_word: dict[str, list[frozenset[str]]] = defaultdict(list)

    def add(self, words: frozenset[str]) -> bool:
        """Keep the words and return True, unless a similar set was kept before."""
        order = sorted(words, key=lambda word: (-len(word), word))
        first = order[: len(order) - math.ceil(self.similar * len(order) - 1e-9) + 1]
        if any(_alike(words, other, self.similar) for word in first for other in self.by_word.get(word, ())):
            return False
        for word in first:
            self.by_word[word].append(words)
        return True


def words_of(text: str) -> frozenset[str]:
    """Split a text into words without case and punctuation; a text without words counts as one word."""
    return frozenset(_WORD.findall(text.casefold())) or frozenset([text.strip()])


def _alike(one: frozenset[str], other: frozenset[str], similar: float) -> bool:
    # Sets of very different sizes cannot reach the Jaccard share; saves the intersection.
    if min(len(one), len(other)) < similar * max(len(one), len(other)):
        return False
    return len(one & other) >= similar * len(one | other)


def _suspect(user: str, past: Sequence[Event], burst: set[int], duplicate: set[int]) -> Suspect:
    left_out = [reaction_of(event) for event in past if id(event) in burst | duplicate]
    answer, _ = Counter(reaction.completion for reaction in left_out).most_common(1)[0]
    love = sum(reaction.label for reaction in left_out) / len(left_out)
    return Suspect(user, len(duplicate), len(burst), len(past), answer, love)
