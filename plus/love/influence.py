"""How much of the model does one user make? Leave-one-user influence on what it says of each answer.

A ridge logistic regression on the answers' frozen features stands for the model, since retraining that once for
every user is out of the question. Leaving user u out moves its weights, to first order, by -H^-1 sum of u's
gradients (the infinitesimal jackknife: Giordano et al., A Swiss army infinitesimal jackknife, AISTATS 2019). All
users are ranked by that; the first few are then really left out and the regression is fitted again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from plus.types import Event, Reaction

RIDGE = 1.0
MET_BY = 5  # users: answers that fewer met are left out of the ranking, unless there is no other


class Influence(NamedTuple):
    """What leaving a user out changes: the answer whose logit moves most, and by how much (with minus without)."""

    user_id: str
    change: float
    answer: str
    reactions: int


def influence(
    events: Mapping[str, Sequence[Event]], features: Mapping[str, Sequence[float]], top: int = 10
) -> list[Influence]:
    """The `top` users who move the logit of an answer that several met most, with exact changes. `features` by answer."""
    answers = sorted(features)
    place = {answer: number for number, answer in enumerate(answers)}
    raw_AD = np.array([features[answer] for answer in answers], dtype=float)
    x_AD = np.c_[(raw_AD - raw_AD.mean(0)) / max(float(raw_AD.std()), 1e-9), np.ones(len(answers))]
    users = list(events)
    up_UA, down_UA = np.zeros((len(users), len(answers))), np.zeros((len(users), len(answers)))
    for number, user in enumerate(users):
        for event in events[user]:
            assert isinstance(event.content, Reaction)
            (up_UA if event.content.label else down_UA)[number, place[event.content.completion]] += 1
    up_A, down_A = up_UA.sum(0), down_UA.sum(0)
    w_D = _fit(x_AD, up_A, down_A, np.zeros(x_AD.shape[1]))
    p_A = expit(x_AD @ w_D)
    gradient_UA = up_UA * (1 - p_A) - down_UA * p_A  # dL/dlogit of each user's reactions
    inverse_DD = np.linalg.inv(_curvature(x_AD, up_A + down_A, p_A))
    change_UA = gradient_UA @ (x_AD @ inverse_DD @ x_AD.T)
    met_A = ((up_UA + down_UA) > 0).sum(0) >= MET_BY  # What one of three said of an answer is bound to count.
    counted_A = np.flatnonzero(met_A) if met_A.any() else np.arange(len(answers))
    first = np.argsort(-np.abs(change_UA[:, counted_A]).max(1), kind="stable")[:top]
    found = []
    for number in first:
        without_D = _fit(x_AD, up_A - up_UA[number], down_A - down_UA[number], w_D)
        change_A = x_AD @ (w_D - without_D)
        most = int(counted_A[np.abs(change_A[counted_A]).argmax()])
        count = int(up_UA[number].sum() + down_UA[number].sum())
        found.append(Influence(users[number], float(change_A[most]), answers[most], count))
    return sorted(found, key=lambda one: -abs(one.change))


def _fit(x_AD: np.ndarray, up_A: np.ndarray, down_A: np.ndarray, w_D: np.ndarray) -> np.ndarray:
    """Newton's method on counts of loved and not loved, by answer."""
    for _ in range(30):
        p_A = expit(x_AD @ w_D)
        gradient_D = x_AD.T @ (up_A * (1 - p_A) - down_A * p_A) - RIDGE * w_D
        step_D = np.linalg.solve(_curvature(x_AD, up_A + down_A, p_A), gradient_D)
        w_D = w_D + step_D / max(1.0, float(np.linalg.norm(step_D)))
        if float(np.abs(step_D).max()) < 1e-8:
            break
    return w_D


def _curvature(x_AD: np.ndarray, count_A: np.ndarray, p_A: np.ndarray) -> np.ndarray:
    return (x_AD * (count_A * p_A * (1 - p_A))[:, None]).T @ x_AD + RIDGE * np.eye(x_AD.shape[1])
