"""The dial between goals: which points of a sweep nobody beats, which one to take, and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00")  # colour-blind safe (Okabe and Ito)


def front(points: Sequence[Mapping[str, Any]], goals: Sequence[str]) -> list[Mapping[str, Any]]:
    """The points that no other point beats or equals in every goal and beats in one."""

    def beaten(point: Mapping[str, Any]) -> bool:
        return any(
            all(other[g] >= point[g] for g in goals) and any(other[g] > point[g] for g in goals) for other in points
        )

    return [point for point in points if not beaten(point)]


def recommended(points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of the points that are safe enough, on the front of love and personal reward, and not stopped, the one
    that a reward nobody climbed likes best."""
    safe = [p for p in points if p["safe_enough"] and not p.get("stopped")]
    if not safe:
        return {"weight": 0.0, "why": "No point is safe enough: keep the reference."}
    best = max(front(safe, ("love_sound", "personal", "held_out")), key=lambda point: point["held_out"])
    return {
        "weight": best["weight"],
        "why": f"Of {len(safe)} of {len(points)} points that are safe enough, the held-out reward, which none of them climbed, is highest here ({best['held_out']:.2f}).",
    }


def plot(points: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Personal reward against P[Love], each point with its weight; unsafe points are crossed out."""
    pyplot = _pyplot()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    best = [point["weight"] for point in front(points, ("love_sound", "personal"))]
    for point in points:
        colour = COLOURS[0] if point["weight"] in best else "#999999"
        marker = "o" if point["safe_enough"] else "x"
        left.scatter(point["love_sound"], point["personal"], color=colour, marker=marker)
        left.annotate(f"{point['weight']:g}", (point["love_sound"], point["personal"]), xytext=(4, 4), textcoords="offset points", fontsize=8)  # fmt: skip
    left.set(title="Nobody beats the blue points", xlabel="P[Love]", ylabel="personal reward")
    names = [f"{point['weight']:g}" for point in points]
    right.errorbar(
        names, [100 * p["safety_change"]["mean"] for p in points], capsize=3, fmt="o", color=COLOURS[2],
        yerr=[[100 * (p["safety_change"]["mean"] - p["safety_change"]["low"]) for p in points], [100 * (p["safety_change"]["high"] - p["safety_change"]["mean"]) for p in points]],
    )  # fmt: skip
    right.axhline(-2, color="black", linewidth=0.6, linestyle=":")
    right.set(title="Safe answers, change in points", xlabel="weight of P[Love]")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path


def plot_sweep(points: Sequence[Mapping[str, Any]], name: str, path: Path) -> Path:
    """The swept goal's reward against the held-out reward, or against the share above the floors where
    there is none; a point at which a run was stopped is crossed out."""
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(figsize=(5, 3.6), layout="constrained")
    other = "held_out" if all(point["held_out"] is not None for point in points) else "floor"
    for point in points:
        place = (point["goals"].get(name, 0.0), point[other])
        axis.scatter(*place, color=COLOURS[0], marker="x" if point["stopped"] else "o")
        axis.annotate(f"{point['weight']:g}", place, xytext=(4, 4), textcoords="offset points", fontsize=8)
    axis.set(xlabel=name, ylabel={"held_out": "held-out reward", "floor": "above the floors"}[other])
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path


def plot_over_optimisation(curves: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> Path:
    """What is climbed and what is not, over the KL to the reference (arXiv 2210.10760)."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharex=True)
    for (name, looks), colour in zip(curves.items(), COLOURS, strict=False):
        for axis, key in zip(axes, ("total", "held_out"), strict=True):
            axis.plot([look["kl"] for look in looks], [look[key] for look in looks], color=colour, label=name, marker=".")  # fmt: skip
    axes[0].set(title="What is climbed", xlabel="KL to the reference, nats an answer", ylabel="standard deviations")
    axes[1].set(title="A reward that is not", xlabel="KL to the reference, nats an answer")
    axes[1].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
