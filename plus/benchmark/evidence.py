"""Evidence on synthetic users: the promises of the demo and of scripts/reproduce_tiny.sh, its cells and its pages.

Promises stand in demo.toml and evidence.toml. `OUT` holds a benchmark folder for each data set, `bases/`,
`audits/` and evidence.md, which shows everything side by side. The pages need no torch; the cells do, and
import it.
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plus.evaluate import markdown
from plus.jsonl import read_json, read_whole_lines, write_json
from plus.resources import thresholds

if TYPE_CHECKING:
    from plus.benchmark.language_models import LanguageModelMethods

DATA = ("pets", "pets_ood", "pets_ood_k2", "styles", "styles_unlabelled")
# (OUT, data set) -> its methods, and the bases that they start from in words.
Subject = Callable[[Path, str], tuple["LanguageModelMethods", str]]


def demo_promises() -> dict[str, tuple[float, float]]:
    """Read demo.toml: dotted name of a value -> (lowest, highest) accepted."""
    return {name: (low, high) for name, (low, high) in thresholds("benchmark/demo").items()}


def missed(result: Mapping[str, Any]) -> list[str]:
    """List the demo's promises that `result` (nested by the dots of the names) does not keep."""
    lines = []
    for name, (low, high) in demo_promises().items():
        value: Any = result
        for part in name.split("."):
            value = value[part]
        if not low <= value <= high:  # NaN is a miss.
            lines.append(f"{name} is {value:.3f}, promised {low:g} to {high:g}")
    return lines


def subject(out: Path, name: str) -> tuple[LanguageModelMethods, str]:
    """Build the methods of a data set with the full budget, on a base for each seed."""
    from plus.benchmark.bases import OWN_BASES, own_base
    from plus.benchmark.language_models import BUDGETS, LanguageModelMethods

    base_of = own_base(name, out / "bases", note)
    return LanguageModelMethods(name, out / name, BUDGETS[name], base_of, note), OWN_BASES


def quick_subject(out: Path, name: str) -> tuple[LanguageModelMethods, str]:
    """Build the methods with few updates from the base that comes with plus, to see that everything runs."""
    from plus.benchmark.bases import SHIPPED_BASE, shipped_base
    from plus.benchmark.language_models import QUICK, LanguageModelMethods

    return LanguageModelMethods(name, out / name, QUICK, shipped_base, note), SHIPPED_BASE


def cells(out: Path, family: str, seed: int, subject: Subject = subject) -> None:
    """Make the base of a family's seed and all cells of its data sets that `out` lacks.

    A second process waits for the first, since one may be left over from a run that was killed.
    """
    from plus.benchmark.bases import FAMILY
    from plus.benchmark.language_models import compute

    out.mkdir(parents=True, exist_ok=True)
    with (out / f".{family}-{seed}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in (data for data in DATA if FAMILY.get(data, data) == family):
            mine, bases = subject(out, name)
            compute(mine, [seed], list(mine.methods()), bases, partial(_tell, name))


def report(out: Path, seeds: range, subject: Subject = subject) -> bool:
    """Write every data set's report, evidence.md and evidence.json; returns whether every promise holds."""
    from plus.benchmark.language_model_tables import write_report
    from plus.benchmark.language_models import compute

    # A report for each data set, from its cells.
    for name in DATA:
        mine, bases = subject(out, name)
        methods = list(mine.methods())
        found = compute(mine, seeds, methods, bases)
        write_report(mine.folder, found, methods, name, [mine.budget.in_words(bases)], mine.best_possible(seeds))
    # Then all of them on one page.
    reports, spent = read_reports(out), seconds(out)
    promises = compare_promises(reports)
    write_json(out / "evidence.json", {"promises": promises, "cpu_seconds": spent})
    (out / "evidence.md").write_text(page(reports, read_audits(out), spent), encoding="utf-8")
    return all(row["held"] for row in promises)


def seconds(folder: Path) -> dict[str, float]:
    """Sum the processor seconds of the bases, of each data set's methods, and of all together."""
    found = {name: folder / name / "seconds.jsonl" for name in ("bases", *DATA)}
    spent = {name: sum(row["cpu_seconds"] for row in read_whole_lines(path)) for name, path in found.items()}
    return spent | {"together": sum(spent.values())}


def note(line: str) -> None:
    """Print a line of progress to stderr."""
    print(line, file=sys.stderr, flush=True)


def _tell(name: str, cell: str, done: int, total: int) -> None:
    note(f"{name}: {cell or 'done'}")


def promises() -> dict[str, dict[str, tuple[float, float]]]:
    """Read evidence.toml: data set -> method -> (lowest, highest) accepted accuracy, the mean over seeds."""
    read = thresholds("benchmark/evidence")
    return {data: {name: (low, high) for name, (low, high) in rows.items()} for data, rows in read.items()}


def read_reports(folder: Path) -> dict[str, Any]:
    """Read the report.json of each data set that `folder` holds."""
    found = {name: folder / name / "report.json" for name in DATA}
    return {name: read_json(path) for name, path in found.items() if path.exists()}


def read_audits(folder: Path) -> dict[str, Any]:
    """Read the audit of the first seed's run of each data set that `folder` holds."""
    return {path.parent.name: read_json(path) for path in sorted((folder / "audits").glob("*/report.json"))}


def compare_promises(reports: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compare each promise with what was measured; `held` is None where nothing was."""
    rows = []
    for data, methods in promises().items():
        for name, (low, high) in methods.items():
            card = reports.get(data, {}).get("methods", {}).get(name)
            value = card["accuracy"]["mean"] if card else None
            held = None if value is None else low <= value <= high
            rows.append({"data": data, "method": name, "low": low, "high": high, "measured": value, "held": held})
    return rows


def page(reports: Mapping[str, Any], audits: Mapping[str, Any], spent: Mapping[str, float]) -> str:
    """Render all data sets side by side, the promises, the audits and the processor time."""
    # Rows of each section; a section without rows is left out.
    differences = [
        [data, name, *markdown.shown(at, "+.3f")]
        for data, report in reports.items()
        for name, at in report["differences"].items()
    ]
    audit_parts = [
        f"## Audit of {name}, seed 0, read by seed 1: {audit['verdict']}\n\n{findings(audit)}"
        for name, audit in audits.items()
    ]
    missing = [
        f"- {data}, {name}: {why}" for data, report in reports.items() for name, why in report["missing"].items()
    ]
    parts = [
        "# Synthetic users: every method",
        "Accuracy on users never met, another user's text in brackets behind it. "
        "Intervals hold 95 % of repeats over users and seeds.",
        accuracies(reports),
        sizes(reports),
        "## Promises",
        promises_table(reports),
        "## Paired differences",
        markdown.table(["data", "difference", "accuracy", "users", "choices"], differences),
        *audit_parts,
        "## Processor time",
        markdown.table(["what", "minutes"], [[name, f"{value / 60:.1f}"] for name, value in spent.items()]),
        "\n".join(missing),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def accuracies(reports: Mapping[str, Any]) -> str:
    """Render accuracy: a row for each method, a column for each data set, and the best possible."""
    names = list(dict.fromkeys(name for report in reports.values() for name in report["methods"]))
    cells = {data: report["methods"] for data, report in reports.items()}
    rows = [[name, *(_cell(cells[data].get(name)) for data in reports)] for name in names]
    best = ["best possible", *(markdown.number(report["best_possible"]) for report in reports.values())]
    return markdown.table(["method", *reports], [*rows, best])


def sizes(reports: Mapping[str, Any]) -> str:
    """List how many seeds and choices each column holds."""
    first = {data: next(iter(report["methods"].values()), None) for data, report in reports.items()}
    return "\n".join(
        f"- {data}: {len(card['by_seed'])} seeds, {card['targets']:,} choices of as many users"
        for data, card in first.items()
        if card
    )


def promises_table(reports: Mapping[str, Any]) -> str:
    """Render the promises with what was measured and whether they hold."""
    verdict = {True: "holds", False: "**MISSED**", None: "not run"}
    rows = [
        [
            f"{row['data']}: {row['method']}",
            f"{row['low']:g} to {row['high']:g}",
            markdown.number(row["measured"]),
            verdict[row["held"]],
        ]
        for row in compare_promises(reports)
    ]
    return markdown.table(["what", "promised", "measured", ""], rows)


def findings(audit: Mapping[str, Any]) -> str:
    """List every finding of an audit, a line each, and what was not run."""
    lines = [
        f"- {'**FAILS** ' if found['ok'] is False else ''}{found['control']}: {found['sentence']}"
        for found in audit["findings"]
    ]
    return "\n".join([*lines, *(f"- {name}: not run, {why}" for name, why in audit["not_run"].items())])


def _cell(card: Mapping[str, Any] | None) -> str:
    if card is None:
        return "-"
    shuffled = card["shuffled"]
    return markdown.shown(card["accuracy"])[0] + (f" ({shuffled['mean']:.3f})" if shuffled else "")
