"""Surprise k: the k events of the user that the training users would have expected least.

Models: P(chosen > rejected | the k events with the largest -log P(event), P by majority).
Loss: -mean log sigmoid(margin).
Relation to PLUS: selection by a rule instead of by learning; strong where votes are shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from plus.baselines.majority import Majority
from plus.baselines.methods import Given, Write, WriterRow
from plus.models.extractive import write
from plus.train.select import once
from plus.types import Event, Preference, Reaction, UserHistory


def texts(histories: Sequence[UserHistory], k: int, majority: Majority) -> list[str]:
    """Write the k most surprising events of each history, newest first among equals."""
    found = []
    for history in histories:
        surprise = [surprisal(event, majority) for event in history.events]
        ranked = sorted(((value, place) for place, value in enumerate(surprise)), reverse=True)
        found.append(write(history, [place for _, place in ranked[:k]]))
    return found


def surprisal(event: Event, majority: Majority) -> float:
    """Compute -log P of a choice or a reaction among those counted; 0 for any other event."""
    match event.content:
        case Preference() as pair:
            return -majority.log_likelihood([""], [pair])[0]
        case Reaction() as reaction:
            return -majority.log_probability(reaction)
    return 0.0


def writer(given: Given, k: int) -> Write:
    """Write the k events least expected by the training users of the fold."""
    return partial(once, partial(texts, k=k, majority=Majority((), given.events)))


EMBEDDING_METHODS = {"surprise": WriterRow(42, writer, of_k=True)}
