"""Policies of the tiny world: python scripts/policy_tiny.py OUT [--quick].

Prints the tables of plus/benchmark/policy_world/table.py. Resumable: cells that OUT holds already are not made
again, and one that was interrupted goes on at its last checkpoint.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import torch
from transformers.utils import logging

from plus.benchmark.policy_world.cells import QUICK, Plan, compute
from plus.benchmark.policy_world.table import measure
from plus.errors import PlusError


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quick", action="store_true", help="Two seeds and shorter runs: at most 15 minutes.")
    parser.add_argument(
        "--only_seeds",
        type=int,
        nargs="+",
        help="Make the cells of these seeds and no report: several processes may share OUT.",
    )
    given = parser.parse_args()
    torch.set_num_threads(1)  # More only wait for each other at this size.
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    given.out.mkdir(parents=True, exist_ok=True)
    plan = QUICK if given.quick else Plan()
    if given.only_seeds:
        compute(given.out, plan, _note, given.only_seeds)
        return
    measure(given.out, plan, _note)
    print((given.out / "report.md").read_text())


if __name__ == "__main__":
    try:
        main()
    except PlusError as error:
        sys.exit(f"policy_tiny: {error}")
