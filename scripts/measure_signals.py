"""Measure an engine of `plus signals` on dialogues whose turns people rated, and print its table.

python scripts/measure_signals.py ccpe.jsonl.gz sgd.jsonl.gz --engine rules

Rows are {conversation: [{role, content}], turns: [{turn, label}], test}, as JSON lines or .gz of them; where rows say
whether they are `test`, those alone are read. Labels are satisfied, dissatisfied and none.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from plus.jsonl import read_jsonl
from plus.progress import SILENT
from plus.signals.find import Engine, local_engine
from plus.types import Turn

LABELS = ("satisfied", "dissatisfied", "none")
SURE, BINS, BATCH = 0.9, 10, 64
PEAK = 2**20 if sys.platform == "darwin" else 2**10  # units of ru_maxrss a MiB


def claims(rows: list[dict[str, Any]], engine: Engine) -> list[tuple[str, str, float]]:
    """List (true label, label, probability) of each rated turn."""
    found = []
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        talks = [[Turn(message["role"], message["content"]) for message in row["conversation"]] for row in batch]
        for row, signals in zip(batch, engine.label(talks, ()), strict=True):
            of_turn = {signal.turn: signal for signal in signals}
            for rated in row["turns"]:
                signal = of_turn[rated["turn"]]
                found.append((rated["label"], signal.label, signal.probability))
    return found


def calibration_error(found: list[tuple[str, str, float]]) -> float:
    """Compute the expected calibration error over equal bins of the probability of the label; unsure is left out."""
    sure = [(true == label, probability) for true, label, probability in found if label != "unsure"]
    total = 0.0
    for number in range(BINS):
        inside = [one for one in sure if min(int(one[1] * BINS), BINS - 1) == number]
        total += abs(sum(is_right - probability for is_right, probability in inside))
    return total / max(1, len(sure))


def show(name: str, found: list[tuple[str, str, float]]) -> None:
    """Print macro-F1 (unsure is a miss), precision and recall, calibration and the sure claims of dissatisfaction."""
    table = Counter((true, label) for true, label, _ in found)
    scores = []
    for one in LABELS:
        right = table[one, one]
        claimed, real = sum(table[true, one] for true in LABELS), sum(true == one for true, _, _ in found)
        scores.append(2 * right / max(1, claimed + real))
        print(f"  {one:<13} precision {right / max(1, claimed):.3f} recall {right / max(1, real):.3f} of {real:,}")
    sure = [true for true, label, probability in found if label == "dissatisfied" and probability >= SURE]
    right = sum(true == "dissatisfied" for true in sure)
    unsure = sum(label == "unsure" for _, label, _ in found)
    print(
        f"{name}: {len(found):,} turns, macro-F1 {sum(scores) / len(scores):.3f}, calibration error "
        f"{calibration_error(found):.3f}, {unsure:,} unsure; of {len(sure)} claims of dissatisfaction "
        f"at {SURE} and above {right} are right"
    )


def main() -> None:
    """Measure each file, and all of them together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--engine", choices=("rules", "trained"), default="rules")
    given = parser.parse_args()
    engine, turns = local_engine(given.engine, SILENT), 0
    together: list[tuple[str, str, float]] = []
    started = time.process_time()
    for file in given.files:
        rows = [row for row in read_jsonl(file) if row.get("test", True)]
        turns += sum(message["role"] == "user" for row in rows for message in row["conversation"])
        found = claims(rows, engine)
        show(file.name, found)
        together += found
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = (time.process_time() - started) * 1000 / max(1, turns)
    show("together", together)
    print(f"{given.engine}: {spent:.2f} ms of CPU a turn, {used.ru_maxrss / PEAK:.0f} MiB")


if __name__ == "__main__":
    main()
