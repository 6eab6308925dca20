"""Simulated A/B test between two policies, and measures of their answers, on users of known tastes.

Each user sees one policy only, as in a live test. A reaction is binary, rare and noisy, and some users react
adversarially. Users differ more than answers, so intervals draw users.

Shapes: U users, B bootstrap draws.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plus.evaluate.intervals import Interval, interval
from plus.measures import mean
from plus.worlds import replies
from plus.worlds.replies import User

REACTS = 0.3  # share of answers that get a reaction
VISITS = 50  # times that each user asks the same questions
REPLICATES = 2000


@dataclass(frozen=True)
class Shown:
    """Answer that a user saw."""

    user: User
    prompt: str
    text: str


@dataclass(frozen=True)
class Outcome:
    """Result of an A/B test.

    lift: relative change of the rate of loved answers. helpful, safe, satisfaction: differences of shares, new minus
    old, over the same users' answers.
    """

    lift: Interval
    love_old: float
    love_new: float
    helpful: Interval
    safe: Interval
    satisfaction: Interval


def ab_test(old: Sequence[Shown], new: Sequence[Shown], seed: int = 0, noise: float = 0.05) -> Outcome:
    """Run the test on answers of both policies to the same prompts.

    Users are assigned at random within their taste, so that both policies are seen by equally many of each.
    """
    rng = random.Random(f"ab-{seed}")
    arm = _assigned(rng, {row.user.user_id: row.user for row in old}.values())
    # Reactions of each arm's users, over all their visits.
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
    """Compute rate(new) / rate(old) - 1 from (user, loved) rows, with a 95 % bootstrap interval over users.

    Users of each arm are drawn separately. NaN where no answer of the old arm was loved.
    """
    rng = np.random.default_rng(seed)
    rates = []
    for rows in (old, new):
        # Sums by user, from which the rate under every draw follows.
        by_user: dict[str, list[float]] = {}
        for user, value in rows:
            by_user.setdefault(user, []).append(value)
        sums_U, counts_U = np.array([sum(v) for v in by_user.values()]), np.array([len(v) for v in by_user.values()])
        times_BU = rng.multinomial(len(sums_U), np.full(len(sums_U), 1 / len(sums_U)), size=REPLICATES)
        rates.append(((times_BU @ sums_U) / (times_BU @ counts_U), sums_U.sum() / counts_U.sum(), len(sums_U)))
    (before_B, before, users_old), (after_B, after, users_new) = rates
    if before == 0:
        return Interval(math.nan, math.nan, math.nan, users_old + users_new, len(old) + len(new))
    # A rate of 0 in a draw of the old arm would divide by zero.
    low, high = np.quantile(after_B / np.maximum(before_B, 1e-9) - 1, (0.025, 0.975))
    return Interval(float(after / before - 1), float(low), float(high), users_old + users_new, len(old) + len(new))


def predicted_lift(old: Sequence[float], new: Sequence[float]) -> float:
    """Predict the lift before a test: the relative change of P[Love]'s mean probability."""
    return mean(new) / mean(old) - 1


def non_inferior(change: Interval, by: float) -> bool:
    """Tell whether the interval of a change excludes a loss of more than `by`."""
    return change.low > -by


def _assigned(rng: random.Random, people: Iterable[User]) -> dict[str, bool]:
    """Assign every other user of each taste, in random order, to the new policy (True)."""
    # Sorting keeps the random order within a taste.
    mixed = list(people)
    rng.shuffle(mixed)
    mixed.sort(key=lambda user: (user.taste, user.adversarial))
    return {user.user_id: number % 2 == 1 for number, user in enumerate(mixed)}


def _loved(rng: random.Random, row: Shown, noise: float) -> float:
    """Draw one reaction: 1 for love, 0 for none; most answers get none."""
    return float(rng.random() < REACTS and replies.react(rng, row.user, row.prompt, row.text, noise))


def shares(rows: Sequence[Shown]) -> Mapping[str, float]:
    """Compute shares of one policy's answers: satisfaction, of majority and minority too, helpful, safe, farewell."""
    return {
        "satisfaction": mean(replies.satisfaction(r.user, r.prompt, r.text) for r in rows),
        "majority": mean(replies.satisfaction(r.user, r.prompt, r.text) for r in rows if not r.user.minority),
        "minority": mean(replies.satisfaction(r.user, r.prompt, r.text) for r in rows if r.user.minority),
        "helpful": mean(float(replies.helpful(r.prompt, r.text)) for r in rows),
        "safe": mean(float(replies.safe(r.text)) for r in rows),
        "farewell": mean(float(replies.FAREWELL in r.text) for r in rows),
    }


def change(
    old: Mapping[int, Sequence[Shown]], new: Mapping[int, Sequence[Shown]], value: Callable[[Shown], float],
    among: Callable[[Shown], bool] = lambda row: True,
) -> Interval:  # fmt: skip
    """Average the value of the new answers minus that of the old, over the same users and seeds."""
    return interval(
        (seed, f"{seed}/{a.user.user_id}", value(b) - value(a))
        for seed in old
        for a, b in zip(old[seed], new[seed], strict=True)
        if among(a)
    )


def satisfied(row: Shown) -> float:
    """Compute a user's true satisfaction with an answer."""
    return replies.satisfaction(row.user, row.prompt, row.text)


def turn_of(looks: Sequence[Mapping[str, Any]], near: float = 0.1) -> int:
    """Find the update after which the held-out reward falls for good.

    It is the last evaluation within `near` standard deviations of the highest.
    """
    best = max(look["held_out"] for look in looks)
    return max(int(look["step"]) for look in looks if look["held_out"] >= best - near)


def upper_bound(count: int, runs: int, level: float = 0.95) -> float:
    """Compute the one-sided Clopper-Pearson bound of a rate: `count` of `runs`."""
    from scipy.stats import beta

    return 1.0 if count >= runs else float(beta.ppf(level, count + 1, runs - count))


def front(points: Sequence[Mapping[str, Any]], goals: Sequence[str]) -> list[Mapping[str, Any]]:
    """Keep the Pareto front: points that no other point equals in every goal and beats in one."""

    def beaten(point: Mapping[str, Any]) -> bool:
        return any(
            all(other[g] >= point[g] for g in goals) and any(other[g] > point[g] for g in goals) for other in points
        )

    return [point for point in points if not beaten(point)]


def recommend(points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Choose the safe point, on the Pareto front and not stopped, with the highest held-out reward."""
    safe = [p for p in points if p["safe_enough"] and not p.get("stopped")]
    if not safe:
        return {"weight": 0.0, "why": "No point is safe enough: keep the reference."}
    # Love and personal reward are traded off; the held-out reward decides.
    best = max(front(safe, ("love_sound", "personal", "held_out")), key=lambda point: point["held_out"])
    return {
        "weight": best["weight"],
        "why": f"Of {len(safe)} of {len(points)} points that are safe enough, the held-out reward, which none of them "
        f"climbed, is highest here ({best['held_out']:.2f}).",
    }
