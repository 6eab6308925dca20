"""The evidence on synthetic users (scripts/reproduce_tiny.sh): its cells, and the reports made of them.

`OUT` holds a benchmark folder for each data set, `bases/`, `audits/` and evidence.md, which shows
everything side by side (`evidence_page.py`).
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from plus.benchmark import evidence_page
from plus.benchmark.bases import FAMILY
from plus.benchmark.evidence_page import DATA
from plus.benchmark.language_model_tables import write_report
from plus.benchmark.language_models import (
    BUDGETS,
    OWN_BASES,
    QUICK,
    SHIPPED_BASE,
    Synthetic,
    compute,
    own_base,
    shipped_base,
)
from plus.jsonl import read_whole_lines, write_json

# (OUT, data set) -> its methods, and in words the bases that they start from.
Subject = Callable[[Path, str], tuple[Synthetic, str]]


def subject(out: Path, name: str) -> tuple[Synthetic, str]:
    """The full budget, on a base for each seed."""
    return Synthetic(name, out / name, BUDGETS[name], own_base(name, out / "bases", note), note), OWN_BASES


def quick_subject(out: Path, name: str) -> tuple[Synthetic, str]:
    """To see that it runs: few updates from the base that comes with plus."""
    return Synthetic(name, out / name, QUICK, shipped_base, note), SHIPPED_BASE


def cells(out: Path, family: str, seed: int, subject: Subject = subject) -> None:
    """The base of a family's seed and all cells of its data sets that `out` lacks.

    A second process waits for the first, since one may be left over from a run that was killed.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / f".{family}-{seed}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in (data for data in DATA if FAMILY.get(data, data) == family):
            mine, bases = subject(out, name)
            compute(mine, [seed], list(mine.methods()), bases, partial(_tell, name))


def report(out: Path, seeds: range, subject: Subject = subject) -> bool:
    """Every data set's report, evidence.md and evidence.json; whether every promise holds."""
    for name in DATA:
        mine, bases = subject(out, name)
        methods = list(mine.methods())
        found = compute(mine, seeds, methods, bases)
        said = [mine.budget.in_words(bases)]
        write_report(mine.folder, found, methods, name, said, mine.best_possible(seeds))
    reports, spent = evidence_page.read_reports(out), seconds(out)
    promised = evidence_page.judged(reports)
    write_json(out / "evidence.json", {"promises": promised, "cpu_seconds": spent})
    text = evidence_page.page(reports, evidence_page.read_audits(out), spent)
    (out / "evidence.md").write_text(text, encoding="utf-8")
    return all(row["held"] for row in promised)


def seconds(folder: Path) -> dict[str, float]:
    """Processor seconds of the bases, of each data set's methods, and together."""
    found = {name: folder / name / "seconds.jsonl" for name in ("bases", *DATA)}
    spent = {name: sum(row["cpu_seconds"] for row in read_whole_lines(path)) for name, path in found.items()}
    return spent | {"together": sum(spent.values())}


def note(line: str) -> None:
    """Progress belongs on stderr."""
    print(line, file=sys.stderr, flush=True)


def _tell(name: str, cell: str, done: int, total: int) -> None:
    note(f"{name}: {cell or 'done'}")
