"""Contexts and their targets: cut once by time (`build`), or drawn anew at every update (`resample`).

`build` cuts one history a user: the context is the user's oldest events and every target is strictly
newer; where times are missing the order is a seeded shuffle of the events by id. A target whose id
or text stands in its own context is left out. Later reactions become targets in pairs: what was liked over what was
disliked. The order of the input is irrelevant.

`resample` is for training users: a model that always sees the same cut learns it by heart.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from random import Random

from plus.sources.splits import PairKey, Plan, Revealed, Splits, assign, pair_key
from plus.types import Context, Dropped, Event, Population, Preference, Prompt, Reaction, Split, UserHistory

MADE = 16  # choices that are made of one user's reactions in one split


def build(
    name: str,
    events: Mapping[str, Sequence[Event]],
    plan: Plan,
    dropped: Dropped | None = None,
    given: Splits | None = None,
) -> Population:
    """Build the population of a log: `events` by user, with ids unique within a user.

    `given` splits, as data files may state them, win over `plan.split_by`. Where a user's choices
    lie in several splits, the context holds training events only.
    """
    dropped = Dropped() if dropped is None else dropped
    splits = assign(events, plan, dropped) if given is None else given
    rows: list[Context] = []
    histories: dict[str, UserHistory] = {}
    for user_id in sorted(events):
        past = [event for event in events[user_id] if (user_id, event.id) in splits]
        if not past:
            continue
        # Events that may be read: all of a user of one split, else those to train on.
        of_user = {splits[user_id, event.id] for event in past}
        train_only = len(of_user) > 1 or (given is None and plan.split_by != "users")
        old = [event for event in past if not train_only or splits[user_id, event.id] == "train"]
        held_out = [event for event in past if train_only and splits[user_id, event.id] != "train"]
        # The context is the oldest of them; what comes after it may be predicted.
        context, rest = cut(user_id, old, plan, dropped, spare=0 if held_out else 1)
        later = newer(context, [*rest, *in_order(held_out, plan.seed)], dropped)
        if plan.bounds and later and len(context) < plan.bounds[0]:
            dropped.add("events of users with fewer past events than a context needs", f"user {user_id}", len(later))
            later = []
        histories[user_id] = UserHistory(user_id, tuple(context))
        rows += grouped(histories[user_id], _targets(histories[user_id], later, splits, dropped, plan.seed))
    whole = {user_id: tuple(in_order(events[user_id], plan.seed)) for user_id in histories}
    return Population(name, tuple(rows), histories, {}, dropped, events=whole)


def grouped(history: UserHistory, targets: Iterable[tuple[Preference, Split]]) -> list[Context]:
    """Group targets into rows of one split each, in order; targets of one split need to follow each other."""
    return [
        Context(history, tuple(pair for pair, _ in same), split)
        for split, same in groupby(targets, lambda item: item[1])
    ]


def _targets(
    history: UserHistory, later: Sequence[Event], splits: Splits, dropped: Dropped, seed: int
) -> list[tuple[Preference, Split]]:
    """The later choices that nothing which was read or trained on gives away, those to train on first.

    Reactions are compared with each other: what was liked with what was disliked to the same prompt.
    """
    user_id, known = history.user_id, Revealed(history.events)
    trained: set[PairKey] = set()
    targets: list[tuple[Preference, Split]] = []
    dated = [(event, splits[user_id, event.id]) for event in later if not isinstance(event.content, Reaction)]
    dated += _compared(user_id, later, splits, known, seed, dropped)
    for event, split in sorted(dated, key=lambda item: item[1] != "train"):
        where = f"{user_id} {event.id}"
        if not isinstance(target := event.content, Preference):
            dropped.add("later events that are no choices, so nothing to predict", where)
        elif not history.events:
            dropped.add("targets of users without past events to read", where)
        elif known.holds(event.id, target):
            dropped.add("targets that stand in their own context", where)
        elif split != "train" and pair_key(target) in trained:
            dropped.add("held-out targets that the same user is trained on", where)
        else:
            targets.append((target, split))
            trained |= {pair_key(target)} if split == "train" else set()
    # A user without a target is counted too.
    if len(history.events) == 1 and not later:
        dropped.add("users with a single choice, which leaves nothing to predict", f"user {user_id}")
    elif not targets:
        dropped.add("users with nothing left to predict", f"user {user_id}")
    return targets


def _compared(
    user_id: str, later: Iterable[Event], splits: Splits, known: Revealed, seed: int, dropped: Dropped
) -> list[tuple[Event, Split]]:
    """Make choices of reactions: a liked answer over a disliked one to the same prompt, at most `MADE` in a split."""
    # 1. Liked and disliked answers, by split and conversation; what the context shows is none.
    sides: dict[tuple[Split, Prompt], tuple[list[Event], list[Event]]] = defaultdict(lambda: ([], []))
    for event in later:
        if isinstance(content := event.content, Reaction):
            if known.shows(content):
                dropped.add("later reactions to an answer that stands in their own context", f"{user_id} {event.id}")
            else:
                asked = Preference(content.prompt, "", "", content.earlier).conversation
                sides[splits[user_id, event.id], asked][not content.label].append(event)
    # 2. Pairs of the two, a seeded sample of them.
    rng = Random(f"pairs-{seed}-{user_id}")
    made: dict[Split, list[Event]] = defaultdict(list)
    for (split, _), (liked, disliked) in sides.items():
        if not liked or not disliked:
            alone = [*liked, *disliked]
            reason = "later reactions without one of the other kind to the same prompt, so nothing to predict"
            dropped.add(reason, f"{user_id} {alone[0].id}", len(alone))
        count = len(liked) * len(disliked)
        for place in rng.sample(range(count), min(count, MADE)):
            made[split] += _over(liked[place // len(disliked)], disliked[place % len(disliked)])
    return [(event, split) for split, of in made.items() for event in rng.sample(of, min(len(of), MADE))]


def _over(liked: Event, disliked: Event) -> list[Event]:
    """The choice of one answer over another, or nothing where they are the same."""
    one, two = liked.content, disliked.content
    assert isinstance(one, Reaction) and isinstance(two, Reaction)
    if one.completion.split() == two.completion.split():
        return []
    pair = Preference(one.prompt, one.completion, two.completion, one.earlier)
    return [Event(f"{liked.id}-{disliked.id}", "choice", pair, None, liked.source)]


def cut(
    user_id: str, events: Sequence[Event], plan: Plan, dropped: Dropped, spare: int = 1
) -> tuple[list[Event], list[Event]]:
    """Cut events into a context within the plan's bounds and the events after it, at least `spare` of these."""
    if plan.bounds is None:
        return context_and_later(events, plan.seed, plan.context_share)
    ordered, (low, high) = in_order(events, plan.seed), plan.bounds
    size = high
    if isinstance(plan.past_events, tuple):
        most = max(low, min(high, len(ordered) - spare))
        size = Random(f"past-{plan.seed}-{user_id}").randint(low, most)
    context, later = _parted(ordered, min(size, len(ordered) - spare) if len(ordered) > spare else len(ordered))
    if len(context) > size:  # Events of one time stay together, which may exceed the number asked for.
        dropped.add("events beyond the number that a context holds", f"user {user_id}", len(context) - size)
    return context[-size:], later


def context_and_later(events: Sequence[Event], seed: int, share: float) -> tuple[list[Event], list[Event]]:
    """Cut a user's events into a context, the oldest `share` of them, and the events after it."""
    ordered = in_order(events, seed)
    return _parted(ordered, max(1, int(len(ordered) * share)) if len(ordered) > 1 else len(ordered))


def in_order(events: Sequence[Event], seed: int) -> list[Event]:
    """Sort events oldest first where every one has a time; else shuffle them by id and seed."""
    if all(event.time is not None for event in events):
        return sorted(events, key=lambda event: (event.time, event.id))
    ordered = sorted(events, key=lambda event: event.id)
    Random(f"order-{seed}-{ordered[0].id if ordered else ''}").shuffle(ordered)
    return ordered


def newer(context: Sequence[Event], events: Iterable[Event], dropped: Dropped) -> list[Event]:
    """Keep the events that are strictly newer than the context; an event without a time is kept."""
    newest = max((event.time for event in context if event.time is not None), default=-math.inf)
    kept = []
    for event in events:
        if event.time is not None and event.time <= newest:
            dropped.add("events that are not newer than their own context", event.id)
        else:
            kept.append(event)
    return kept


def by_user(events: Iterable[tuple[str, Event]]) -> dict[str, list[Event]]:
    """Group (user_id, event) pairs into the mapping that `build` takes."""
    grouped: dict[str, list[Event]] = defaultdict(list)
    for user_id, event in events:
        grouped[user_id].append(event)
    return dict(grouped)


def _parted(ordered: list[Event], cut: int) -> tuple[list[Event], list[Event]]:
    """Before and after `cut`; of timed events, those at the very time of the cut join the context,
    so that everything after it is strictly newer."""
    if all(event.time is not None for event in ordered):
        while 0 < cut < len(ordered) and ordered[cut].time == ordered[cut - 1].time:
            cut += 1
    return ordered[:cut], ordered[cut:]


def resample(
    events: Sequence[Event], rng: Random, share: float = 0.6, pairs: int = 12
) -> tuple[tuple[Event, ...], tuple[Preference, ...]]:
    """Draw a random `share` of the events, in their order, and at most `pairs` targets from the rest."""
    places = sorted(range(len(events)), key=lambda _: rng.random())  # a shuffle, faster
    size = max(1, int(len(events) * share))
    context = tuple(events[place] for place in sorted(places[:size]))
    return context, draw_targets([events[place] for place in places[size:]], context, rng, pairs)


def draw_targets(later: Sequence[Event], context: Sequence[Event], rng: Random, pairs: int) -> tuple[Preference, ...]:
    """Draw at most `pairs` distinct targets: choices, and a liked answer against a disliked one to the same prompt.

    A choice or an answer that the context shows makes no target.
    """
    shown = [event.content for event in context]
    reactions = {(content.prompt, content.completion) for content in shown if isinstance(content, Reaction)}
    compared = {pair_key(content) for content in shown if isinstance(content, Preference)}
    # Choices as they were made.
    found = [e.content for e in later if isinstance(e.content, Preference) and pair_key(e.content) not in compared]
    # Pairs made of reactions: (liked, disliked) answers by prompt.
    by_prompt: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for event in later:
        content = event.content
        if isinstance(content, Reaction) and (content.prompt, content.completion) not in reactions:
            by_prompt[content.prompt][not content.label].append(content.completion)
    for prompt, (liked, disliked) in by_prompt.items():
        count = len(liked) * len(disliked)
        for place in rng.sample(range(count), min(count, pairs)):
            chosen, rejected = liked[place // len(disliked)], disliked[place % len(disliked)]
            made = Preference(prompt, chosen, rejected)
            if chosen != rejected and (not compared or pair_key(made) not in compared):
                found.append(made)
    found = list(dict.fromkeys(found))
    return tuple(rng.sample(found, min(pairs, len(found))))
