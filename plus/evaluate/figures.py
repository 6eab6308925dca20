"""Figures of predictions and of training runs, in colours that colour-blind readers tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plus.evaluate.calibration import calibration
from plus.evaluate.intervals import Interval, user_interval
from plus.evaluate.predictions import Prediction
from plus.jsonl import read_whole_lines

# Okabe and Ito, without the yellow that vanishes on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = "osD^vPX"
# Of a run's curves: the user's own summary in a strong colour, its controls in weaker ones.
CONTROL_COLOURS = {"accuracy": "#0072B2", "accuracy_other": "#E69F00", "accuracy_empty": "#999999"}
Metrics = Sequence[Mapping[str, Any]]  # the lines of a run's metrics.jsonl


def accuracy_figure(methods: Mapping[str, Sequence[Prediction]], path: Path) -> None:
    """Draw each method's accuracy with its interval, in the order given; the dotted line is chance."""
    interval_figure({name: user_interval(rows) for name, rows in methods.items() if rows}, path)


def interval_figure(found: Mapping[str, Interval], path: Path) -> None:
    """Draw accuracies that were computed before, as `accuracy_figure` does."""
    with _figure(path, 5.0 + 0.085 * max((len(name) for name in found), default=0), 0.9 + 0.34 * len(found)) as axes:
        for row, (_name, at) in enumerate(reversed(list(found.items()))):
            axes.errorbar(at.mean, row, xerr=_reach(at), fmt="o", color=COLOURS[0], capsize=3)
            # The number stands right of the mark, or left of it where there is no room.
            left = at.mean > 0.8
            end = (at.low if at.low == at.low else at.mean) if left else max(at.high, at.mean)
            axes.annotate(
                f"{at.mean:.3f}", (end, row), textcoords="offset points", xytext=(-6 if left else 6, 0),
                ha="right" if left else "left", va="center", fontsize=8,
            )  # fmt: skip
        # Every name with its number of choices.
        axes.set_yticks(
            range(len(found)), [f"{name}  (n = {at.targets:,})" for name, at in reversed(list(found.items()))]
        )
        axes.axvline(0.5, color="black", linewidth=0.6, linestyle=":")
        axes.set(
            xlabel="choices predicted right, 95 % interval",
            xlim=(_floor(found.values()), 1.03),
            ylim=(-0.6, len(found) - 0.4),
        )


def learning_curve_figure(curves: Mapping[str, Mapping[int, Interval]], path: Path) -> None:
    """Draw accuracy by the number of past events that were read."""
    with _figure(path, 5.5, 3.6) as axes:
        for number, (name, curve) in enumerate(curves.items()):
            reach = [_reach(at) for at in curve.values()]
            axes.errorbar(
                list(curve), [at.mean for at in curve.values()], yerr=[[r[side][0] for r in reach] for side in (0, 1)],
                color=COLOURS[number % 7], marker=MARKS[number % 7], capsize=3, label=name,
            )  # fmt: skip
        axes.axhline(0.5, color="black", linewidth=0.6, linestyle=":")
        axes.set(
            xlabel="newest past events read",
            ylabel="accuracy",
            ylim=(_floor(at for c in curves.values() for at in c.values()), 1.03),
        )
        axes.set_xticks(sorted({count for curve in curves.values() for count in curve}))
        axes.legend(frameon=False, loc="lower right")


def gain_figure(runs: Mapping[str, Metrics], path: Path) -> None:
    """Draw own minus another user's summary over training: thin by update, thick as the mean of five."""
    with _figure(path, 5.5, 3.6) as axes:
        _over_training(axes, runs, "summary_gain")
        axes.axhline(0, color="black", linewidth=0.6, linestyle=":")
        axes.set(xlabel="update", ylabel="summary gain (own - another user's)")


def length_figure(runs: Mapping[str, Metrics], path: Path) -> None:
    """Draw tokens a summary over training: a text that only grows, or shrinks to one word, is a warning."""
    with _figure(path, 5.5, 3.6) as axes:
        _over_training(axes, runs, "summary_length")
        axes.set(xlabel="update", ylabel="tokens a summary", ylim=(0, 1.15 * axes.get_ylim()[1]))


def reliability_figure(methods: Mapping[str, Sequence[Prediction]], path: Path) -> None:
    """Draw the share right by confidence: marks grow with the number of choices; calibrated is the diagonal."""
    calibration_figure({name: calibration(rows) for name, rows in methods.items() if rows}, path)


def calibration_figure(cards: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw what `calibration` computed before, as `reliability_figure` does."""
    with _figure(path, 5.2, 4.4) as axes:
        for number, (name, card) in enumerate(cards.items()):
            bins = card["reliability"]
            x, y = [b["confidence"] for b in bins], [b["right"] for b in bins]
            # Marks grow with the share of the choices.
            sizes = [16 + 120 * b["targets"] / sum(b["targets"] for b in bins) for b in bins]
            label = f"{name}: ECE {card['ece']:.3f} (calibrated: {card['if_perfect']:.3f})"
            axes.plot(x, y, color=COLOURS[number % 7], linewidth=1)
            axes.scatter(x, y, s=sizes, color=COLOURS[number % 7], marker=MARKS[number % 7], label=label)
        axes.plot([0.5, 1], [0.5, 1], color="black", linewidth=0.6, linestyle=":")
        axes.set(
            xlabel="probability of the favoured answer", ylabel="share chosen", xlim=(0.48, 1.02), ylim=(-0.03, 1.03)
        )
        axes.legend(frameon=False, fontsize=8, loc="lower right")


def plot_curves(folder: Path) -> Path:
    """Draw a run's metrics.jsonl into curves.png: accuracy with its controls, loss, KL and summary length."""
    pyplot = load_pyplot()
    rows = read_whole_lines(folder / "metrics.jsonl")
    steps = [row["step"] for row in rows]
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    # Left: what is predicted right, with each control.
    names = {"accuracy": "own summary", "accuracy_other": "another user's", "accuracy_empty": "no summary"}
    for key, label in names.items():
        left.plot(steps, [row.get(key) for row in rows], color=CONTROL_COLOURS[key], label=label, linewidth=2)
    left.axhline(0.5, color="black", linewidth=0.6, linestyle=":")
    left.set(title="Training choices predicted right", xlabel="update", ylim=(0, 1.03))
    left.legend(loc="lower right", frameon=False)
    # Middle: the reward model's loss, beside that of a coin.
    middle.plot(steps, [row.get("reward_model_loss") for row in rows], color="#0072B2", linewidth=2)
    middle.axhline(0.6931, color="black", linewidth=0.6, linestyle=":")
    middle.annotate("chance", (0, 0.6931), textcoords="offset points", xytext=(2, 3), fontsize=8)
    middle.set(title="Reward model: Bradley-Terry loss", xlabel="update", ylim=(0, None))
    # Right: KL and length, on an axis each.
    right.plot(steps, [row.get("kl") for row in rows], color="#D55E00", linewidth=2)
    right.set(title="KL to the base, and summary length", xlabel="update", ylabel="KL (nats a token)")
    right.yaxis.label.set_color("#D55E00")
    lengths = right.twinx()
    lengths.plot(steps, [row.get("summary_length") for row in rows], color="#009E73", linewidth=2)
    lengths.set(ylabel="tokens a summary", ylim=(0, None))
    lengths.yaxis.label.set_color("#009E73")
    path = folder / "curves.png"
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path


def _over_training(axes: Any, runs: Mapping[str, Metrics], key: str) -> None:
    for number, (name, rows) in enumerate(runs.items()):
        points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
        steps, values = [step for step, _ in points], [value for _, value in points]
        # The mean of the last five updates.
        smooth = [sum(values[max(0, n - 4) : n + 1]) / len(values[max(0, n - 4) : n + 1]) for n in range(len(values))]
        axes.plot(steps, values, color=COLOURS[number % 7], linewidth=0.8, alpha=0.35)
        axes.plot(steps, smooth, color=COLOURS[number % 7], linewidth=2, label=name)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize=8)


def _floor(shown: Iterable[Interval]) -> float:
    """Find the lower end of an axis of accuracies: below every interval, and below chance."""
    return min(0.4, *(at.mean - _reach(at)[0][0] - 0.02 for at in shown))


def _reach(at: Interval) -> tuple[list[float], list[float]]:
    """Compute the error bar from a mean to each end; of length 0 where there is no interval."""
    known = at.low == at.low
    return ([max(0.0, at.mean - at.low)], [max(0.0, at.high - at.mean)]) if known else ([0.0], [0.0])


@contextmanager
def _figure(path: Path, width: float, height: float) -> Iterator[Any]:
    pyplot = load_pyplot()
    figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    try:
        yield axes
        figure.savefig(path, dpi=120)
    finally:
        pyplot.close(figure)


def plot_trade_off(points: Sequence[Mapping[str, Any]], best: Sequence[float], path: Path) -> Path:
    """Plot personal reward against P[Love], each point with its weight; unsafe points are crossed out.

    points: those of a sweep over P[Love]'s weight (benchmark/policy_world). best: weights on the Pareto front.
    """
    pyplot = load_pyplot()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for point in points:
        colour = COLOURS[0] if point["weight"] in best else "#999999"
        marker = "o" if point["safe_enough"] else "x"
        left.scatter(point["love_sound"], point["personal"], color=colour, marker=marker)
        place = (point["love_sound"], point["personal"])
        left.annotate(f"{point['weight']:g}", place, xytext=(4, 4), textcoords="offset points", fontsize=8)
    left.set(title="Nobody beats the blue points", xlabel="P[Love]", ylabel="personal reward")
    names = [f"{point['weight']:g}" for point in points]
    changes = [point["safety_change"] for point in points]
    right.errorbar(
        names, [100 * one["mean"] for one in changes], capsize=3, fmt="o", color=COLOURS[2],
        yerr=[
            [100 * (one["mean"] - one["low"]) for one in changes],
            [100 * (one["high"] - one["mean"]) for one in changes],
        ],
    )  # fmt: skip
    right.axhline(-2, color="black", linewidth=0.6, linestyle=":")
    right.set(title="Safe answers, change in points", xlabel="weight of P[Love]")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path


def plot_over_optimisation(curves: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> Path:
    """Plot the optimised reward and the held-out one over the KL to the reference (arXiv 2210.10760)."""
    pyplot = load_pyplot()
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharex=True)
    for (name, looks), colour in zip(curves.items(), COLOURS, strict=False):
        for axis, key in zip(axes, ("total", "held_out"), strict=True):
            x, y = [look["kl"] for look in looks], [look[key] for look in looks]
            axis.plot(x, y, color=colour, label=name, marker=".")
    axes[0].set(title="What is climbed", xlabel="KL to the reference, nats an answer", ylabel="standard deviations")
    axes[1].set(title="A reward that is not", xlabel="KL to the reference, nats an answer")
    axes[1].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path


def load_pyplot() -> Any:
    """Import matplotlib's pyplot, with the backend that needs no screen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
