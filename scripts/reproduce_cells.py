"""The parts of scripts/reproduce_tiny.sh: python scripts/reproduce_cells.py OUT FAMILY SEED, then OUT report SEEDS

The first form makes the family's base of one seed and every cell that OUT lacks. The second form writes
the pages from the cells, prints them, and exits with status 1 where a promise is missed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from plus.benchmark import evidence
from plus.benchmark.bases import RECIPES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("what", choices=["report", *RECIPES])
    parser.add_argument("number", type=int, help="A seed; of a report, how many there are.")
    parser.add_argument("--quick", action="store_true", help="Few updates from the base that comes with plus.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    subject = evidence.quick_subject if given.quick else evidence.subject
    if given.what != "report":
        evidence.cells(given.out, given.what, given.number, subject)
        return
    held = evidence.report(given.out, range(given.number), subject)
    print((given.out / "evidence.md").read_text(encoding="utf-8"))
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
