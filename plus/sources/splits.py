"""Train, validation and test splits by new users, new topics or later choices, and the leak check between them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Literal, get_args

from plus.errors import SettingError
from plus.types import Dropped, Event, Preference, Reaction, Split, Turn

SplitBy = Literal["users", "topics", "later"]
UserSplit = Literal["hash", "rank"]
Splits = Mapping[tuple[str, str], Split]  # (user_id, event id) -> split
PairKey = tuple[str, frozenset[str]]  # (prompt, both answers)


@dataclass(frozen=True)
class Plan:
    """Settings of contexts and splits.

    split_by: "users" tests on users never trained on, "topics" on prompts that stand in no context
        and no training target, "later" on each user's newest choices.
    past_events: at most so many events in a context, or (at least, at most) with a seeded number for
        each user; None takes the oldest `context_share` of a user's events.
    validation, test: shares of users, topics or choices.
    user_split: "hash" keeps a user's split when the data grow; "rank" is how an older plus split users, and so how
        the runs that it left are read.

    Raises SettingError for an unknown split, an empty range or shares that leave nothing to train on.
    """

    split_by: SplitBy = "users"
    past_events: int | tuple[int, int] | None = None
    context_share: float = 0.5
    validation: float = 0.1
    test: float = 0.3
    seed: int = 0
    user_split: UserSplit = "hash"

    def __post_init__(self) -> None:
        low, high = self.bounds or (1, 1)
        if self.split_by not in get_args(SplitBy):
            raise SettingError(f"--split_by is {self.split_by!r}; it takes {', '.join(get_args(SplitBy))}")
        if not 1 <= low <= high:
            raise SettingError(f"--past_events is {self.past_events!r}; give a number from 1, or a range such as 2-8")
        held_out = self.validation + self.test
        if not 0 < self.context_share < 1 or min(self.validation, self.test) < 0 or held_out >= 1:
            raise SettingError(
                f"shares are context {self.context_share}, validation {self.validation}, test {self.test}; "
                "the context needs more than 0 and less than 1, and something must be left to train on"
            )

    @property
    def bounds(self) -> tuple[int, int] | None:
        """past_events as (at least, at most)."""
        return (1, self.past_events) if isinstance(self.past_events, int) else self.past_events


def assign(events: Mapping[str, Sequence[Event]], plan: Plan, dropped: Dropped) -> dict[tuple[str, str], Split]:
    """Assign every event a split by `plan.split_by`; events that cannot have one are counted and left out."""
    if plan.split_by == "later":
        return {key: split for user in sorted(events) for key, split in _by_time(user, events[user], plan, dropped)}
    if plan.split_by == "topics":
        topics = {topic for past in events.values() for event in past if (topic := topic_of(event))}
        of_topic = split_users(topics, plan.seed, plan.validation, plan.test)
        # An event without a topic may be read, and is never tested on.
        return {(user, e.id): of_topic.get(topic_of(e), "train") for user, past in events.items() for e in past}
    of_users = USER_SPLITS[plan.user_split]
    users = of_users(events, plan.seed, plan.validation, plan.test)
    return {(user, event.id): users[user] for user, past in events.items() for event in past}


def split_users(user_ids: Iterable[str], seed: int, validation: float = 0.1, test: float = 0.3) -> dict[str, Split]:
    """Split users (or topics), never rows, into train / validation / test; the order given is irrelevant."""
    users = sorted(set(user_ids))
    Random(f"split-{seed}").shuffle(users)
    # Exact shares of a seeded shuffle.
    n_test, n_validation = round(len(users) * test), round(len(users) * validation)
    sizes: tuple[tuple[Split, int], ...] = (
        ("test", n_test),
        ("validation", n_validation),
        ("train", len(users) - n_test - n_validation),
    )
    names = [name for name, size in sizes for _ in range(size)]
    return dict(zip(users, names, strict=True))


def hashed_split(user_ids: Iterable[str], seed: int, validation: float = 0.1, test: float = 0.3) -> dict[str, Split]:
    """Split users by a keyed hash of their id: a user keeps the split when the data grow.

    The shares hold on average. Where a split would be empty, among few users, the shares are taken by rank of the hash.
    """
    places = {user: _place(user, seed) for user in sorted(set(user_ids))}
    found = {user: _split_at(place, validation, test) for user, place in places.items()}
    needed = {name for name, share in (("train", 1.0), ("validation", validation), ("test", test)) if share}
    if len(places) < 2 or needed <= set(found.values()):
        return found
    by_rank = sorted(places, key=lambda user: (places[user], user))
    tested = max(1, round(len(by_rank) * test)) if test else 0
    validated = max(1, round(len(by_rank) * validation)) if validation and len(by_rank) > 4 else 0
    sizes: tuple[tuple[Split, int], ...] = (("test", tested), ("validation", validated), ("train", len(by_rank)))
    names = [name for name, size in sizes for _ in range(size)]
    return dict(zip(by_rank, names, strict=False))


USER_SPLITS: Mapping[UserSplit, Callable[..., dict[str, Split]]] = {"hash": hashed_split, "rank": split_users}


def in_sample(user: str, share: float) -> bool:
    """Tell whether a user is in the sample of a share of all users: by another hash than the splits'.

    A sample of the same share of a grown file has the same users, and some of the new ones.
    """
    return share >= 1 or _fraction(f"sample/{user}") < share


def _place(user: str, seed: int) -> float:
    return _fraction(f"users/{seed}/{user}")


def _fraction(key: str) -> float:
    """Map a key to a number in [0, 1) that is the same on every machine."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _split_at(place: float, validation: float, test: float) -> Split:
    return "test" if place < test else "validation" if place < test + validation else "train"


def topic_of(event: Event) -> str:
    """Return the topic of an event: the user's first question; "" where nothing was asked."""
    match event.content:
        case Preference(prompt, _, _, earlier) | Reaction(prompt, _, _, earlier):
            return next((turn.content for turn in earlier if turn.role == "user"), prompt)
        case tuple(turns):
            return next((turn.content for turn in turns if turn.role == "user"), "")
    return ""


def _by_time(user: str, past: Sequence[Event], plan: Plan, dropped: Dropped) -> Iterator[tuple[tuple[str, str], Split]]:
    """A user's oldest events to train on, then validation, then test; equal times share a split."""
    if any(event.time is None for event in past):
        dropped.add("events of users without timestamps, who have no later choices", f"user {user}", len(past))
        return
    ordered = sorted(past, key=lambda event: (event.time, event.id))
    # Two cuts in time; events of one time stay on one side.
    trained = _after_ties(ordered, round(len(past) * (1 - plan.validation - plan.test)))
    validated = max(trained, _after_ties(ordered, round(len(past) * (1 - plan.test))))
    for number, event in enumerate(ordered):
        yield (user, event.id), "train" if number < trained else "validation" if number < validated else "test"


def _after_ties(ordered: Sequence[Event], cut: int) -> int:
    """The next cut that does not part events of one time."""
    while 0 < cut < len(ordered) and ordered[cut].time == ordered[cut - 1].time:
        cut += 1
    return cut


class Revealed:
    """Leak check of one context: its event ids, its comparisons, and the answers that it shows to a prompt.

    A target that its own context holds measures memory, not preference.
    """

    def __init__(self, context: Iterable[Event]) -> None:
        self.ids: set[str] = set()
        self.pairs: set[PairKey] = set()
        self.shown: set[tuple[str, str]] = set()  # (prompt, answer)
        for event in context:
            self.ids.add(event.id)
            self._add(event.content)

    def _add(self, content: Preference | Reaction | str | tuple[Turn, ...]) -> None:
        match content:
            case Preference():
                self.pairs.add(pair_key(content))
                self._add(content.earlier)
            case Reaction():
                self.shown.add((_plain(content.prompt), _plain(content.completion)))
                self._add(content.earlier)
            case tuple(turns):
                # The answer that a conversation went on from is the one that was chosen.
                for before, turn in pairwise(turns):
                    self.shown.add((_plain(before.content), _plain(turn.content)))

    def shows(self, reaction: Reaction) -> bool:
        """Tell whether the context shows the answer that was reacted to."""
        return (_plain(reaction.prompt), _plain(reaction.completion)) in self.shown

    def holds(self, event_id: str, target: Preference) -> bool:
        """Tell whether the context holds this target by id or by text."""
        prompt = _plain(target.prompt)
        answers = {(prompt, _plain(target.chosen)), (prompt, _plain(target.rejected))}
        return event_id in self.ids or pair_key(target) in self.pairs or not answers.isdisjoint(self.shown)


def pair_key(pair: Preference) -> PairKey:
    """Return a key that comparisons of the same texts share: prompt and answers, in either order, spaces aside."""
    return _plain(pair.prompt), frozenset((_plain(pair.chosen), _plain(pair.rejected)))


def is_target_in(context: Iterable[Event], target: Preference) -> bool:
    """Tell whether the context holds this very comparison, in either order."""
    return any(event.content in (target, target.swapped()) for event in context)


def _plain(text: str) -> str:
    return " ".join(text.split())
