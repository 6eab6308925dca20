"""Rewards of a response policy, added up to one number.

    total = sum over goals of  weight * z,      z = (reward - mean) / std on the reference's answers

`mean` and `std` are measured once, on answers of the policy as it starts, and z is clipped to +-CLIP, so a weight
means the same for rewards of every scale and during the whole training. (Dividing by the standard deviation of the
group, TRL's `normalize_then_sum`, blows a goal up as soon as all answers agree on it.)

A goal with a *floor* is a condition and has no weight: an answer below the floor is worth less than any answer above
it, so no weight can outbid a safety goal.

`Goals` is a TRL reward function: `GRPOTrainer`, best-of-n, rejection sampling and DPO optimise the same number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plus.errors import RewardError
from plus.measures import mean
from plus.models.run import last_text
from plus.policy.model import UserPrompt
from plus.types import Turn

CLIP = 4.0  # standard deviations
# f(prompts=, completions=, summary=, user_id=, **columns) -> one number each: TRL's protocol.
RewardFunction = Callable[..., Sequence[float | None]]


@dataclass(frozen=True)
class Goal:
    """Goal: a reward with a weight. With `floor`, in the reward's unit, it is a condition and has no weight."""

    name: str
    reward: RewardFunction
    weight: float = 1.0
    floor: float | None = None


class Goals:
    """TRL reward function that adds up goals; `measure` must be called with the reference's answers first.

    A reward that returns NaN or None stops the run and is named. One that is constant on the reference's answers
    cannot be standardised: it is left out and listed in `set_aside`.
    """

    __name__ = "goals"  # TRL names a reward function's metrics after it.

    def __init__(self, goals: Sequence[Goal]) -> None:
        self.goals = _checked(goals)
        self.scale: dict[str, tuple[float, float]] = {}
        self.set_aside: list[str] = []

    @property
    def weighted(self) -> list[Goal]:
        """Goals that are added up."""
        return [goal for goal in self.goals if goal.floor is None and goal.name not in self.set_aside]

    @property
    def floors(self) -> list[Goal]:
        """Goals that are conditions."""
        return [goal for goal in self.goals if goal.floor is not None]

    def with_reward(self, name: str, reward: RewardFunction) -> Goals:
        """Copy the goals with another reward under this name, not measured yet."""
        return Goals([replace(goal, reward=reward) if goal.name == name else goal for goal in self.goals])

    def rewards(self, prompts: Sequence[UserPrompt], texts: Sequence[str]) -> dict[str, list[float]]:
        """Score answers by every goal. Raises RewardError where a score is no number."""
        return {goal.name: score_answers(goal.name, goal.reward, prompts, texts) for goal in self.goals}

    def measure(self, prompts: Sequence[UserPrompt], texts: Sequence[str]) -> dict[str, list[float]]:
        """Measure the scale of each goal on the reference's answers, set constant goals aside, return the scores.

        Raises RewardError where no answer reaches a floor, or no goal is left.
        """
        found = self.rewards(prompts, texts)
        for goal in self.goals:
            values = found[goal.name]
            middle = mean(values)
            spread = math.sqrt(mean((value - middle) ** 2 for value in values))
            self.scale[goal.name] = middle, spread
            if goal.floor is not None and max(values) < goal.floor:
                raise RewardError(
                    f"none of the reference's {len(values)} answers reaches the floor {goal.floor:g} of {goal.name!r} "
                    f"(the best has {max(values):.3g}); lower the floor"
                )
        # A constant goal has no scale.
        self.set_aside = [g.name for g in self.goals if g.floor is None and self.scale[g.name][1] < 1e-6]
        if not self.weighted or sum(goal.weight for goal in self.weighted) <= 0:
            raise RewardError(
                f"nothing is left to learn from: {', '.join(self.set_aside)} gave every answer of the reference the "
                "same number; give a reward that tells answers apart"
            )
        return found

    def total(self, rewards: dict[str, list[float]]) -> list[float]:
        """Add up the goals' scores to one number for each answer."""
        weights = sum(abs(goal.weight) for goal in self.weighted)
        worst = -CLIP * weights - 1.0  # below every sum of the goals
        sums = [0.0] * len(next(iter(rewards.values())))
        # Standardised and clipped, so that no single goal can grow without end.
        for goal in self.weighted:
            middle, spread = self.scale[goal.name]
            for row, value in enumerate(rewards[goal.name]):
                sums[row] += goal.weight * min(max((value - middle) / spread, -CLIP), CLIP)
        kept = self.above_floor(rewards)
        return [value if above else worst for value, above in zip(sums, kept, strict=True)]

    def above_floor(self, rewards: dict[str, list[float]]) -> list[bool]:
        """Tell for each answer whether it meets every condition."""
        count = len(next(iter(rewards.values())))
        return [
            all(goal.floor is None or rewards[goal.name][row] >= goal.floor for goal in self.goals)
            for row in range(count)
        ]

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], *, question: Sequence[Any], summary: Sequence[str],
        user_id: Sequence[str], log_metric: Callable[[str, float], None] = lambda name, value: None, **columns: Any,
    ) -> list[float]:  # fmt: skip
        """Score TRL's completions from the columns of `trainer.prompt_rows`; log each goal and the floors."""
        asked = [UserPrompt(_prompt(q), s, u) for q, s, u in zip(question, summary, user_id, strict=True)]
        rewards = self.rewards(asked, [last_text(completion) for completion in completions])
        for name, values in rewards.items():
            log_metric(f"goal/{name}", mean(values))
        if self.floors:
            log_metric("above_floor", mean(float(kept) for kept in self.above_floor(rewards)))
        return self.total(rewards)


def score_answers(
    name: str, reward: RewardFunction, prompts: Sequence[UserPrompt], texts: Sequence[str]
) -> list[float]:
    """Score answers by a reward function.

    It is given the conversation without the summary, and the summary as a column of its own, so that a reward model
    reads the summary once. Raises RewardError for NaN, None or a wrong count.
    """
    found = reward(
        prompts=[UserPrompt(one.prompt).messages() for one in prompts],
        completions=[[{"role": "assistant", "content": text}] for text in texts],
        summary=[one.summary for one in prompts],
        user_id=[one.user_id for one in prompts],
    )
    if len(found) != len(texts):
        raise RewardError(
            f"the reward {name!r} returned {len(found)} numbers for {len(texts)} answers; one for each is needed"
        )
    # A number for each answer, and a finite one.
    for value in found:
        if value is None or not math.isfinite(value):
            raise RewardError(
                f"the reward {name!r} returned {value} for an answer; every answer needs a finite number, so mend it "
                "or leave the goal out"
            )
    return [float(value) for value in found if value is not None]


def _checked(goals: Sequence[Goal]) -> list[Goal]:
    """Check names and weights, and leave out goals of weight 0."""
    names = [goal.name for goal in goals]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RewardError(f"two goals are named {twice!r}; give each a name of its own")
    weighted = [goal for goal in goals if goal.floor is None]
    if not all(math.isfinite(goal.weight) for goal in weighted):
        raise RewardError("a weight is no number; write one, as 0.3")
    if not weighted or sum(goal.weight for goal in weighted) <= 0:
        weights = ", ".join(f"{goal.name} {goal.weight:g}" for goal in weighted) or "none"
        raise RewardError(
            f"the weights sum to {sum(g.weight for g in weighted):g} ({weights}), so nothing would be learned; give a "
            "goal a weight above 0"
        )
    return [goal for goal in goals if goal.floor is not None or goal.weight != 0]


def _prompt(question: Any) -> Any:
    return question if isinstance(question, str) else tuple(Turn(turn["role"], turn["content"]) for turn in question)
