"""One picture of a run: what was learned, and whether it is personal."""

from __future__ import annotations

import json
from pathlib import Path

# Colour-blind safe (Okabe and Ito); the claim in a strong colour, its controls in weaker ones.
COLOURS = {"accuracy": "#0072B2", "accuracy_other": "#E69F00", "accuracy_empty": "#999999"}


def plot_curves(folder: Path) -> Path:
    """Draw metrics.jsonl into curves.png: accuracy with its controls, loss, KL and summary length."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [row["step"] for row in rows]
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    names = {"accuracy": "own summary", "accuracy_other": "another user's", "accuracy_empty": "no summary"}
    for key, label in names.items():
        left.plot(steps, [row.get(key) for row in rows], color=COLOURS[key], label=label, linewidth=2)
    left.axhline(0.5, color="black", linewidth=0.6, linestyle=":")
    left.set(title="Training choices predicted right", xlabel="update", ylim=(0, 1.03))
    left.legend(loc="lower right", frameon=False)
    middle.plot(steps, [row.get("reward_model_loss") for row in rows], color="#0072B2", linewidth=2)
    middle.axhline(0.6931, color="black", linewidth=0.6, linestyle=":")
    middle.annotate("chance", (0, 0.6931), textcoords="offset points", xytext=(2, 3), fontsize=8)
    middle.set(title="Reward model: Bradley-Terry loss", xlabel="update", ylim=(0, None))
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
