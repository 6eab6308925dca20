"""What a summary is worth on the user's own held-out choices, as a whole and sentence by sentence."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from plus.measures import accuracy, mean
from plus.profiles.edits import without
from plus.profiles.store import Store
from plus.profiles.versions import Version
from plus.types import Event, Preference, Scorer

Z = 1.959964  # two-sided 95 %
DRAWS = 1000
TOLERANCE = 0.05  # nats a choice by which the whole text may fall behind its best sentence


@dataclass(frozen=True)
class Score:
    """Accuracy with Wilson's interval, and the mean log-likelihood in nats a choice with a bootstrap
    interval, both 95 %. Over `choices` held-out choices of one user."""

    choices: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    log_likelihood: float
    log_likelihood_interval: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, rounded to what is meant."""
        return {
            key: [round(v, 4) for v in value] if isinstance(value, tuple) else round(value, 4)
            for key, value in asdict(self).items()
        }


@dataclass(frozen=True)
class Flip:
    """A choice that one text predicts right and the other wrong."""

    event_id: str
    pair: Preference
    before: float
    after: float


@dataclass(frozen=True)
class Worth:
    """What one sentence adds, in nats a choice.

    `worth`: the mean log-likelihood of the whole text minus that without the sentence. `alone`: that of the
    sentence by itself minus that of no text. `events` are the choices that it was written from, with what
    the sentence alone adds to each.
    """

    id: str
    text: str
    worth: float
    alone: float
    origin: str
    since: int
    events: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Why:
    """Every sentence's worth, the worthiest first.

    `reads_whole` is false where the reward model predicts worse from the whole text than from one of its
    sentences: it has met no text so long, so what leaving a sentence out changes is noise, and the sentences
    are ranked by what each says alone.
    """

    sentences: tuple[Worth, ...]
    whole: float
    empty: float
    reads_whole: bool


@dataclass(frozen=True)
class Kept:
    """Mean log-likelihood of the held-out choices, in nats: with the whole text, with what was kept of it, with none."""

    whole: float
    kept: float
    empty: float

    @property
    def share(self) -> float | None:
        """The part of the whole text's predictive value that is kept; None where that has none."""
        return (self.kept - self.empty) / (self.whole - self.empty) if self.whole > self.empty else None


def held_out(store: Store, user_id: str, version: Version | None = None) -> list[Event]:
    """The user's choices that no summarizer has read: what a summary is scored on."""
    read = set()
    if version is not None:
        read = {event for ids in store.evidence(version).values() for event in ids}
    events = store.events(user_id, held_out=True)
    return [event for event in events if isinstance(event.content, Preference) and event.id not in read]


def score(log_likelihoods: Sequence[float]) -> Score:
    """The score of a text from its log-likelihood on each choice; at least one is needed."""
    n, share = len(log_likelihoods), accuracy(log_likelihoods)
    return Score(n, share, wilson(share, n), mean(log_likelihoods), bootstrap(log_likelihoods))


def read(scorer: Scorer, text: str, events: Sequence[Event]) -> list[float]:
    """log P of each choice, given the text."""
    pairs = _pairs(events)
    return scorer.log_likelihood([text] * len(pairs), pairs)


def flips(events: Sequence[Event], before: Sequence[float], after: Sequence[float]) -> list[Flip]:
    """The choices that change sides (an undecided one is on neither)."""
    return [
        Flip(event.id, pair, one, two)
        for event, pair, one, two in zip(events, _pairs(events), before, after, strict=True)
        if accuracy([one]) != accuracy([two])
    ]


def why(
    scorer: Scorer, version: Version, events: Sequence[Event], sources: Mapping[int, Sequence[Event]] | None = None
) -> Why:
    """What each sentence is worth on these choices.

    `sources` are the events that each version was written from: a sentence's own are those of the
    version that first had it.
    """
    sentences = version.sentences
    without_it = [without(version, [sentence.id]) for sentence in sentences]
    texts = [version.text, "", *without_it, *(sentence.text for sentence in sentences)]
    whole, empty, *others = _means(scorer, texts, _pairs(events))
    left, alone = others[: len(sentences)], others[len(sentences) :]
    found = [
        Worth(s.id, s.text, whole - rest, own - empty, s.origin, s.since, _support(scorer, s.text, (sources or {}).get(s.since, ())))
        for s, rest, own in zip(sentences, left, alone, strict=True)
    ]  # fmt: skip
    reads_whole = whole >= max(alone, default=whole) - TOLERANCE
    order = sorted(found, key=lambda one: (-one.worth, -one.alone) if reads_whole else (-one.alone, -one.worth))
    return Why(tuple(order), whole, empty, reads_whole)


def choose(
    scorer: Scorer,
    version: Version,
    events: Sequence[Event],
    tokens: Callable[[str], int],
    max_tokens: int,
    locked: Collection[str] = (),
) -> tuple[str, Kept | None]:
    """The sentences worth most that fit `max_tokens` together, in their order, and what that keeps.

    Locked sentences come first. None is judged of a text that fits, or without held-out choices, where
    the first sentences stay.
    """
    if tokens(version.text) <= max_tokens:
        return version.text, None
    ranked = [one.id for one in why(scorer, version, events).sentences] if events else []
    ids = ranked or [sentence.id for sentence in version.sentences]
    order = sorted(version.sentences, key=lambda s: (s.text not in locked, ids.index(s.id)))
    dropped = {sentence.id for sentence in order}
    for sentence in order:
        if tokens(without(version, dropped - {sentence.id})) <= max_tokens:
            dropped -= {sentence.id}
    text = without(version, dropped)
    return text, Kept(*_means(scorer, [version.text, text, ""], _pairs(events))) if events else None


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `n` (Wilson 1927): sensible for few choices, and at 0 and 1."""
    if n == 0:
        return 0.0, 1.0
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean, from `DRAWS` draws with replacement, the same each time."""
    rng = random.Random(0)
    means = sorted(mean(rng.choices(values, k=len(values))) for _ in range(DRAWS))
    return means[round(0.025 * (DRAWS - 1))], means[round(0.975 * (DRAWS - 1))]


def _means(scorer: Scorer, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
    """The mean log-likelihood of all pairs under each text, in one scoring pass."""
    n = len(pairs)
    values = scorer.log_likelihood([text for text in texts for _ in pairs], [*pairs] * len(texts))
    return [mean(values[place * n : (place + 1) * n]) for place in range(len(texts))]


def _support(scorer: Scorer, sentence: str, events: Sequence[Event]) -> tuple[tuple[str, float], ...]:
    """The choices among `events`, those first whose likelihood the sentence alone raises most."""
    choices = [event for event in events if isinstance(event.content, Preference)]
    pairs = _pairs(choices)
    alone = scorer.log_likelihood([sentence] * len(pairs), pairs)
    empty = scorer.log_likelihood([""] * len(pairs), pairs)
    gains = [(event.id, a - b) for event, a, b in zip(choices, alone, empty, strict=True)]
    return tuple(sorted(gains, key=lambda gain: -gain[1]))


def _pairs(events: Sequence[Event]) -> list[Preference]:
    return [event.content for event in events if isinstance(event.content, Preference)]
