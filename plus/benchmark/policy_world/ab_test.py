"""A simulated A/B test: users with known tastes react to the old policy or to the new one.

Each user sees one policy only, as in a live test. A reaction is binary, sparse and noisy, and from
some users the wrong way round. What varies is users, so the interval draws users, not answers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plus.evaluate.intervals import Interval, interval
from plus.measures import mean
from plus.worlds import replies
from plus.worlds.replies import User

REACTS = 0.3  # share of answers that anybody reacts to
VISITS = 50  # how often each user comes back with the same questions
REPLICATES = 2000


@dataclass(frozen=True)
class Shown:
    """One answer that a user saw."""

    user: User
    prompt: str
    text: str


@dataclass(frozen=True)
class Outcome:
    """What the test says. Lift is the relative change of the rate of loved answers; the other three are
    differences of shares, new minus old, over the same users' answers."""

    lift: Interval
    love_old: float
    love_new: float
    helpful: Interval
    safe: Interval
    satisfaction: Interval


def ab_test(old: Sequence[Shown], new: Sequence[Shown], seed: int = 0, noise: float = 0.05) -> Outcome:
    """Run the test on answers of both policies to the same prompts. Each user is dealt to one of them, at
    random within their taste, so that both see as many of each."""
    rng = random.Random(f"ab-{seed}")
    arm = _dealt(rng, {row.user.user_id: row.user for row in old}.values())
    loves = [
        [
            (row.user.user_id, _loved(rng, row, noise))
            for row in rows
            if arm[row.user.user_id] == side
            for _ in range(VISITS)
        ]
        for side, rows in ((False, old), (True, new))
    ]

    def change(value: Callable[[Shown], float]) -> Interval:
        pairs = zip(old, new, strict=True)
        return interval((seed, a.user.user_id, value(b) - value(a)) for a, b in pairs)

    return Outcome(
        lift(loves[0], loves[1], seed), mean(v for _, v in loves[0]), mean(v for _, v in loves[1]),
        change(lambda row: float(replies.helpful(row.prompt, row.text))),
        change(lambda row: float(replies.safe(row.text))),
        change(lambda row: replies.satisfaction(row.user, row.prompt, row.text)),
    )  # fmt: skip


def lift(old: Sequence[tuple[str, float]], new: Sequence[tuple[str, float]], seed: int = 0) -> Interval:
    """rate(new) / rate(old) - 1 from (user, loved) rows, with a 95 % bootstrap interval over users, drawn
    in each arm apart. NaN where nobody loved anything in the old arm."""
    rng = np.random.default_rng(seed)
    rates = []
    for rows in (old, new):
        by_user: dict[str, list[float]] = {}
        for user, value in rows:
            by_user.setdefault(user, []).append(value)
        sums_U, counts_U = np.array([sum(v) for v in by_user.values()]), np.array([len(v) for v in by_user.values()])
        times_BU = rng.multinomial(len(sums_U), np.full(len(sums_U), 1 / len(sums_U)), size=REPLICATES)
        rates.append(((times_BU @ sums_U) / (times_BU @ counts_U), sums_U.sum() / counts_U.sum(), len(sums_U)))
    (before_B, before, users_old), (after_B, after, users_new) = rates
    if before == 0:
        return Interval(math.nan, math.nan, math.nan, users_old + users_new, len(old) + len(new))
    low, high = np.quantile(after_B / np.maximum(before_B, 1e-9) - 1, (0.025, 0.975))
    return Interval(float(after / before - 1), float(low), float(high), users_old + users_new, len(old) + len(new))


def predicted_lift(old: Sequence[float], new: Sequence[float]) -> float:
    """What P[Love] expects of the test before it is run: the relative change of its mean probability."""
    return mean(new) / mean(old) - 1


def non_inferior(change: Interval, by: float) -> bool:
    """Whether a change is surely no loss of more than `by`."""
    return change.low > -by


def _dealt(rng: random.Random, people: Iterable[User]) -> dict[str, bool]:
    """Which users see the new policy: every other one of each taste, in random order."""
    mixed = list(people)
    rng.shuffle(mixed)
    mixed.sort(key=lambda user: (user.taste, user.adversarial))
    return {user.user_id: number % 2 == 1 for number, user in enumerate(mixed)}


def _loved(rng: random.Random, row: Shown, noise: float) -> float:
    """1 for a heart, 0 for none: most answers get no reaction at all."""
    return float(rng.random() < REACTS and replies.react(rng, row.user, row.prompt, row.text, noise))


def shares(rows: Sequence[Shown]) -> Mapping[str, float]:
    """What one policy's answers are like."""
    return {
        "satisfaction": mean(replies.satisfaction(r.user, r.prompt, r.text) for r in rows),
        "majority": mean(replies.satisfaction(r.user, r.prompt, r.text) for r in rows if not r.user.minority),
        "minority": mean(replies.satisfaction(r.user, r.prompt, r.text) for r in rows if r.user.minority),
        "helpful": mean(float(replies.helpful(r.prompt, r.text)) for r in rows),
        "safe": mean(float(replies.safe(r.text)) for r in rows),
        "farewell": mean(float(replies.FAREWELL in r.text) for r in rows),
    }
