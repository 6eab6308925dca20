"""Attribution: predictive value of a summary on its user's held-out choices, as a whole and by sentence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from plus.errors import ProfileError
from plus.measures import accuracy, bootstrap, mean, wilson
from plus.profiles.saving import set_score
from plus.profiles.store import Store
from plus.profiles.versions import Version, without
from plus.prompts import event_lines
from plus.types import Event, Preference, Scorer

TOLERANCE = 0.05  # nats a choice by which the whole text may fall behind its best sentence
IDLE = 0.001  # nats a choice below which a sentence changes nothing that can be measured
Effect = Literal["helps", "nothing", "hurts"]
FEW = 5  # held-out choices below which nothing can be told from a difference


@dataclass(frozen=True)
class Score:
    """Score of a text over `choices` held-out choices of one user, each with a 95 % interval.

    accuracy: with Wilson's interval. log_likelihood: mean in nats a choice, with a bootstrap interval.
    """

    choices: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    log_likelihood: float
    log_likelihood_interval: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain values, rounded to four places."""
        return {
            key: [round(v, 4) for v in value] if isinstance(value, tuple) else round(value, 4)
            for key, value in asdict(self).items()
        }


@dataclass(frozen=True)
class Flip:
    """Choice that one text predicts right and the other wrong, with its log-likelihood under both."""

    event_id: str
    pair: Preference
    before: float
    after: float

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values."""
        return {"event": self.event_id, **_texts(self.pair), "before": self.before, "after": self.after}


@dataclass(frozen=True)
class Foreseen:
    """Effect of a new text on a user's held-out choices: both scores, and the choices that change sides."""

    before: Score
    after: Score
    flipped: tuple[Flip, ...]

    @property
    def is_telling(self) -> bool:
        """False where there are too few choices to tell anything."""
        return self.before.choices >= FEW


@dataclass(frozen=True)
class Compared:
    """Score of a user's current version, beside that of an older one where there is one."""

    version: Version
    score: Score
    older: Version | None = None
    older_score: Score | None = None
    flipped: tuple[Flip, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values."""
        found: dict[str, Any] = {
            "user_id": self.version.user_id, "version": self.version.version, "score": self.score.as_dict(),
        }  # fmt: skip
        if self.older is not None and self.older_score is not None:
            found["before"] = {"version": self.older.version, "score": self.older_score.as_dict()}
            found["flipped"] = [flip.to_json() for flip in self.flipped]
        return found


@dataclass(frozen=True)
class SentenceValue:
    """Predictive value of one sentence, in nats a choice.

    worth: mean log-likelihood of the whole text minus that without the sentence. alone: that of the sentence by itself
    minus that of no text. events: (id, gain by the sentence alone) of the choices that it was written from, those that
    it quotes first; None for the gain of a reaction, which is no choice.
    """

    id: str
    text: str
    worth: float
    alone: float
    origin: str
    since: int
    events: tuple[tuple[str, float | None], ...]

    def effect(self, reads_whole: bool = True) -> Effect:
        """Say in a word what the sentence does to predictions, by its worth, or by what it says alone."""
        value = self.worth if reads_whole else self.alone
        return "nothing" if abs(value) < IDLE else "helps" if value > 0 else "hurts"


@dataclass(frozen=True)
class Attribution:
    """Value of every sentence, the highest first, with the log-likelihood of the whole text and of none.

    reads_whole: false where the reward model predicts worse from the whole text than from one of its sentences. It was
    then trained on shorter texts, so leaving a sentence out changes noise, and sentences are ranked by what each says
    alone. choices: how many it was measured on.
    """

    sentences: tuple[SentenceValue, ...]
    whole: float
    empty: float
    reads_whole: bool
    choices: int = 0


@dataclass(frozen=True)
class Kept:
    """Mean log-likelihood of held-out choices in nats: with the whole text, with the part that was kept, with none."""

    whole: float
    kept: float
    empty: float

    @property
    def share(self) -> float | None:
        """Share of the whole text's predictive value that is kept; None where that has none."""
        return (self.kept - self.empty) / (self.whole - self.empty) if self.whole > self.empty else None


def compare(store: Store, user_id: str, scorer: Callable[[], Scorer], against: int | None = None) -> Compared:
    """Score a user's current summary and an older version (default: the one before), and keep the score with it.

    scorer: loads the reward model, once it is needed. Raises ProfileError without a summary or held-out choices.
    """
    # 1. What is compared, and on which choices.
    current = store.current(user_id)
    if current is None:
        raise ProfileError(f"{user_id!r} has no summary to score; plus summarize RUN --update writes one")
    events = held_out(store, user_id, current)
    if not events:
        raise ProfileError(f"{user_id!r} has no held-out choice to score on; about one in five new choices is held out")
    earlier = [found for found in store.history(user_id) if found.version < current.version]
    older = store.version(user_id, against) if against is not None else earlier[-1] if earlier else None
    # 2. The scores.
    model = scorer()
    values = read(model, current.text, events)
    found = Compared(current, score(values))
    if older is not None:
        before = read(model, older.text, events)
        found = Compared(current, found.score, older, score(before), tuple(flips(events, before, values)))
    if store.writable:
        set_score(store, current, found.score.as_dict())
    return found


def explain(store: Store, user_id: str, scorer: Callable[[], Scorer]) -> Attribution:
    """Attribute the value of a user's current summary to its sentences, each with the choices it was written from.

    scorer: loads the reward model, once it is needed. Raises ProfileError without a summary or held-out choices.
    """
    current = store.current(user_id)
    events = held_out(store, user_id, current)
    if current is None or not events:
        raise ProfileError(f"{user_id!r} has no {'held-out choice' if current else 'summary'} yet, which why needs")
    return why(scorer(), current, events, sources(store, current))


def sources(store: Store, version: Version) -> dict[int, list[Event]]:
    """Map the version that a sentence came with -> the events it was written from, for each sentence of a version."""
    known = {event.id: event for event in store.events(version.user_id)}
    read_by = store.evidence(version)
    return {number: [known[name] for name in ids if name in known] for number, ids in read_by.items()}


def foresee(
    store: Store, user_id: str, text: str, scorer: Callable[[], Scorer], before: Version | None = None
) -> Foreseen:
    """Score a text on a user's held-out choices beside a version, by default the current one; nothing is saved.

    Raises ProfileError without held-out choices.
    """
    before = before or store.current(user_id)
    events = held_out(store, user_id, before)
    if not events:
        raise ProfileError(f"{user_id!r} has no held-out choice to score on; about one in five new choices is held out")
    model = scorer()
    old, new = read(model, before.text if before else "", events), read(model, text, events)
    return Foreseen(score(old), score(new), tuple(flips(events, old, new)))


def held_out(store: Store, user_id: str, version: Version | None = None) -> list[Event]:
    """List a user's held-out choices, without those that `version` was written from."""
    read = set()
    if version is not None:
        read = {event for ids in store.evidence(version).values() for event in ids}
    events = store.events(user_id, held_out=True)
    return [event for event in events if isinstance(event.content, Preference) and event.id not in read]


def score(log_likelihoods: Sequence[float]) -> Score:
    """Score a text by its log-likelihood on each choice; at least one is needed."""
    n, share = len(log_likelihoods), accuracy(log_likelihoods)
    return Score(n, share, wilson(share, n), mean(log_likelihoods), bootstrap(log_likelihoods))


def read(scorer: Scorer, text: str, events: Sequence[Event]) -> list[float]:
    """Compute the log-likelihood of each choice given the text."""
    pairs = _pairs(events)
    return scorer.log_likelihood([text] * len(pairs), pairs)


def flips(events: Sequence[Event], before: Sequence[float], after: Sequence[float]) -> list[Flip]:
    """List the choices that change sides between two texts (an undecided one is on neither)."""
    return [
        Flip(event.id, pair, one, two)
        for event, pair, one, two in zip(events, _pairs(events), before, after, strict=True)
        if accuracy([one]) != accuracy([two])
    ]


def why(
    scorer: Scorer, version: Version, events: Sequence[Event], sources: Mapping[int, Sequence[Event]] | None = None
) -> Attribution:
    """Measure what each sentence of a version is worth on these choices.

    sources: version number -> the events it was written from; a sentence's own are those of the version it came with.
    """
    # 1. All texts in one scoring pass: the whole, none, each sentence left out, each alone.
    sentences = version.sentences
    without_it = [without(version, [sentence.id]) for sentence in sentences]
    texts = [version.text, "", *without_it, *(sentence.text for sentence in sentences)]
    whole, empty, *others = _means(scorer, texts, _pairs(events))
    left, alone = others[: len(sentences)], others[len(sentences) :]
    # 2. The choices that each sentence explains.
    support = [_support(scorer, s.text, (sources or {}).get(s.since, ())) for s in sentences]
    found = [
        SentenceValue(s.id, s.text, whole - rest, own - empty, s.origin, s.since, gains)
        for s, rest, own, gains in zip(sentences, left, alone, support, strict=True)
    ]
    # 3. The ranking, by the measure that this reward model can be trusted with.
    reads_whole = whole >= max(alone, default=whole) - TOLERANCE
    order = sorted(found, key=lambda one: (-one.worth, -one.alone) if reads_whole else (-one.alone, -one.worth))
    return Attribution(tuple(order), whole, empty, reads_whole, len(events))


def choose(
    scorer: Scorer,
    version: Version,
    events: Sequence[Event],
    tokens: Callable[[str], int],
    max_tokens: int,
    locked: Collection[str] = (),
) -> tuple[str, Kept | None]:
    """Choose the sentences worth most that fit `max_tokens` together; returns (text, value kept).

    Locked sentences come first. The value is None for a text that fits, and without held-out choices, where the first
    sentences stay.
    """
    if tokens(version.text) <= max_tokens:
        return version.text, None
    # Locked sentences, then by worth; each stays if it still fits.
    ranked = [one.id for one in why(scorer, version, events).sentences] if events else []
    ids = ranked or [sentence.id for sentence in version.sentences]
    # With each sentence that no longer fits, the shorter ones after it are still tried.
    order = sorted(version.sentences, key=lambda s: (s.text not in locked, ids.index(s.id)))
    dropped = {sentence.id for sentence in order}
    for sentence in order:
        if tokens(without(version, dropped - {sentence.id})) <= max_tokens:
            dropped -= {sentence.id}
    text = without(version, dropped)
    return text, Kept(*_means(scorer, [version.text, text, ""], _pairs(events))) if events else None


def mean_kept(values: Sequence[Kept]) -> Kept:
    """Average over several texts."""
    return Kept(mean(v.whole for v in values), mean(v.kept for v in values), mean(v.empty for v in values))


def _means(scorer: Scorer, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
    """The mean log-likelihood of all pairs under each text, in one scoring pass."""
    # Text-major: all pairs under the first text, then under the second, ...
    n = len(pairs)
    values = scorer.log_likelihood([text for text in texts for _ in pairs], [*pairs] * len(texts))
    return [mean(values[place * n : (place + 1) * n]) for place in range(len(texts))]


def _support(scorer: Scorer, sentence: str, events: Sequence[Event]) -> tuple[tuple[str, float | None], ...]:
    """The events that the sentence quotes, then the choices among the others, the most likely by the sentence first."""
    quoted = {event.id for event in events if event_lines(event) == sentence}
    choices = [event for event in events if isinstance(event.content, Preference)]
    pairs = _pairs(choices)
    alone = scorer.log_likelihood([sentence] * len(pairs), pairs)
    empty = scorer.log_likelihood([""] * len(pairs), pairs)
    gains = [(event.id, a - b) for event, a, b in zip(choices, alone, empty, strict=True)]
    reactions = [(event.id, None) for event in events if event.id in quoted and event not in choices]
    return (*reactions, *sorted(gains, key=lambda gain: (gain[0] not in quoted, -gain[1])))


def _pairs(events: Sequence[Event]) -> list[Preference]:
    return [event.content for event in events if isinstance(event.content, Preference)]


def _texts(pair: Preference) -> dict[str, str]:
    return {"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected}
