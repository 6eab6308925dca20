"""Record of the data that a run was trained on: the split of every user and a hash of every event.

A log grows, and the same path later holds more users. A run therefore keeps `data.jsonl`, a line a user:

    {"user_id": "ann", "split": "train", "events": "1f0a9c2e5b7d3344"}     # 8 hex digits an event, sorted

`compare` tells the same data from grown and from other data, and `hold_splits` gives every user of the record the split
of then: whoever was trained on is never tested, however the file grew. No text stands in the record.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from plus.errors import RunError
from plus.jsonl import numbered, write_jsonl
from plus.types import Event, Population, Split

FILE = "data.jsonl"
DIGITS = 8  # hex digits of an event's hash; two events of one user share one with a chance of one in four billion
OTHER = 0.5  # more users than this share of the record gone: other data


@dataclass(frozen=True)
class UserRecord:
    """One user as the run met them; `split` is "" where their choices lie in several (by topics, or by time)."""

    split: str
    events: Counter[str]


Record = Mapping[str, UserRecord]


@dataclass(frozen=True)
class Comparison:
    """Today's data beside a record: counts of users and events that are new, that are gone, and that the record has."""

    new_users: int
    gone_users: int
    known_users: int
    new_events: int
    gone_events: int
    known_events: int

    @property
    def same(self) -> bool:
        """True where nothing is new and nothing is gone."""
        return not (self.new_users or self.gone_users or self.new_events or self.gone_events)

    @property
    def other(self) -> bool:
        """True for other data: most users of the record are not among them, or none of their events is left."""
        gone = self.gone_users > OTHER * self.known_users
        return gone or (self.known_events > 0 and self.gone_events == self.known_events)

    def line(self) -> str:
        """Say what differs, in one line."""
        return (
            f"the data have changed since the run: {self.new_users:,} users and {self.new_events:,} events are new, "
            f"{self.gone_users:,} of {self.known_users:,} users and "
            f"{self.gone_events:,} of {self.known_events:,} events are gone"
        )


def record(population: Population) -> dict[str, UserRecord]:
    """Take the record of a population: all events of each user, targets among them."""
    splits: dict[str, set[Split]] = {}
    for row in population.rows:
        splits.setdefault(row.history.user_id, set()).add(row.split)
    found: dict[str, UserRecord] = {}
    for user in population.histories:
        of_user = splits.get(user, set())
        found[user] = UserRecord(next(iter(of_user)) if len(of_user) == 1 else "", _hashes(population, user))
    return found


def write(folder: Path, known: Record) -> None:
    """Write the record into a run folder."""
    write_jsonl(
        folder / FILE,
        (
            {"user_id": user, "split": one.split, "events": "".join(sorted(one.events.elements()))}
            for user, one in known.items()
        ),
    )


def read(folder: Path) -> dict[str, UserRecord] | None:
    """Read a run's record; None for a run of a plus that kept none. Raises RunError when it is damaged."""
    path = folder / FILE
    if not path.exists():
        return None
    found: dict[str, UserRecord] = {}
    for number, row in numbered(path):
        match row:
            case {"user_id": str(user), "split": str(split), "events": str(hashes)} if len(hashes) % DIGITS == 0:
                parts = (hashes[start : start + DIGITS] for start in range(0, len(hashes), DIGITS))
                found[user] = UserRecord(split, Counter(parts))
            case _:
                raise RunError(f"{path} line {number} is no line of a run's record; restore the file, or train again")
    return found


def compare(known: Record, population: Population) -> Comparison:
    """Compare today's data with the record."""
    today = record(population)
    new = gone = 0
    for user in known.keys() | today.keys():
        then = known[user].events if user in known else Counter[str]()
        now = today[user].events if user in today else Counter[str]()
        new, gone = new + (now - then).total(), gone + (then - now).total()
    return Comparison(
        new_users=len(today.keys() - known.keys()),
        gone_users=len(known.keys() - today.keys()),
        known_users=len(known),
        new_events=new,
        gone_events=gone,
        known_events=sum(one.events.total() for one in known.values()),
    )


def hold_splits(known: Record, population: Population) -> Population:
    """Give every user of the record the split of then; users that the run never met keep today's.

    A user that was trained on, or chose the weights as a validation user, is never a test user of grown data.
    """
    rows = tuple(
        replace(row, split=split) if (split := _split_then(known, row.history.user_id)) else row
        for row in population.rows
    )
    return replace(population, rows=rows)


def admit(folder: Path, population: Population, say: Callable[[str], None]) -> Population:
    """Compare a run's data with today's, and give each user the split of then.

    The same data go on without a word, grown data are said in a line, other data are refused with a RunError. A run of
    a plus that kept no record is taken as it is.
    """
    known = read(folder)
    if known is None:
        return population
    found = compare(known, population)
    if found.other:
        raise RunError(f"{found.line()}: {folder} was trained on other data; give those, or train a new run")
    if not found.same:
        say(f"{found.line()}; users that the run has met keep their split, so none of them becomes a test user")
    return hold_splits(known, population)


def trained_users(known: Record) -> set[str]:
    """List the users of training and validation: their choices moved weights, or chose them."""
    return {user for user, one in known.items() if one.split in ("train", "validation")}


def _split_then(known: Record, user: str) -> Split | None:
    then = known[user].split if user in known else ""
    return then if then in ("train", "validation", "test") else None  # type: ignore[return-value]


def _hashes(population: Population, user: str) -> Counter[str]:
    return Counter(
        hashlib.sha256(repr((event.kind, event.content)).encode()).hexdigest()[:DIGITS]
        for event in _events(population, user)
    )


def _events(population: Population, user: str) -> Iterator[Event]:
    """Everything that is known of a user; sources that keep no whole log have at least the context."""
    yield from population.events.get(user) or population.histories[user].events
