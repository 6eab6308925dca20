"""Reports of a response policy: its numbers, the model card, the page of a sweep, and the plots of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from plus.evaluate import markdown
from plus.evaluate.figures import COLOURS, load_pyplot
from plus.policy.hacking import Alarm, PolicyEvaluation

TAGS = ("plus", "rlhf", "personalization", "trl")
CARD = """# A response policy from {base}

Trained with plus by {method}. `policy/` is a plain model folder: adapters are merged, the chat template is inside.

    from transformers import pipeline
    answer = pipeline("text-generation", "{folder}/policy")
    answer([{{"role": "user", "content": "About this user: Likes short answers.\\n\\nWhat is tea?"}}])

    vllm serve {folder}/policy

The summary of the user opens the first message, as "About this user: ...", then an empty line; without one, leave \
it out.

## What it was trained to want

{goals}

A goal with a floor is a condition: an answer below it was worth less than any answer above. {aside}

## What was seen

{seen}

{verdict}

What a reward model likes is not what people like. Judge it on people before you rely on it.
"""


@dataclass(frozen=True)
class Training:
    """Course of a GRPO training: alarms that stopped it, update of the restored weights, first and last evaluation."""

    stopped: tuple[Alarm, ...]
    restored: int | None
    updates: int
    first: PolicyEvaluation
    last: PolicyEvaluation


@dataclass(frozen=True)
class PolicyReport:
    """Report of one run: counts of prompts, constant goals (`set_aside`), and the training where it was monitored."""

    method: str
    set_aside: tuple[str, ...]
    prompts: int
    evaluation_prompts: int
    training: Training | None = None

    def to_json(self) -> dict[str, Any]:
        """Give what report.json and `plus policy --json` hold."""
        counts = {
            "method": self.method,
            "set_aside": list(self.set_aside),
            "prompts": self.prompts,
            "panel": self.evaluation_prompts,
        }
        return counts | (training_json(self.training) if self.training else {})

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> PolicyReport:
        """Read what `to_json` gave."""
        training = None
        if "last_look" in row:
            first, last = (PolicyEvaluation.from_json(row[key]) for key in ("first_look", "last_look"))
            alarms = tuple(Alarm(**alarm) for alarm in row["stopped"])
            training = Training(alarms, row["returned"], row["updates"], first, last)
        return cls(row["method"], tuple(row["set_aside"]), row["prompts"], row["panel"], training)


def training_json(training: Training) -> dict[str, Any]:
    """Give a training as report.json holds it."""
    return {
        "stopped": [asdict(alarm) for alarm in training.stopped],
        "returned": training.restored,
        "updates": training.updates,
        "first_look": training.first.to_json(),
        "last_look": training.last.to_json(),
    }


def write_card(folder: Path, base_model: str, goals: Any, report: PolicyReport) -> Path:
    """Write README.md, the model card, into the run folder; `goals` are the entries of the goals file."""
    # The goals as their file says them, indented as code.
    written = yaml.safe_dump(goals, sort_keys=False, allow_unicode=True).rstrip()
    aside = f"Set aside, since they gave every answer the same number: {', '.join(report.set_aside)}."
    text = CARD.format(
        base=base_model,
        method=report.method.replace("_", " "),
        folder=folder,
        goals="\n".join(f"    {line}" for line in written.splitlines()),
        aside=aside if report.set_aside else "",
        seen=_measures(report),
        verdict=_verdict(report.training),
    )
    return markdown.write_card(folder, base_model, text, TAGS, "text-generation")


def _measures(report: PolicyReport) -> str:
    """Table of the first and the last evaluation."""
    if report.training is None:
        return f"{report.prompts:,} prompts were trained on."
    # Only the measures that could be taken have a row.
    first, last = report.training.first.to_json(), report.training.last.to_json()
    names = (
        "total", "held_out", "kl", "floor", "length_ratio", "distinct_ratio", "worst_decile_change",
        "disagreement_ratio",
    )  # fmt: skip
    lines = ["| what | as it started | at the last look |", "|---|---|---|"]
    lines += [f"| {name} | {first[name]:.3f} | {last[name]:.3f} |" for name in names if name in last]
    return "\n".join([f"{report.evaluation_prompts:,} prompts that it was not trained on.", "", *lines])


def _verdict(training: Training | None) -> str:
    if training is None:
        return "Nobody looked while it was trained."
    if not training.stopped:
        return "No alarm stopped the run."
    reasons = "; ".join(alarm.sentence for alarm in training.stopped)
    return f"**Stopped at update {training.updates}**: {reasons}. These are the weights of update {training.restored}."


@dataclass(frozen=True)
class SweepPoint:
    """Run of a sweep: the goal's weight, mean goals (`before`: of the reference), and what the monitor measured."""

    weight: float
    goals: Mapping[str, float]
    before: Mapping[str, float]
    held_out: float | None
    floor: float
    floor_before: float
    kl: float
    stopped: tuple[str, ...]


@dataclass(frozen=True)
class Recommendation:
    """Weight to take, or None, and the reason."""

    weight: float | None
    why: str


@dataclass(frozen=True)
class SweepReport:
    """Report of a sweep over the weight of one goal."""

    goal: str
    points: tuple[SweepPoint, ...]
    recommended: Recommendation

    def to_json(self) -> dict[str, Any]:
        """Give what sweep.json and `plus policy --sweep --json` hold."""
        points = [{**asdict(point), "stopped": list(point.stopped)} for point in self.points]
        return {"goal": self.goal, "points": points, "recommended": asdict(self.recommended)}


def recommend_point(points: Sequence[SweepPoint]) -> Recommendation:
    """Choose the point with the highest held-out reward among those without alarms that meet the floors.

    A point meets them when as many answers as the reference's are above the floors, within two percentage points.
    """
    sound = [point for point in points if not point.stopped and point.floor >= point.floor_before - 0.02]
    # Without a held-out reward there is nothing to compare the sound points by.
    scored = [(point.held_out, point.weight) for point in sound if point.held_out is not None]
    if not scored:
        why = "there is no held-out reward to judge by (held_out in the goals file)"
        if not sound:
            why = "no run was free of alarms and as safe as the reference"
        return Recommendation(None, f"No point is recommended: {why}.")
    held_out, weight = max(scored, key=lambda pair: pair[0])
    return Recommendation(
        weight,
        f"Of {len(sound)} of {len(points)} points without an alarm and as safe as the reference, the held-out reward "
        f"is highest here ({held_out:.2f} standard deviations above the reference).",
    )


def sweep_page(report: SweepReport) -> str:
    """Write sweep.md."""
    names = list(report.points[0].goals)
    rows = [
        [
            f"{point.weight:g}",
            *(f"{point.goals.get(name, float('nan')):.3f}" for name in names),
            "-" if point.held_out is None else f"{point.held_out:.2f}",
            f"{point.floor:.1%}",
            f"{point.kl:.2f}",
            ", ".join(point.stopped) or "-",
        ]
        for point in report.points
    ]
    head = [f"weight of {report.goal}", *names, "held out", "above the floors", "KL", "stopped by"]
    advice = f"Recommended: {report.recommended.weight}. {report.recommended.why}"
    return f"# The dial\n\n{markdown.table(head, rows)}\n\n{advice}\n\n![pareto](pareto.png)\n"


def plot_sweep(points: Sequence[SweepPoint], name: str, path: Path) -> Path:
    """Plot the swept goal against the held-out reward, or against the share above the floors without one.

    A run that was stopped is crossed out.
    """
    pyplot = load_pyplot()
    figure, axis = pyplot.subplots(figsize=(5, 3.6), layout="constrained")
    # One axis for all points: a reward that some of them lack cannot be drawn.
    judged = all(point.held_out is not None for point in points)
    for point in points:
        place = (point.goals.get(name, 0.0), point.held_out if judged else point.floor)
        axis.scatter(*place, color=COLOURS[0], marker="x" if point.stopped else "o")
        axis.annotate(f"{point.weight:g}", place, xytext=(4, 4), textcoords="offset points", fontsize=8)
    axis.set(xlabel=name, ylabel="held-out reward" if judged else "above the floors")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path
