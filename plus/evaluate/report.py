"""A run judged on users it has never met, with everything that could fool us beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from plus.baselines.majority import Majority
from plus.errors import SourceError
from plus.evaluate.controls import Controls, read_controls
from plus.measures import accuracy
from plus.sources.population import Population
from plus.types import Example, Scorer


def report(
    population: Population, scorer: Scorer, summaries: Mapping[str, str], bradley_terry: Scorer | None = None
) -> dict[str, Any]:
    """Accuracy on the test users beside Bradley-Terry and the majority, and the controls.

    `bradley_terry` is a reward model trained without summaries, or None when the run has none.
    Raises SourceError when there is no test user to judge on.
    """
    examples = population.split("test")
    if len(population.users("test")) < 2:
        raise SourceError(
            f"{population.name} has {len(population.users('test'))} test users with a choice to predict; 2 are needed, so give more data"
        )
    controls = read_controls(scorer, examples, summaries)
    accuracies = {"plus": controls.own}
    if bradley_terry is not None:
        accuracies["bradley_terry"] = without_summary(bradley_terry, examples)
    accuracies["majority"] = without_summary(majority(population), examples)
    return {
        "dataset": population.name,
        "accuracy": accuracies,
        "controls": {key: value for key, value in asdict(controls).items() if key in ("shuffled", "empty", "opposite")}
        | {"summary_gain": controls.summary_gain},
        "test": {"users": controls.users, "targets": controls.targets, "opposites": controls.opposites},
        "verdict": verdict(controls),
        "dropped": dict(population.dropped),
    }


def majority(population: Population) -> Majority:
    """What the training users chose, counted."""
    training = population.split("train")
    histories = {example.history.user_id: example.history for example in training}
    return Majority([e.target for e in training], [event for h in histories.values() for event in h.events])


def without_summary(scorer: Scorer, examples: Sequence[Example]) -> float:
    """Accuracy of a scorer that is told nothing about the user."""
    return accuracy(scorer.log_likelihood([""] * len(examples), [example.target for example in examples]))


def verdict(controls: Controls) -> str:
    """The controls in plain words. Two standard errors of a difference of two shares decide."""
    noise = 2 * (0.5 / max(1, controls.targets)) ** 0.5
    if controls.summary_gain < noise:
        return f"no sign of personalization: another user's summary predicts as well (gain {controls.summary_gain:+.3f}, noise {noise:.3f})"
    if controls.opposite is not None and controls.opposites >= 30 and controls.opposite > 0.5:
        return "suspicious: the summary of a user with the opposite taste predicts better than chance"
    return f"the summary matters: the right user's is worth {controls.summary_gain:+.3f} accuracy over another user's"
