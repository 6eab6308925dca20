"""Accuracy beside the best possible: python scripts/styles_table.py OUT [--seeds 0 1 2] [--base BASE]

Trains on `styles` (contexts are past choices) and `styles_unlabelled` (contexts are chats without a
choice) and prints both beside the best possible accuracy, with intervals over users and seeds.
Resumable: finished runs stay, an interrupted one continues. Half an hour on one core, and a quarter
of an hour for the base, which is made where there is none.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import plus
from plus import datasets
from plus.evaluate.intervals import user_interval
from plus.evaluate.predictions import Prediction
from plus.jsonl import read_whole_lines

VARIANTS = ("styles", "styles_unlabelled")


def predictions(out: Path, variant: str, seed: int, base: Path, max_steps: int) -> list[Prediction]:
    """The test choices of one run, as it predicted them with each user's own summary."""
    folder = out / f"{variant}-{seed}"
    flags = {
        "preset": "tiny", "dataset_name": variant, "model_name_or_path": str(base), "seed": seed,
        "max_steps": max_steps,
        "output_dir": str(folder), "resume_from_checkpoint": folder.exists() or None,
    }  # fmt: skip
    if not (folder / "report.json").exists():
        plus.train(**flags)
    rows = [row for row in read_whole_lines(folder / "predictions.jsonl") if row["method"] == "own"]
    return [Prediction(**{**row, "seed": seed}) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--base", type=Path, help="A tiny base that knows styles; made in OUT/base where there is none."
    )
    parser.add_argument("--max_steps", type=int, default=100)
    given = parser.parse_args()
    base = given.base or given.out / "base"
    if not base.exists():
        script = Path(__file__).with_name("make_tiny_base.py")
        subprocess.run([sys.executable, script, base, "--source", "styles", "--steps", "3200"], check=True)
    print("| contexts | seed | accuracy | best possible | share of it above chance |\n|---|---|---|---|---|")
    for variant in VARIANTS:
        cells = {seed: predictions(given.out, variant, seed, base, given.max_steps) for seed in given.seeds}
        best = {seed: datasets.load(variant, seed=seed).best_possible for seed in given.seeds}
        for seed, cell in [*cells.items(), ("all", [p for rows in cells.values() for p in rows])]:
            top = best[seed] if seed != "all" else sum(best.values()) / len(best)
            found = user_interval(cell)
            print(f"| {variant} | {seed} | {found} | {top:.3f} | {(found.mean - 0.5) / (top - 0.5):.3f} |", flush=True)


if __name__ == "__main__":
    main()
