"""Do summaries say what is true? Precision and recall of the traits they claim (synthetic users).

A reward model can be right for the wrong words; this measure never looks at it. A trait that the
context did not reveal counts as false, however likely it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from plus.types import UserHistory
from plus.worlds import pets, pets_ood, styles

Traits = set[tuple[str, str]]
# Synthetic data set -> (what a text claims, what a context reveals, what of it ought to be named).
KNOWN: dict[str, tuple[Callable[[str], Traits], Callable[[UserHistory], Traits], Callable[[UserHistory], Traits]]] = {
    "pets": (pets.claims, pets.traits, pets.favourite_of),
    "pets_ood": (pets_ood.claims, pets_ood.traits, pets_ood.favourite_of),
    "pets_ood_k2": (pets_ood.claims, pets_ood.traits, pets_ood.favourite_of),
    "styles": (styles.claims, styles.traits, styles.wanted),
    "styles_unlabelled": (styles.claims, styles.traits, styles.wanted),
}


@dataclass(frozen=True)
class Faithfulness:
    """precision: claims that the context supports. recall: wanted traits that were claimed."""

    precision: float
    recall: float
    claimed: int
    wanted: int


def faithfulness(
    summaries: Mapping[str, str],
    histories: Iterable[UserHistory],
    claims: Callable[[str], Traits],
    supported: Callable[[UserHistory], Traits],
    wanted: Callable[[UserHistory], Traits],
) -> Faithfulness:
    """`claims` parses a summary; `supported` says what a context reveals, `wanted` which of it a
    summary ought to name. With no claim at all precision is 0, not 1: silence is not faithful."""
    claimed = right = named = needed = 0
    for history in histories:
        said, true, should = claims(summaries[history.user_id]), supported(history), wanted(history)
        claimed, right = claimed + len(said), right + len(said & true)
        needed, named = needed + len(should), named + len(said & should)
    return Faithfulness(right / claimed if claimed else 0.0, named / needed if needed else 0.0, claimed, needed)
