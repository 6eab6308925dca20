"""A method's word on every test choice of a fold, and on the same choices as if another user had asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plus.errors import SourceError
from plus.evaluate.controls import other_users
from plus.evaluate.predictions import Prediction
from plus.sources.folds import Fold, slice_of
from plus.types import Preference, UserHistory

Write = Callable[[Sequence[UserHistory]], Sequence[str]]
Margins = Callable[[Sequence[UserHistory], Sequence[Preference]], Sequence[float]]


def judged(name: str, fold: Fold, seed: int, margins: Margins, shuffled: bool = True) -> list[Prediction]:
    """A method's word on every test choice; with `shuffled` also as if another user had asked."""
    examples = fold.population.split("test")
    if not examples:
        raise SourceError(f"{fold.name} has no choice to predict; give more data")
    pairs = [example.target for example in examples]
    own = [example.history for example in examples]
    found = _predictions(name, fold, seed, margins(own, pairs))
    if shuffled and len({history.user_id for history in own}) > 1:
        of_user = {example.history.user_id: example.history for example in examples}
        other = [of_user[user] for user in other_users(examples)]
        found += _predictions(f"{name}, shuffled", fold, seed, margins(other, pairs))
    return found


def _predictions(name: str, fold: Fold, seed: int, values: Sequence[float]) -> list[Prediction]:
    examples = fold.population.split("test")
    return [
        Prediction(
            name, seed, e.history.user_id, f"{fold.name} {number}", round(value, 4), None, slice_of(fold, e.target)
        )
        for number, (e, value) in enumerate(zip(examples, values, strict=True))
    ]


def once(write: Write, histories: Sequence[UserHistory]) -> list[str]:
    """The texts of all histories, each distinct history written once."""
    unique = {id(history): history for history in histories}
    texts = dict(zip(unique, write(list(unique.values())), strict=True))
    return [texts[id(history)] for history in histories]
