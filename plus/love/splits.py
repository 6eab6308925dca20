"""Splits of reactions into training users and held-out users that respect time.

`split_by_user` predicts users that training never met: their oldest 60 % is read, the rest predicted.
`split_by_time` cuts the whole log at one moment: older reactions train, newer ones are predicted, as a model that
is trained today is used tomorrow. `check` names a split that looks into the future.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from plus.errors import EvidenceError, SourceError
from plus.love.reactions import label_of
from plus.sources.contexts import context_and_later, in_order
from plus.types import Event

Events = Mapping[str, Sequence[Event]]
FEWEST = 12  # users: with fewer, a third of them cannot be held out and the rest learned from
SHARE = 0.6


@dataclass(frozen=True)
class HeldOutUser:
    """User of the test set: `context` is read, `targets` are predicted. `group`: new users or known users."""

    user_id: str
    context: tuple[Event, ...]
    targets: tuple[Event, ...]
    group: str = "new users"


@dataclass(frozen=True)
class Split:
    """Training set (`train`) and held-out users of one training run.

    timed: every reaction has a time, so that order means time.
    cut: moment between training and test, for a split by time.
    left_out: users without a reaction to predict.
    """

    name: str
    train: Events
    held_out: tuple[HeldOutUser, ...]
    timed: bool
    cut: float | None = None
    left_out: int = 0


def split_by_user(events: Events, folds: int = 3, seed: int = 0, share: float = SHARE) -> list[Split]:
    """Split users into folds, each held out once.

    Raises SourceError with too few users, or where no held-out reaction is newer than the others of its user.
    """
    check_enough(events)
    # Seeded order of users; every fold-th one is held out together.
    names = sorted(events)
    Random(f"deal-{seed}").shuffle(names)
    timed = is_timed(events)
    found = []
    for number in range(folds):
        part = sorted(names[number::folds])
        users = [split_user(user, events[user], seed, share) for user in part]
        kept = tuple(user for user in users if user.targets)
        train = {user: events[user] for user in sorted(events) if user not in set(part)}
        if not kept:
            raise SourceError(
                "nobody who is tested has a reaction that is newer than their others; "
                "give times that tell reactions apart, or none"
            )
        found.append(Split(f"new users {number}", train, kept, timed, left_out=len(users) - len(kept)))
    return found


def split_by_time(events: Events, share: float = 0.8, seed: int = 0) -> list[Split]:
    """Split the log at one moment: the oldest `share` of all reactions trains.

    A known user's context is their reactions before the cut; of a user who came later the oldest part is read.
    Raises SourceError where reactions have no times, or all the same one.
    """
    check_enough(events)
    if not is_timed(events):
        raise SourceError("reactions without times have no later part; leave --split_by time out, or give timestamps")
    # The moment before which the oldest share of all reactions happened.
    times = sorted(event.time or 0.0 for past in events.values() for event in past)
    moment = times[int(len(times) * share)]
    train, users = {}, []
    for user in sorted(events):
        past = in_order(events[user], seed)
        old = [event for event in past if (event.time or 0.0) < moment]
        new = [event for event in past if (event.time or 0.0) >= moment]
        # A user with reactions on both sides trains and is predicted; one who came later is read first.
        if old:
            train[user] = old
        if old and new:
            users.append(HeldOutUser(user, tuple(old), tuple(new), "known users"))
        elif new:
            users.append(split_user(user, new, seed, SHARE))
    kept = tuple(user for user in users if user.targets)
    if not train or not kept:
        raise SourceError(f"all {len(times):,} reactions happened at one moment; they have no later part")
    return [Split("later reactions", train, kept, True, moment, len(users) - len(kept))]


def split_user(user: str, past: Sequence[Event], seed: int = 0, share: float = SHARE) -> HeldOutUser:
    """Split one user's reactions: the oldest `share` is read, the rest predicted.

    A single reaction is predicted without a context.
    """
    if len(past) == 1:
        return HeldOutUser(user, (), tuple(past))
    context, rest = context_and_later(past, seed, share)
    return HeldOutUser(user, tuple(context), tuple(rest))


def check_enough(events: Events) -> None:
    """Check that both outcomes occur and enough users gave each. Raises SourceError."""
    if len(events) < FEWEST:
        raise SourceError(
            f"{len(events)} users with reactions; at least {FEWEST} are needed to learn from some and test on others: "
            "give more of the log"
        )
    total = sum(map(len, events.values()))
    users_of = {
        label: {user for user, past in events.items() if any(label_of(event) is label for event in past)}
        for label in (True, False)
    }
    for label, word, other, answers in (
        (False, "negative", "positive", "no love"),
        (True, "positive", "negative", "love"),
    ):
        users = users_of[label]
        if not users:
            raise SourceError(
                f"all {total:,} reactions are {other}, so there is nothing to tell apart; "
                f"add the answers that got {answers}"
            )
        if len(users) < FEWEST // 2:
            raise SourceError(
                f"{len(users)} users gave a {word} reaction; {FEWEST // 2} are needed to learn from some and test on "
                "others: give more of the log"
            )


def check(split: Split) -> None:
    """Check that a split does not look into the future.

    Raises EvidenceError when a held-out user is trained on (unless the split is by time), when a context is not
    older than its targets, or when training holds a reaction from after the cut.
    """
    for user in split.held_out:
        if split.cut is None and user.user_id in split.train:
            raise EvidenceError(f"{split.name}: test user {user.user_id} is among the training users")
        # What is read must be older than what is predicted.
        newest = max((event.time for event in user.context if event.time is not None), default=None)
        oldest = min((event.time for event in user.targets if event.time is not None), default=None)
        if split.timed and newest is not None and oldest is not None and newest >= oldest:
            raise EvidenceError(
                f"{split.name}: user {user.user_id}'s context holds a reaction that is not older than one to be "
                "predicted"
            )
        # Without times the same reaction on both sides is still a leak.
        if {event.id for event in user.context} & {event.id for event in user.targets}:
            raise EvidenceError(f"{split.name}: a reaction of user {user.user_id} is read and predicted")
    if split.cut is not None:
        for name, past in split.train.items():
            if any((event.time or 0.0) >= split.cut for event in past):
                raise EvidenceError(f"{split.name}: training holds a reaction of user {name} from after the cut")


def is_timed(events: Events) -> bool:
    """Tell whether every reaction has a time; `reactions.clean` leaves all of them one, or none."""
    return all(event.time is not None for past in events.values() for event in past)
