"""Many goals, one number: how the rewards of a response policy are added up.

    total = sum over goals of  weight * z,      z = (reward - mean) / std on the reference's answers

`mean` and `std` are measured once, on answers of the policy as it starts, and z is cut to +-CLIP: a
weight means the same whatever the scale of its reward, and means it until the end. (Dividing by the
spread of the group, TRL's `normalize_then_sum`, blows a goal up as soon as all answers agree on it.)

A goal with a *floor* has no weight: an answer below the floor is worth less than any answer above it,
whatever the other goals say. No weight, however large, can buy what is not safe.

`Goals` is a TRL reward function, so that `GRPOTrainer`, best-of-n, rejection sampling and DPO all
climb the very same number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plus.errors import RewardError
from plus.measures import mean
from plus.models.run import last_text
from plus.policy.model import Asked
from plus.types import Turn

CLIP = 4.0  # standard deviations
# f(prompts=, completions=, summary=, user_id=, **columns) -> one number each: TRL's protocol.
RewardFunction = Callable[..., Sequence[float | None]]


@dataclass(frozen=True)
class Goal:
    """One thing to want. With `floor`, in the reward's own unit, it is a condition and its weight is not read."""

    name: str
    reward: RewardFunction
    weight: float = 1.0
    floor: float | None = None


class Goals:
    """A TRL reward function that adds up its goals; `measure` must have seen the reference's answers first.

    A reward that is NaN or None anywhere stops the run and is named. One that gives every answer of the
    reference the same number can teach nothing: it is set aside, and stands in `set_aside`.
    """

    __name__ = "goals"  # TRL names a reward function's metrics after it.

    def __init__(self, goals: Sequence[Goal]) -> None:
        self.goals = _checked(goals)
        self.scale: dict[str, tuple[float, float]] = {}
        self.set_aside: list[str] = []

    @property
    def weighted(self) -> list[Goal]:
        """The goals that are added up."""
        return [goal for goal in self.goals if goal.floor is None and goal.name not in self.set_aside]

    @property
    def floors(self) -> list[Goal]:
        """The goals that are conditions."""
        return [goal for goal in self.goals if goal.floor is not None]

    def replaced(self, name: str, reward: RewardFunction) -> Goals:
        """The same goals with another reward under this name, not measured yet."""
        return Goals([replace(goal, reward=reward) if goal.name == name else goal for goal in self.goals])

    def rewards(self, asked: Sequence[Asked], texts: Sequence[str]) -> dict[str, list[float]]:
        """Every goal's own numbers. Raises RewardError where one of them is none."""
        return {goal.name: scored(goal.name, goal.reward, asked, texts) for goal in self.goals}

    def measure(self, asked: Sequence[Asked], texts: Sequence[str]) -> dict[str, list[float]]:
        """Take mean and spread of each goal from the reference's answers, and set aside what is constant."""
        found = self.rewards(asked, texts)
        for goal in self.goals:
            values = found[goal.name]
            middle = mean(values)
            spread = math.sqrt(mean((value - middle) ** 2 for value in values))
            self.scale[goal.name] = middle, spread
            if goal.floor is not None and max(values) < goal.floor:
                raise RewardError(
                    f"none of the reference's {len(values)} answers reaches the floor {goal.floor:g} of {goal.name!r} (the best has {max(values):.3g}); lower the floor"
                )
        self.set_aside = [g.name for g in self.goals if g.floor is None and self.scale[g.name][1] < 1e-6]
        if not self.weighted or sum(goal.weight for goal in self.weighted) <= 0:
            raise RewardError(
                f"nothing is left to learn from: {', '.join(self.set_aside)} gave every answer of the reference the same number; give a reward that tells answers apart"
            )
        return found

    def total(self, rewards: dict[str, list[float]]) -> list[float]:
        """The one number of each answer, from the goals' own numbers."""
        weights = sum(abs(goal.weight) for goal in self.weighted)
        worst = -CLIP * weights - 1.0  # Below anything that the goals can add up to.
        sums = [0.0] * len(next(iter(rewards.values())))
        for goal in self.weighted:
            middle, spread = self.scale[goal.name]
            for row, value in enumerate(rewards[goal.name]):
                sums[row] += goal.weight * min(max((value - middle) / spread, -CLIP), CLIP)
        kept = self.above_floor(rewards)
        return [value if above else worst for value, above in zip(sums, kept, strict=True)]

    def above_floor(self, rewards: dict[str, list[float]]) -> list[bool]:
        """Whether each answer meets every condition."""
        count = len(next(iter(rewards.values())))
        return [
            all(goal.floor is None or rewards[goal.name][row] >= goal.floor for goal in self.goals)
            for row in range(count)
        ]

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], *, question: Sequence[Any], summary: Sequence[str],
        user_id: Sequence[str], log_metric: Callable[[str, float], None] = lambda name, value: None, **columns: Any,
    ) -> list[float]:  # fmt: skip
        """TRL's reward function, from the columns of `policy_rows`; logs each goal and the share above the floors."""
        asked = [Asked(_prompt(q), s, u) for q, s, u in zip(question, summary, user_id, strict=True)]
        rewards = self.rewards(asked, [last_text(completion) for completion in completions])
        for name, values in rewards.items():
            log_metric(f"goal/{name}", mean(values))
        if self.floors:
            log_metric("above_floor", mean(float(kept) for kept in self.above_floor(rewards)))
        return self.total(rewards)


def scored(name: str, reward: RewardFunction, asked: Sequence[Asked], texts: Sequence[str]) -> list[float]:
    """A reward function's numbers. It is given the bare conversation and, beside it, the summary: who reads
    the summary takes it from its column, once. Raises RewardError for NaN, None or a wrong count."""
    found = reward(
        prompts=[Asked(one.prompt).messages() for one in asked],
        completions=[[{"role": "assistant", "content": text}] for text in texts],
        summary=[one.summary for one in asked],
        user_id=[one.user_id for one in asked],
    )
    if len(found) != len(texts):
        raise RewardError(
            f"the reward {name!r} returned {len(found)} numbers for {len(texts)} answers; one for each is needed"
        )
    for value in found:
        if value is None or not math.isfinite(value):
            raise RewardError(
                f"the reward {name!r} returned {value} for an answer; every answer needs a finite number, so mend it or leave the goal out"
            )
    return [float(value) for value in found if value is not None]


def _checked(goals: Sequence[Goal]) -> list[Goal]:
    names = [goal.name for goal in goals]
    if len(set(names)) < len(names):
        raise RewardError(f"two goals are named {next(n for n in names if names.count(n) > 1)!r}; give each a name of its own")  # fmt: skip
    weighted = [goal for goal in goals if goal.floor is None]
    if not all(math.isfinite(goal.weight) for goal in weighted):
        raise RewardError("a weight is no number; write one, as 0.3")
    if not weighted or sum(goal.weight for goal in weighted) <= 0:
        weights = ", ".join(f"{goal.name} {goal.weight:g}" for goal in weighted) or "none"
        raise RewardError(
            f"the weights sum to {sum(g.weight for g in weighted):g} ({weights}), so nothing would be learned; give a goal a weight above 0"
        )
    return [goal for goal in goals if goal.floor is not None or goal.weight != 0]


def _prompt(question: Any) -> Any:
    return question if isinstance(question, str) else tuple(Turn(turn["role"], turn["content"]) for turn in question)
