"""Leak check: test choices that stand in contexts or in training rows. Read it before any other number.

A leak makes every control look excellent: the right user's summary gives the answer away and
another user's does not. Templates make nearly equal sentences everywhere, so on synthetic users
only the same comparison counts; among real texts near-duplicates of both answers count too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from plus.audit.text_checks import KNOWN
from plus.sources.splits import pair_key
from plus.types import Event, Example, Population, Preference

SIMILAR = 0.8  # of the five-letter pieces of two answers, this share in common
PIECE = 5


@dataclass(frozen=True)
class Leaks:
    """Counts of leaking test choices; `targets` were checked, and `first` is the place of one that leaks.

    in_context: the choice stands in its own context. trained_on: the same user was trained on it.
    same_past: a training user with the same past made it (one person under two names). trained_user: the run's record
    of its data says that the user was trained on, whatever the split says today.
    """

    in_context: int
    trained_on: int
    same_past: int
    targets: int
    first: str = ""
    trained_user: int = 0

    @property
    def total(self) -> int:
        """Leaks of all kinds; a choice that leaks in two ways counts twice."""
        return self.in_context + self.trained_on + self.same_past + self.trained_user


def leak_check(population: Population, near: bool | None = None, trained: Collection[str] = ()) -> Leaks:
    """Check every test choice.

    `near` counts near-duplicates too; by default it is on for real users and off for synthetic ones.
    `trained` are users that a run was trained on, from its own record.
    """
    near = population.name not in KNOWN if near is None else near
    same = similar_pairs if near else equal_pairs
    # What was trained on: by user, and by past.
    choices: dict[str, list[Preference]] = defaultdict(list)
    pasts: dict[tuple[Any, ...], set[Any]] = defaultdict(set)
    for example in population.split("train"):
        choices[example.history.user_id].append(example.target)
        if example.history.events:
            pasts[_past(example)].add(pair_key(example.target))
    # Each test choice against its context, its user's training choices, and those of users with the same past.
    found, first = {"in_context": 0, "trained_on": 0, "same_past": 0, "trained_user": 0}, ""
    test = population.split("test")
    for number, example in enumerate(test, start=1):
        target, user = example.target, example.history.user_id
        leaks = {
            "in_context": _any(same, target, _pairs(example.history.events)),
            "trained_on": _any(same, target, choices.get(user, ())),
            "same_past": pair_key(target) in pasts.get(_past(example), ()),
            "trained_user": user in trained,
        }
        for name, leaked in leaks.items():
            found[name] += leaked
        if any(leaks.values()) and not first:
            first = f"test choice {number}"  # Reports and cards are published: no id and no text of anybody.
    return Leaks(**found, targets=len(test), first=first)


def equal_pairs(one: Preference, other: Preference) -> bool:
    """Compare prompt and answers in either order, spaces aside."""
    return pair_key(one) == pair_key(other)


def similar_pairs(one: Preference, other: Preference) -> bool:
    """Tell whether both answers are near-duplicates, in either order; the prompt may differ."""
    return equal_pairs(one, other) or any(
        similar(one.chosen, a) and similar(one.rejected, b)
        for a, b in ((other.chosen, other.rejected), (other.rejected, other.chosen))
    )


def similar(one: str, other: str) -> bool:
    """Tell near-duplicates by the Jaccard similarity of five-letter pieces, case and spaces aside."""
    a, b = _pieces(one), _pieces(other)
    return len(a & b) >= SIMILAR * len(a | b)


def _pieces(text: str) -> set[str]:
    text = " ".join(text.lower().split())
    return {text[start : start + PIECE] for start in range(max(1, len(text) - PIECE + 1))}


def _any(same: Callable[[Preference, Preference], bool], target: Preference, others: Iterable[Preference]) -> bool:
    return any(same(target, other) for other in others)


def _pairs(events: Iterable[Event]) -> list[Preference]:
    return [event.content for event in events if isinstance(event.content, Preference)]


def _past(example: Example) -> tuple[Any, ...]:
    return tuple(event.content for event in example.history.events)
