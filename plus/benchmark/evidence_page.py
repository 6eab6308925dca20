"""The page of the evidence on synthetic users, from the reports of all data sets; needs no torch.

What is promised stands in evidence.toml.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plus.evaluate import markdown
from plus.resources import thresholds

DATA = ("pets", "pets_ood", "pets_ood_k2", "styles", "styles_unlabelled")


def promises() -> dict[str, dict[str, tuple[float, float]]]:
    """Data set -> method -> (lowest, highest) accepted accuracy, the mean over seeds."""
    read = thresholds("benchmark/evidence")
    return {data: {name: (low, high) for name, (low, high) in rows.items()} for data, rows in read.items()}


def read_reports(folder: Path) -> dict[str, Any]:
    """Data set -> its report.json, for those that `folder` holds."""
    found = {name: folder / name / "report.json" for name in DATA}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in found.items() if path.exists()}


def read_audits(folder: Path) -> dict[str, Any]:
    """Data set -> the audit of its first seed's run, for those that `folder` holds."""
    found = sorted((folder / "audits").glob("*/report.json"))
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in found}


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


def page(reports: Mapping[str, Any], audits: Mapping[str, Any], spent: Mapping[str, float]) -> str:
    """Everything side by side, the promises, and what it took."""
    differences = [[data, name, *markdown.shown(at, "+.3f")] for data, report in reports.items() for name, at in report["differences"].items()]  # fmt: skip
    parts = [
        "# Synthetic users: every method",
        "Accuracy on users never met, another user's text in brackets behind it. Intervals hold 95 % of repeats over users and seeds.",
        accuracies(reports),
        sizes(reports),
        "## Promises",
        promised(reports),
        "## Paired differences",
        markdown.table(["data", "difference", "accuracy", "users", "choices"], differences),
        *(f"## Audit of {name}, seed 0, read by seed 1: {audit['verdict']}\n\n{findings(audit)}" for name, audit in audits.items()),
        "## Processor time",
        markdown.table(["what", "minutes"], [[name, f"{value / 60:.1f}"] for name, value in spent.items()]),
        "\n".join(f"- {data}, {name}: {why}" for data, report in reports.items() for name, why in report["missing"].items()),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def accuracies(reports: Mapping[str, Any]) -> str:
    """A row for each method, a column for each data set, and the best that can be had."""
    names = list(dict.fromkeys(name for report in reports.values() for name in report["methods"]))
    cells = {data: report["methods"] for data, report in reports.items()}
    rows = [[name, *(_cell(cells[data].get(name)) for data in reports)] for name in names]
    best = ["best possible", *(markdown.number(report["best_possible"]) for report in reports.values())]
    return markdown.table(["method", *reports], [*rows, best])


def sizes(reports: Mapping[str, Any]) -> str:
    """How many seeds and choices each column holds."""
    first = {data: next(iter(report["methods"].values()), None) for data, report in reports.items()}
    return "\n".join(f"- {data}: {len(card['by_seed'])} seeds, {card['targets']:,} choices of as many users" for data, card in first.items() if card)  # fmt: skip


def promised(reports: Mapping[str, Any]) -> str:
    """What is promised, and whether it holds."""
    said = {True: "holds", False: "**MISSED**", None: "not run"}
    rows = [[f"{row['data']}: {row['method']}", f"{row['low']:g} to {row['high']:g}", markdown.number(row["measured"]), said[row["held"]]] for row in judged(reports)]  # fmt: skip
    return markdown.table(["what", "promised", "measured", ""], rows)


def findings(audit: Mapping[str, Any]) -> str:
    """Every finding of an audit, a line each, and what was not run."""
    lines = [f"- {'**FAILS** ' if found['ok'] is False else ''}{found['control']}: {found['sentence']}" for found in audit["findings"]]  # fmt: skip
    return "\n".join([*lines, *(f"- {name}: not run, {why}" for name, why in audit["not_run"].items())])


def _cell(card: Mapping[str, Any] | None) -> str:
    if card is None:
        return "-"
    shuffled = card["shuffled"]
    return markdown.shown(card["accuracy"])[0] + (f" ({shuffled['mean']:.3f})" if shuffled else "")
