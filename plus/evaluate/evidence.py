"""The evidence on synthetic users (scripts/reproduce_tiny.sh): its cells, its promises, its page.

The promises stand in evidence.toml. `OUT` holds a benchmark folder for each data set, `bases/`, `audits/` and
evidence.md, which shows everything side by side.
"""

from __future__ import annotations

import fcntl
import json
import sys
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from plus.evaluate import markdown
from plus.evaluate.synthetic import (
    BUDGETS,
    OWN_BASES,
    QUICK,
    SHIPPED_BASE,
    Synthetic,
    compute,
    own_base,
    shipped_base,
)
from plus.evaluate.synthetic_table import write_report
from plus.models.bases import FAMILY
from plus.train.run_folder import read_jsonl, write_json

DATA = ("pets", "pets_ood", "pets_ood_k2", "styles", "styles_unlabelled")
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
    reports = read_reports(out)
    promised = judged(reports)
    write_json(out / "evidence.json", {"promises": promised, "cpu_seconds": seconds(out)})
    (out / "evidence.md").write_text(page(out, reports), encoding="utf-8")
    return all(row["held"] for row in promised)


def promises() -> dict[str, dict[str, tuple[float, float]]]:
    """Data set -> method -> (lowest, highest) accepted accuracy, the mean over seeds."""
    read = tomllib.loads(Path(__file__).with_name("evidence.toml").read_text(encoding="utf-8"))
    return {data: {name: (low, high) for name, (low, high) in rows.items()} for data, rows in read.items()}


def read_reports(folder: Path) -> dict[str, Any]:
    """Data set -> its report.json, for those that `folder` holds."""
    found = {name: folder / name / "report.json" for name in DATA}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in found.items() if path.exists()}


def judged(reports: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each promise with what was measured: `held` is None where it was not."""
    rows = []
    for data, methods in promises().items():
        for name, (low, high) in methods.items():
            card = reports.get(data, {}).get("methods", {}).get(name)
            value = card["accuracy"]["mean"] if card else None
            held = None if value is None else low <= value <= high
            rows.append({"data": data, "method": name, "low": low, "high": high, "measured": value, "held": held})
    return rows


def page(folder: Path, reports: Mapping[str, Any]) -> str:
    """Everything side by side, the promises, and what it took."""
    names = list(dict.fromkeys(name for report in reports.values() for name in report["methods"]))
    cells = {data: report["methods"] for data, report in reports.items()}
    table = [[name, *(_cell(cells[data].get(name)) for data in reports)] for name in names]
    best = ["best possible", *(markdown.number(report["best_possible"]) for report in reports.values())]
    shown = [[f"{row['data']}: {row['method']}", f"{row['low']:g} to {row['high']:g}", markdown.number(row["measured"]), {True: "holds", False: "**MISSED**", None: "not run"}[row["held"]]] for row in judged(reports)]  # fmt: skip
    differences = [[data, name, *markdown.shown(at, "+.3f")] for data, report in reports.items() for name, at in report["differences"].items()]  # fmt: skip
    parts = [
        "# Synthetic users: every method",
        "Accuracy on users never met, another user's text in brackets behind it. Intervals hold 95 % of repeats over users and seeds.",
        markdown.table(["method", *reports], [*table, best]),
        "\n".join(f"- {data}: {len(next(iter(report['methods'].values()))['by_seed'])} seeds, {next(iter(report['methods'].values()))['targets']:,} choices of as many users" for data, report in reports.items() if report["methods"]),
        "## Promises",
        markdown.table(["what", "promised", "measured", ""], shown),
        "## Paired differences",
        markdown.table(["data", "difference", "accuracy", "users", "choices"], differences),
        *_audits(folder),
        "## Processor time",
        markdown.table(["what", "minutes"], [[name, f"{value / 60:.1f}"] for name, value in seconds(folder).items()]),
        "\n".join(f"- {data}, {name}: {why}" for data, report in reports.items() for name, why in report["missing"].items()),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def seconds(folder: Path) -> dict[str, float]:
    """Processor seconds of the bases, of each data set's methods, and together."""
    found = {name: folder / name / "seconds.jsonl" for name in ("bases", *DATA)}
    spent = {name: sum(row["cpu_seconds"] for row in read_jsonl(path)) for name, path in found.items()}
    return spent | {"together": sum(spent.values())}


def _cell(card: Mapping[str, Any] | None) -> str:
    if card is None:
        return "-"
    shuffled = card["shuffled"]
    return markdown.shown(card["accuracy"])[0] + (f" ({shuffled['mean']:.3f})" if shuffled else "")


def _audits(folder: Path) -> list[str]:
    """The verdict and every finding of the audits of seed 0 against seed 1."""
    parts = []
    for path in sorted((folder / "audits").glob("*/report.json")):
        audit = json.loads(path.read_text(encoding="utf-8"))
        lines = [f"- {found['control']}: {found['sentence']}" for found in audit["findings"]]
        parts += [f"## Audit of {path.parent.name}, seed 0, read by seed 1: {audit['verdict']}", "\n".join(lines)]
    return parts


def note(line: str) -> None:
    """Progress belongs on stderr."""
    print(line, file=sys.stderr, flush=True)


def _tell(name: str, cell: str, done: int, total: int) -> None:
    note(f"{name}: {cell or 'done'}")
