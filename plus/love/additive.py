"""Additive: how well liked the answer is, plus how easily this user likes anything.

Models: logit P(love) = w . [1, logit rate(answer), logit rate(user), leniency(user)], by logistic regression on
training users. rate(answer) counts the training users' reactions to the very same answer (a training user's own
are left out), rate(user) the user's own past, leniency(user) the mean of what they loved beyond what the
answers' rates led one to expect (so that whoever met well liked answers is not taken for lenient). Rates are
pulled towards the overall one by pseudo-reactions, as many as predict left-out training users best.
Relation to P[Love]: the line that any reading of the user's past has to beat; no interaction of user and answer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from random import Random
from typing import NamedTuple

import numpy as np

from plus.love.splits import SHARE, Tested, cut
from plus.types import Event, Reaction

Events = Mapping[str, Sequence[Event]]
COLUMNS = {"rate": 1, "rate + own rate": 2, "rate + own rate + leniency": 3}
PULLS = (1.0, 2.0, 4.0, 8.0)
CUTS = 4  # of a training user's reactions into past and targets: once as users are tested, else at random
FOLDS = 4


class Additive:
    """A logistic regression on the first `columns` of the features above."""

    def __init__(self, events: Events, columns: int = 3, seed: int = 0, share: float = SHARE) -> None:
        from sklearn.linear_model import LogisticRegression

        self.columns = columns
        self.loved, self.seen = counts([event for past in events.values() for event in past])
        self.overall = self.loved.total() / self.seen.total()
        cuts = [one for user in sorted(events) for one in _cuts(user, events[user], seed, share)]
        table = self._table(cuts, own_left_out=True)
        fold_N = np.array([Random(f"fold-{seed}-{one.user_id}").randrange(FOLDS) for one in cuts for _ in one.targets])
        label_N = np.array([_label(event) for one in cuts for event in one.targets])
        best = math.inf
        for pulls in product(PULLS, PULLS if columns > 1 else PULLS[:1]):
            features_N3 = self._features(table, pulls)
            loss = 0.0
            for fold in range(FOLDS):
                if not (fold_N == fold).any() or len(set(label_N[fold_N != fold].tolist())) < 2:
                    continue  # Too few users to leave these out.
                model = LogisticRegression(C=100.0).fit(features_N3[fold_N != fold], label_N[fold_N != fold])
                f_N = model.decision_function(features_N3[fold_N == fold])
                loss += float(np.logaddexp(0, np.where(label_N[fold_N == fold], -f_N, f_N)).sum())
            if loss < best:
                best, self.pulls = loss, pulls
                self.model = LogisticRegression(C=100.0).fit(features_N3, label_N)

    def of(self, tested: Sequence[Tested]) -> list[list[float]]:
        """Log-odds of love of each user's targets."""
        features = self._features(self._table(tested, own_left_out=False), self.pulls)
        values = iter(self.model.decision_function(features).tolist())
        return [[next(values) for _ in one.targets] for one in tested]

    def _table(self, tested: Sequence[Tested], own_left_out: bool) -> _Table:
        targets: list[tuple[float, ...]] = []
        contexts: list[tuple[float, ...]] = []
        for number, one in enumerate(tested):
            mine = counts([*one.context, *one.targets]) if own_left_out else (Counter[str](), Counter[str]())
            for rows, part in ((targets, one.targets), (contexts, one.context)):
                for event in part:
                    text = _text(event)
                    rows.append(
                        (number, self.loved[text] - mine[0][text], self.seen[text] - mine[1][text], _label(event))
                    )
        return _Table(
            np.array(targets, dtype=float).reshape(-1, 4), np.array(contexts, dtype=float).reshape(-1, 4), len(tested)
        )

    def _features(self, table: _Table, pulls: tuple[float, float]) -> np.ndarray:
        """(N, columns) for all targets."""
        rate_N, rate_C = (
            (rows[:, 1] + pulls[0] * self.overall) / (rows[:, 2] + pulls[0]) for rows in (table.targets, table.contexts)
        )
        user_N, user_C = table.targets[:, 0].astype(int), table.contexts[:, 0].astype(int)
        size_U = np.bincount(user_C, minlength=table.users) + pulls[1]
        loved_U = np.bincount(user_C, table.contexts[:, 3], minlength=table.users)
        expected_U = np.bincount(user_C, rate_C, minlength=table.users)
        user_U = (loved_U + pulls[1] * self.overall) / size_U
        lenient_U = (loved_U - expected_U) / size_U
        return np.stack([_logit(rate_N), _logit(user_U)[user_N], lenient_U[user_N]], axis=1)[:, : self.columns]


class _Table(NamedTuple):
    """Targets and past reactions as rows of (user, times the answer was loved, times it was seen, loved now)."""

    targets: np.ndarray
    contexts: np.ndarray
    users: int


def counts(events: Sequence[Event]) -> tuple[Counter[str], Counter[str]]:
    """How often each answer was loved, and how often it was met."""
    return Counter(_text(event) for event in events if _label(event)), Counter(_text(event) for event in events)


def _cuts(user: str, past: Sequence[Event], seed: int, share: float) -> list[Tested]:
    found = [cut(user, past, seed, share)]
    rng = Random(f"cuts-{seed}-{user}")
    for _ in range(CUTS - 1 if len(past) > 1 else 0):
        mixed = rng.sample(list(past), len(past))
        size = max(1, int(len(past) * share))
        found.append(Tested(user, tuple(mixed[:size]), tuple(mixed[size:])))
    return found


def _text(event: Event) -> str:
    assert isinstance(event.content, Reaction)
    return event.content.completion


def _label(event: Event) -> bool:
    return isinstance(event.content, Reaction) and event.content.label


def _logit(p_N: np.ndarray) -> np.ndarray:
    p_N = p_N.clip(1e-4, 1 - 1e-4)
    return np.log(p_N / (1 - p_N))
