"""Who is trained on, who is tested, and what is read of those who are: splits that respect time.

`new_users` tests people the training never met: their oldest 60 % is read, the rest is predicted. `later`
cuts the whole log at one moment: everything older trains, everything newer is predicted, as a model that is
trained today is used tomorrow. `check` says where a split looks into the future.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from plus.errors import EvidenceError, SourceError
from plus.sources.contexts import context_and_later, in_order
from plus.types import Event

Events = Mapping[str, Sequence[Event]]
FEWEST = 12  # users: below, a third of them cannot be tested and the rest learned from
SHARE = 0.6


@dataclass(frozen=True)
class Tested:
    """A user who is tested: `context` is read, `targets` are predicted. `group` is new user or known user."""

    user_id: str
    context: tuple[Event, ...]
    targets: tuple[Event, ...]
    group: str = "new users"


@dataclass(frozen=True)
class Split:
    """One training run: `train` is all that it may touch. `timed` says whether order means time; `cut` is the
    moment between training and test where the split has one."""

    name: str
    train: Events
    tested: tuple[Tested, ...]
    timed: bool
    cut: float | None = None
    left_out: int = field(default=0)  # users without a reaction to predict


def new_users(events: Events, folds: int = 3, seed: int = 0, share: float = SHARE) -> list[Split]:
    """Every user is tested once, by a model that never met them. Raises SourceError with too few users."""
    enough(events)
    names = sorted(events)
    Random(f"deal-{seed}").shuffle(names)
    timed = _timed(events)
    found = []
    for number in range(folds):
        part = sorted(names[number::folds])
        tested = [cut(user, events[user], seed, share) for user in part]
        kept = tuple(one for one in tested if one.targets)
        train = {user: events[user] for user in sorted(events) if user not in set(part)}
        if not kept:
            raise SourceError(
                "nobody who is tested has a reaction that is newer than their others; give times that tell reactions apart, or none"
            )
        found.append(Split(f"new users {number}", train, kept, timed, left_out=len(tested) - len(kept)))
    return found


def later(events: Events, share: float = 0.8, seed: int = 0) -> list[Split]:
    """One cut through time: the oldest `share` of all reactions trains. A known user's past is what they did before
    the cut; of a user who came later the oldest part is read. Raises SourceError where reactions have no times."""
    enough(events)
    if not _timed(events):
        raise SourceError("reactions without times have no later part; leave --split_by time out, or give timestamps")
    times = sorted(event.time or 0.0 for past in events.values() for event in past)
    moment = times[int(len(times) * share)]
    train, tested = {}, []
    for user in sorted(events):
        past = in_order(events[user], seed)
        old = [event for event in past if (event.time or 0.0) < moment]
        new = [event for event in past if (event.time or 0.0) >= moment]
        if old:
            train[user] = old
        if old and new:
            tested.append(Tested(user, tuple(old), tuple(new), "known users"))
        elif new:
            tested.append(cut(user, new, seed, SHARE))
    kept = tuple(one for one in tested if one.targets)
    if not train or not kept:
        raise SourceError(f"all {len(times):,} reactions happened at one moment; they have no later part")
    return [Split("later reactions", train, kept, True, moment, len(tested) - len(kept))]


def cut(user: str, past: Sequence[Event], seed: int = 0, share: float = SHARE) -> Tested:
    """A user as they are tested: the oldest `share` is read, the rest predicted; of a single reaction nothing was
    before it, so it is predicted without a past."""
    if len(past) == 1:
        return Tested(user, (), tuple(past))
    context, rest = context_and_later(past, seed, share)
    return Tested(user, tuple(context), tuple(rest))


def enough(events: Events) -> None:
    """Raises SourceError with too few users to train on some and test others, or with a single outcome."""
    if len(events) < FEWEST:
        raise SourceError(
            f"{len(events)} users with reactions; at least {FEWEST} are needed to learn from some and test on others: give more of the log"
        )
    total = sum(map(len, events.values()))
    by_label = {
        label: {
            user for user, past in events.items() for event in past if getattr(event.content, "label", None) is label
        }
        for label in (True, False)
    }
    for label, missing in ((True, "negative"), (False, "positive")):
        if not by_label[not label]:
            raise SourceError(
                f"all {total:,} reactions are {'positive' if label else 'negative'}, so there is nothing to tell apart; add the answers that got {'no love' if label else 'love'}"
            )
        if len(by_label[not label]) < FEWEST // 2:
            raise SourceError(
                f"{len(by_label[not label])} users gave a {missing} reaction; {FEWEST // 2} are needed to learn from some and test on others: give more of the log"
            )


def check(split: Split) -> None:
    """Raises EvidenceError when a test user was trained on (unless the split is by time), when what is read is
    not older than what is predicted, or when something newer than the cut was trained on."""
    for one in split.tested:
        if split.cut is None and one.user_id in split.train:
            raise EvidenceError(f"{split.name}: test user {one.user_id} is among the training users")
        newest = max((event.time for event in one.context if event.time is not None), default=None)
        oldest = min((event.time for event in one.targets if event.time is not None), default=None)
        if split.timed and newest is not None and oldest is not None and newest >= oldest:
            raise EvidenceError(
                f"{split.name}: user {one.user_id}'s context holds a reaction that is not older than one to be predicted"
            )
        if {event.id for event in one.context} & {event.id for event in one.targets}:
            raise EvidenceError(f"{split.name}: a reaction of user {one.user_id} is read and predicted")
    if split.cut is not None:
        for user, past in split.train.items():
            if any((event.time or 0.0) >= split.cut for event in past):
                raise EvidenceError(f"{split.name}: training holds a reaction of user {user} from after the cut")


def _timed(events: Events) -> bool:
    return all(event.time is not None for past in events.values() for event in past)
