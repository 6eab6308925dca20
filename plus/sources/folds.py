"""Folds of cross-validation over users, topics or choices: each is tested once.

A fold is a population whose test users (or topics, or choices) the training rows do not touch, and
the events of its training users, which may be cut anew at every update (`contexts.resample`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from plus.sources.contexts import context_and_later, draw_targets, in_order, resample
from plus.types import Context, Dropped, Event, Population, Preference, Reaction, Split, UserHistory

Events = Mapping[str, Sequence[Event]]
APART = 0.15  # two answers whose agreement differs by no more are controversial
CONTROVERSIAL = ", controversial"


@dataclass(frozen=True)
class Fold:
    """Rows of one training run: `population`, and all `events` of each training user for resampling.

    `group` names the novelty of the test rows ("new users"). `agreement` is the share of the training
    users who liked an answer, also of answers held out: it only slices the test rows, no method sees
    it. Data with fixed contexts has no `events`.
    """

    name: str
    group: str
    population: Population
    events: Mapping[str, tuple[Event, ...]] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)


def slice_of(fold: Fold, target: Preference) -> str:
    """Name the slice of a target: the fold's group, and ", controversial" where training users liked both answers
    about as often."""
    return fold.group + (CONTROVERSIAL if is_controversial(fold.agreement, target) else "")


def is_controversial(agreement: Mapping[str, float], pair: Preference) -> bool:
    """Tell whether both answers were liked about as often (shares at most APART apart); False where one is unknown."""
    if pair.chosen not in agreement or pair.rejected not in agreement:
        return False
    return abs(agreement[pair.chosen] - agreement[pair.rejected]) <= APART


def by_users(name: str, events: Events, folds: int, seed: int = 0, share: float = 0.6, pairs: int = 60) -> list[Fold]:
    """Make folds over users: each tests a part of them, on their later choices."""
    parts = _parts(events, folds, f"users-{seed}")
    return [
        _fold(f"{name}/new users/{number}", "new users", events, parts[number], seed, share, pairs)
        for number in range(folds)
    ]


def by_users_and_answers(
    name: str, events: Events, folds: int, seed: int = 0, share: float = 0.6, pairs: int = 60
) -> list[Fold]:
    """Make folds over users and answers: each also leaves a part of all answers out of training rows and contexts.

    The targets of the test users are choices between those answers alone. Validation is of the same
    kind, on answers of its own.
    """
    users = _parts(events, folds, f"users-{seed}")
    parts = _parts({text for past in events.values() for e in past for text in answers(e)}, folds, f"answers-{seed}")
    found = []
    for number in range(folds):
        # Test answers are this part; validation answers a fifth of all others.
        title = f"{name}/new answers/{number}"
        rest = sorted(text for other, part in enumerate(parts) if other != number for text in part)
        hidden: dict[Split, set[str]] = {
            "test": set(parts[number]),
            "validation": set(Random(f"validation-{seed}-{title}").sample(rest, len(rest) // 5)),
        }
        both = hidden["test"] | hidden["validation"]
        # Contexts and training rows hold neither of them; held-out targets hold nothing else.
        old = {user: [e for e in past if not answers(e) & both] for user, past in events.items()}
        new = {
            split: {user: [e for e in past if answers(e) <= texts] for user, past in events.items()}
            for split, texts in hidden.items()
        }
        found.append(_fold(title, "new answers", old, users[number], seed, share, pairs, new, events))
    return found


def by_topics(name: str, events: Events, folds: int, seed: int = 0, pairs: int | None = None) -> list[Fold]:
    """Make folds over prompts: users are known, and each fold tests their choices on a part of the prompts."""
    found = []
    for number, part in enumerate(
        _parts({prompt_of(e) for past in events.values() for e in past}, folds, f"topics-{seed}")
    ):
        topics = set(part)
        tested = {user: {e.id for e in past if prompt_of(e) in topics} for user, past in events.items()}
        found.append(held_out(f"{name}/new prompts/{number}", "new prompts", events, tested, seed, pairs))
    return found


def within_users(
    name: str, events: Events, folds: int, seed: int = 0, least: int = 20, pairs: int | None = None
) -> list[Fold]:
    """Make folds over each user's choices; those of users with `least` or more choices are tested."""
    choices = {u: _parts([e.id for e in past], folds, f"choices-{seed}-{u}") for u, past in events.items()}
    return [
        held_out(
            f"{name}/same users/{number}", "same users", events,
            {u: set(parts[number]) for u, parts in choices.items() if len(events[u]) >= least}, seed,
            pairs,
        )
        for number in range(folds)
    ]  # fmt: skip


def held_out(
    name: str, group: str, events: Events, tested: Mapping[str, Collection[str]], seed: int, pairs: int | None = None
) -> Fold:
    """Make a fold that predicts each user's `tested` events from all their others; a tenth of those is validation.

    At most `pairs` of a user are predicted, all where it is None.
    """
    dropped = Dropped()
    rows: list[Context] = []
    training: dict[str, tuple[Event, ...]] = {}
    for user, past in sorted(events.items()):
        past = in_order(past, seed)
        # Events outside the tested part; a tenth of them is validation.
        kept = [event for event in past if event.id not in tested.get(user, ())]
        held = [event for event in past if event.id in tested.get(user, ())]
        rng = Random(f"validation-{seed}-{user}")
        later = set(rng.sample(range(len(kept)), len(kept) // 10))
        old = tuple(event for place, event in enumerate(kept) if place not in later)
        if not old:
            dropped.add("users without an event outside the tested part", user)
            continue
        training[user] = old
        # Three rows a user: validation from the rest, test from all that is kept, training resampled.
        past_of = UserHistory(user, old)
        rows += _drawn(past_of, [kept[place] for place in sorted(later)], "validation", rng, pairs or 60)
        rows += _drawn(UserHistory(user, tuple(kept)), held, "test", rng, pairs or len(held))
        context, drawn = resample(old, rng)
        rows += [Context(UserHistory(user, context), drawn[:1])] if drawn else []
    histories = {user: UserHistory(user, old) for user, old in training.items()}
    return Fold(name, group, Population(name, tuple(rows), histories, {}, dropped), training)


def answers(event: Event) -> set[str]:
    """Return the answers of an event: two of a choice, one of a reaction, else none."""
    match event.content:
        case Preference(_, chosen, rejected):
            return {chosen, rejected}
        case Reaction(_, completion, _):
            return {completion}
    return set()


def prompt_of(event: Event) -> str:
    """Return the prompt of a choice or a reaction; "" for any other event."""
    return event.content.prompt if isinstance(event.content, (Preference, Reaction)) else ""


def _fold(
    name: str, group: str, events: Events, tested: Sequence[str], seed: int, share: float, pairs: int,
    targets: Mapping[Split, Events] | None = None, log: Events | None = None,
) -> Fold:  # fmt: skip
    """Every user's context and targets; validation is an eighth of the users who are not tested."""
    rest = sorted(set(events) - set(tested))
    validation = set(Random(f"validation-{seed}-{name}").sample(rest, len(rest) // 8))
    dropped = Dropped()
    rows: list[Context] = []
    histories: dict[str, UserHistory] = {}
    for user, past in sorted(events.items()):
        split: Split = "test" if user in tested else "validation" if user in validation else "train"
        if not past:
            dropped.add("users without an event to read", user)
            continue
        # The context is the oldest share; held-out targets may come from a log of their own.
        context, later = context_and_later(past, seed, share)
        if targets is not None and split != "train":
            later = list(targets[split][user])
        histories[user] = UserHistory(user, tuple(context))
        found = _drawn(histories[user], later, split, Random(f"pairs-{seed}-{user}"), pairs)
        # A user without a target is counted and stays readable.
        if not found:
            dropped.add("users whose later events hold no choice to predict", user)
        rows += found
    training = {user: tuple(events[user]) for user in histories if user not in tested and user not in validation}
    population = Population(name, tuple(rows), histories, {}, dropped)
    return Fold(name, group, population, training, agreement(log or events, training))


def agreement(events: Events, users: Iterable[str], choices_of: int | None = None) -> dict[str, float]:
    """Compute the share of `users` who liked each answer that they reacted to.

    With `choices_of` an answer that was chosen counts as liked, one that was rejected as disliked, and answers that
    fewer than so many events hold are left out.
    """
    seen: dict[str, list[bool]] = defaultdict(list)
    for event in (event for user in users for event in events[user]):
        match event.content:
            case Reaction(_, completion, label):
                seen[completion].append(label)
            case Preference(_, chosen, rejected) if choices_of is not None:
                seen[chosen].append(True)
                seen[rejected].append(False)
    return {a: sum(labels) / len(labels) for a, labels in seen.items() if len(labels) >= (choices_of or 1)}


def _drawn(history: UserHistory, later: Sequence[Event], split: Split, rng: Random, pairs: int) -> list[Context]:
    """A row of at most `pairs` drawn targets; none where nothing can be predicted."""
    targets = draw_targets(later, history.events, rng, pairs)
    return [Context(history, targets, split)] if targets else []


def _parts(names: Iterable[str], folds: int, seed: str) -> list[list[str]]:
    names = sorted(names)
    Random(seed).shuffle(names)
    return [names[number::folds] for number in range(folds)]
