"""Logistic regressions beside P[Love]: the additive baseline, and the influence of single users.

The additive baseline models logit P(love) = w . [1, logit rate(answer), logit rate(user), leniency(user)], fitted
on training users. rate(answer) counts the training users' reactions to the same answer (a training user's own are
left out), rate(user) the user's own past, leniency(user) the mean of love beyond what the answers' rates predict
(so that a user who met well liked answers is not taken for lenient). Rates are shrunk towards the overall one by
pseudo-reactions, as many as predict left-out training users best. It has no interaction of user and answer, so
P[Love] has to beat it to show that reading the user's past helps.

Influence asks how much one user moves the model. A ridge regression on the answers' frozen features stands for
P[Love], which cannot be retrained once a user. Leaving user u out moves the weights, to first order, by -H^-1 times
the sum of u's gradients (the infinitesimal jackknife: Giordano et al., AISTATS 2019). All users are ranked by that;
for the first few the regression is then really fitted again without them.

Shapes: N targets, C past reactions, U users, A answers, D features.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from random import Random
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from plus.love.reactions import label_of, reaction_of
from plus.love.splits import SHARE, HeldOutUser, split_user
from plus.types import Event

Events = Mapping[str, Sequence[Event]]
COLUMNS = {"rate": 1, "rate + own rate": 2, "rate + own rate + leniency": 3}
PSEUDO_REACTIONS = (1.0, 2.0, 4.0, 8.0)
CUTS = 4  # of a training user's reactions into past and targets: one by time as in the test, the others at random
FOLDS = 4
RIDGE = 1.0
MET_BY = 5  # users: an answer that fewer met is left out of the influence ranking, unless there is no other


class Additive:
    """Additive baseline: a logistic regression on the first `columns` of the features above."""

    def __init__(self, events: Events, columns: int = 3, seed: int = 0, share: float = SHARE) -> None:
        from sklearn.linear_model import LogisticRegression

        self.columns = columns
        self.loved, self.seen = counts([event for past in events.values() for event in past])
        self.overall = self.loved.total() / self.seen.total()
        # One row a target of each cut; a user's rows share a fold.
        cuts = [one for user in sorted(events) for one in _cuts(user, events[user], seed, share)]
        table = self._table(cuts, own_left_out=True)
        fold_N = np.array([Random(f"fold-{seed}-{one.user_id}").randrange(FOLDS) for one in cuts for _ in one.targets])
        label_N = np.array([label_of(event) for one in cuts for event in one.targets])
        # Choose the pseudo-reactions of both rates by cross-validated loss.
        best = math.inf
        for pseudo in product(PSEUDO_REACTIONS, PSEUDO_REACTIONS if columns > 1 else PSEUDO_REACTIONS[:1]):
            features_N3 = self._features(table, pseudo)
            loss = 0.0
            for fold in range(FOLDS):
                if not (fold_N == fold).any() or len(set(label_N[fold_N != fold].tolist())) < 2:
                    continue  # Too few users to leave these out.
                model = LogisticRegression(C=100.0).fit(features_N3[fold_N != fold], label_N[fold_N != fold])
                f_N = model.decision_function(features_N3[fold_N == fold])
                loss += float(np.logaddexp(0, np.where(label_N[fold_N == fold], -f_N, f_N)).sum())
            if loss < best:
                best, self.pseudo = loss, pseudo
                self.model = LogisticRegression(C=100.0).fit(features_N3, label_N)

    def predict(self, users: Sequence[HeldOutUser]) -> list[list[float]]:
        """Predict the log-odds of love of each user's targets."""
        features_N3 = self._features(self._table(users, own_left_out=False), self.pseudo)
        values = iter(self.model.decision_function(features_N3).tolist())
        return [[next(values) for _ in user.targets] for user in users]

    def _table(self, users: Sequence[HeldOutUser], own_left_out: bool) -> _Table:
        """Count loved and seen of every target's and past reaction's answer."""
        targets: list[tuple[float, ...]] = []
        contexts: list[tuple[float, ...]] = []
        for number, user in enumerate(users):
            own = counts([*user.context, *user.targets]) if own_left_out else (Counter[str](), Counter[str]())
            for rows, part in ((targets, user.targets), (contexts, user.context)):
                for event in part:
                    text = reaction_of(event).completion
                    loved, seen = self.loved[text] - own[0][text], self.seen[text] - own[1][text]
                    rows.append((number, loved, seen, label_of(event)))
        target_N4, context_C4 = (np.array(rows, dtype=float).reshape(-1, 4) for rows in (targets, contexts))
        return _Table(target_N4, context_C4, len(users))

    def _features(self, table: _Table, pseudo: tuple[float, float]) -> np.ndarray:
        """Compute the features of all targets, (N, columns)."""
        rate_N, rate_C = (
            (rows[:, 1] + pseudo[0] * self.overall) / (rows[:, 2] + pseudo[0])
            for rows in (table.targets, table.contexts)
        )
        user_N, user_C = table.targets[:, 0].astype(int), table.contexts[:, 0].astype(int)
        # Per user: pseudo-count of past reactions, how many were loved, how many the answers' rates predict.
        size_U = np.bincount(user_C, minlength=table.users) + pseudo[1]
        loved_U = np.bincount(user_C, table.contexts[:, 3], minlength=table.users)
        expected_U = np.bincount(user_C, rate_C, minlength=table.users)
        user_U = (loved_U + pseudo[1] * self.overall) / size_U
        lenient_U = (loved_U - expected_U) / size_U
        features_N3 = np.stack([_logit(rate_N), _logit(user_U)[user_N], lenient_U[user_N]], axis=1)
        return features_N3[:, : self.columns]


class _Table(NamedTuple):
    """Targets (N, 4) and past reactions (C, 4): user, times the answer was loved, times it was seen, loved now."""

    targets: np.ndarray
    contexts: np.ndarray
    users: int


def counts(events: Sequence[Event]) -> tuple[Counter[str], Counter[str]]:
    """Count (times loved, times seen) of each answer."""
    seen = Counter(reaction_of(event).completion for event in events)
    return Counter(reaction_of(event).completion for event in events if label_of(event)), seen


def _cuts(user: str, past: Sequence[Event], seed: int, share: float) -> list[HeldOutUser]:
    found = [split_user(user, past, seed, share)]
    rng = Random(f"cuts-{seed}-{user}")
    for _ in range(CUTS - 1 if len(past) > 1 else 0):
        mixed = rng.sample(list(past), len(past))
        size = max(1, int(len(past) * share))
        found.append(HeldOutUser(user, tuple(mixed[:size]), tuple(mixed[size:])))
    return found


def _logit(p_N: np.ndarray) -> np.ndarray:
    p_N = p_N.clip(1e-4, 1 - 1e-4)
    logit_N: np.ndarray = np.log(p_N / (1 - p_N))
    return logit_N


class Influence(NamedTuple):
    """Effect of leaving one user out: the answer with the largest change of its logit, and that change.

    `change` is the logit with the user minus the logit without, in nats.
    """

    user_id: str
    change: float
    answer: str
    reactions: int


def influence(events: Events, features: Mapping[str, Sequence[float]], top: int = 10) -> list[Influence]:
    """Find the `top` users who move the logit of an answer most, with exact changes, largest first.

    `features` are the frozen features by answer.
    """
    answers, users = sorted(features), list(events)
    up_UA, down_UA = _counts_by_user(events, answers)
    raw_AD = np.array([features[answer] for answer in answers], dtype=float)
    x_AD = np.c_[(raw_AD - raw_AD.mean(0)) / max(float(raw_AD.std()), 1e-9), np.ones(len(answers))]
    # Fit on all users, then the first-order change of every logit when a user is left out.
    up_A, down_A = up_UA.sum(0), down_UA.sum(0)
    w_D = _fit(x_AD, up_A, down_A, np.zeros(x_AD.shape[1]))
    p_A = expit(x_AD @ w_D)
    gradient_UA = up_UA * (1 - p_A) - down_UA * p_A  # dL/dlogit of each user's reactions
    inverse_DD = np.linalg.inv(_curvature(x_AD, up_A + down_A, p_A))
    change_UA = gradient_UA @ (x_AD @ inverse_DD @ x_AD.T)
    # An answer that few users met depends on each of them, so only answers that several met are ranked.
    met_A = ((up_UA + down_UA) > 0).sum(0) >= MET_BY
    counted_A = np.flatnonzero(met_A) if met_A.any() else np.arange(len(answers))
    first = np.argsort(-np.abs(change_UA[:, counted_A]).max(1), kind="stable")[:top]
    # Exact changes of the first few: fit again without each.
    found = []
    for number in first:
        without_D = _fit(x_AD, up_A - up_UA[number], down_A - down_UA[number], w_D)
        change_A = x_AD @ (w_D - without_D)
        most = int(counted_A[np.abs(change_A[counted_A]).argmax()])
        count = int(up_UA[number].sum() + down_UA[number].sum())
        found.append(Influence(users[number], float(change_A[most]), answers[most], count))
    return sorted(found, key=lambda one: -abs(one.change))


def _counts_by_user(events: Events, answers: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Count how often each user loved and did not love each answer, both (U, A)."""
    place = {answer: number for number, answer in enumerate(answers)}
    up_UA, down_UA = np.zeros((len(events), len(answers))), np.zeros((len(events), len(answers)))
    for number, past in enumerate(events.values()):
        for event in past:
            (up_UA if label_of(event) else down_UA)[number, place[reaction_of(event).completion]] += 1
    return up_UA, down_UA


def _fit(x_AD: np.ndarray, up_A: np.ndarray, down_A: np.ndarray, w_D: np.ndarray) -> np.ndarray:
    """Fit by Newton's method on counts of loved and not loved by answer."""
    for _ in range(30):
        p_A = expit(x_AD @ w_D)
        gradient_D = x_AD.T @ (up_A * (1 - p_A) - down_A * p_A) - RIDGE * w_D
        step_D = np.linalg.solve(_curvature(x_AD, up_A + down_A, p_A), gradient_D)
        w_D = w_D + step_D / max(1.0, float(np.linalg.norm(step_D)))
        if float(np.abs(step_D).max()) < 1e-8:
            break
    return w_D


def _curvature(x_AD: np.ndarray, count_A: np.ndarray, p_A: np.ndarray) -> np.ndarray:
    curvature_DD: np.ndarray = (x_AD * (count_A * p_A * (1 - p_A))[:, None]).T @ x_AD
    return curvature_DD + RIDGE * np.eye(x_AD.shape[1])
