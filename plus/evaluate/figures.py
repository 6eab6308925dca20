"""The report's pictures, each from predictions or from the metrics of runs; colours that all can tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plus.evaluate.calibration import calibration
from plus.evaluate.intervals import Interval, user_interval
from plus.evaluate.predictions import Prediction

# Okabe and Ito, without the yellow that vanishes on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = "osD^vPX"
Metrics = Sequence[Mapping[str, Any]]  # the lines of a run's metrics.jsonl


def accuracy_figure(methods: Mapping[str, Sequence[Prediction]], path: Path) -> None:
    """Each method's accuracy with its interval, in the order given; the dotted line is a coin."""
    interval_figure({name: user_interval(rows) for name, rows in methods.items() if rows}, path)


def interval_figure(found: Mapping[str, Interval], path: Path) -> None:
    """The same from accuracies that were computed before."""
    with _figure(path, 5.0 + 0.085 * max((len(name) for name in found), default=0), 0.9 + 0.34 * len(found)) as axes:
        for row, (_name, at) in enumerate(reversed(list(found.items()))):
            axes.errorbar(at.mean, row, xerr=_reach(at), fmt="o", color=COLOURS[0], capsize=3)
            # Beside the mark where there is room for it, else on its other side.
            left = at.mean > 0.8
            axes.annotate(
                f"{at.mean:.3f}", (at.low if left and at.low == at.low else at.mean if left else max(at.high, at.mean), row), textcoords="offset points",
                xytext=(-6 if left else 6, 0), ha="right" if left else "left", va="center", fontsize=8,
            )  # fmt: skip
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
    """Accuracy by the number of past events that were read."""
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
    """Own minus another user's summary over training: faint by update, strong as the mean of five."""
    with _figure(path, 5.5, 3.6) as axes:
        _over_training(axes, runs, "summary_gain")
        axes.axhline(0, color="black", linewidth=0.6, linestyle=":")
        axes.set(xlabel="update", ylabel="summary gain (own - another user's)")


def length_figure(runs: Mapping[str, Metrics], path: Path) -> None:
    """Tokens a summary over training: a text that only grows, or shrinks to one word, is worth a look."""
    with _figure(path, 5.5, 3.6) as axes:
        _over_training(axes, runs, "summary_length")
        axes.set(xlabel="update", ylabel="tokens a summary", ylim=(0, 1.15 * axes.get_ylim()[1]))


def reliability_figure(methods: Mapping[str, Sequence[Prediction]], path: Path) -> None:
    """Share right by confidence; marks grow with the number of choices, and calibrated is the diagonal."""
    calibration_figure({name: calibration(rows) for name, rows in methods.items() if rows}, path)


def calibration_figure(cards: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """The same from what `calibration` found before."""
    with _figure(path, 5.2, 4.4) as axes:
        for number, (name, card) in enumerate(cards.items()):
            bins = card["reliability"]
            x, y = [b["confidence"] for b in bins], [b["right"] for b in bins]
            sizes = [16 + 120 * b["targets"] / sum(b["targets"] for b in bins) for b in bins]
            label = f"{name}: ECE {card['ece']:.3f} (calibrated: {card['if_perfect']:.3f})"
            axes.plot(x, y, color=COLOURS[number % 7], linewidth=1)
            axes.scatter(x, y, s=sizes, color=COLOURS[number % 7], marker=MARKS[number % 7], label=label)
        axes.plot([0.5, 1], [0.5, 1], color="black", linewidth=0.6, linestyle=":")
        axes.set(
            xlabel="probability of the favoured answer", ylabel="share chosen", xlim=(0.48, 1.02), ylim=(-0.03, 1.03)
        )
        axes.legend(frameon=False, fontsize=8, loc="lower right")


def _over_training(axes: Any, runs: Mapping[str, Metrics], key: str) -> None:
    for number, (name, rows) in enumerate(runs.items()):
        points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
        steps, values = [step for step, _ in points], [value for _, value in points]
        smooth = [sum(values[max(0, n - 4) : n + 1]) / len(values[max(0, n - 4) : n + 1]) for n in range(len(values))]
        axes.plot(steps, values, color=COLOURS[number % 7], linewidth=0.8, alpha=0.35)
        axes.plot(steps, smooth, color=COLOURS[number % 7], linewidth=2, label=name)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize=8)


def _floor(shown: Iterable[Interval]) -> float:
    """Where an axis of accuracies begins: below every interval, and below a coin's 0.5 anyway."""
    return min(0.4, *(at.mean - _reach(at)[0][0] - 0.02 for at in shown))


def _reach(at: Interval) -> tuple[list[float], list[float]]:
    """What matplotlib draws from a mean to each end; nothing where there is no interval."""
    known = at.low == at.low
    return ([max(0.0, at.mean - at.low)], [max(0.0, at.high - at.mean)]) if known else ([0.0], [0.0])


@contextmanager
def _figure(path: Path, width: float, height: float) -> Iterator[Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    try:
        yield axes
        figure.savefig(path, dpi=120)
    finally:
        pyplot.close(figure)
