"""The ablation on synthetic pets: python scripts/ablation.py OUT [--seeds 0 1 2 3 4] [--dataset_name pets].

Resumable: cells that OUT holds already are not run again. A cell takes one to three minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from plus import datasets
from plus.benchmark.ablation import ARMS, run_ablation
from plus.errors import PlusError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--dataset_name", default="pets")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    given = parser.parse_args()
    run_ablation(
        given.out, lambda seed: datasets.load(given.dataset_name, seed=seed), given.seeds,
        {name: ARMS[name] for name in given.arms},
        on_cell=lambda arm, seed, seconds, stored: print(
            f"{arm}, seed {seed}: " + ("stored" if stored else f"{seconds:.0f} s"), file=sys.stderr, flush=True
        ),
    )  # fmt: skip
    print((given.out / "report.md").read_text())


if __name__ == "__main__":
    try:
        main()
    except PlusError as error:
        sys.exit(f"ablation: {error}")
