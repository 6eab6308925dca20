"""Tables of the benchmark with language models: every method, its shuffled user, its distance from PLUS and from
the best possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plus.benchmark.cells import Results
from plus.benchmark.language_models import CURVE
from plus.evaluate import figures, markdown
from plus.evaluate.comparison import compare
from plus.evaluate.controls import curve
from plus.evaluate.intervals import interval, paired_difference, user_interval
from plus.evaluate.predictions import Prediction
from plus.evaluate.scorecard import plain
from plus.jsonl import read_whole_lines, write_json
from plus.measures import mean

REFERENCE = "plus"
CURVES = ("plus", "in_context")


def write_report(
    folder: Path,
    results: Results,
    methods: Sequence[str],
    title: str,
    notes: Sequence[str] = (),
    best_possible: Mapping[int, float] | None = None,
) -> dict[str, Any]:
    """Write report.json, report.md and plots into `folder`, from the cells that there are; returns the report.

    `best_possible` maps a seed to the best possible accuracy, where it is known.
    """
    # Predictions of each method, and its learning curve where it has one.
    found = {name: results.of(name) for name in methods}
    found = {name: rows for name, rows in found.items() if rows}
    curves = {name: curve(rows) for name in CURVES if (rows := results.of(name + CURVE))}
    cards = compare([row for rows in found.values() for row in rows])["methods"]
    report: dict[str, Any] = {
        "title": title,
        "notes": list(notes),
        "best_possible": mean(best_possible.values()) if best_possible else None,
        "methods": {
            name: card | _beside(found[name], results.of(f"{name}, shuffled"), best_possible)
            for name, card in cards.items()
        },
        "differences": _differences(found),
        "learning_curve": {
            name: {str(count): at._asdict() for count, at in by_count.items()} for name, by_count in curves.items()
        },
        "missing": missing(results, methods),
        "cpu_seconds": cpu_seconds(folder),
    }
    report = plain(report)
    # The files: figures first, since the page embeds them.
    made = _draw(folder, found, curves)
    write_json(folder / "report.json", report)
    (folder / "report.md").write_text(page(report, made), encoding="utf-8")
    return report


def missing(results: Results, methods: Sequence[str]) -> dict[str, str]:
    """Map each method without predictions (or its cell, where it has others) to the reason."""
    found = {}
    for cell, why in results.missing.items():
        method = cell.split(", ")[0]
        if method in methods:
            found[cell if method in results.cells else method] = why
    return found


def cpu_seconds(folder: Path) -> dict[str, float]:
    """Sum the processor seconds of each method's cells; a cell computed twice counts twice."""
    total: dict[str, float] = {}
    for row in read_whole_lines(folder / "seconds.jsonl"):
        method = row["what"].split(", ")[0]
        total[method] = round(total.get(method, 0.0) + row["cpu_seconds"], 1)
    return total


def page(report: Mapping[str, Any], made: Sequence[str] = ()) -> str:
    """Render the report in Markdown."""
    best = report["best_possible"]
    columns = ["method", "accuracy", "another user's", *(["minus best possible"] if best else [])]
    columns += ["log-likelihood", "ECE (if calibrated)", "users", "choices", "seeds"]
    rows = [_row(name, card, best is not None) for name, card in report["methods"].items()]
    rows += [[name, "- (see below)", *[""] * (len(columns) - 2)] for name in report["missing"]]
    why = [f"- {name}: {reason}" for name, reason in report["missing"].items()]
    # Sections below the table; those without a row are left out.
    seeds = sorted({seed for card in report["methods"].values() for seed in card["by_seed"]}, key=int)
    by_seed = [
        [name, *(markdown.number(card["by_seed"].get(seed)) for seed in seeds)]
        for name, card in report["methods"].items()
    ]
    differences = [[name, *markdown.shown(at, "+.3f")] for name, at in report["differences"].items()]
    curves = [
        [name, count, *markdown.shown(at)]
        for name, by_count in report["learning_curve"].items()
        for count, at in by_count.items()
    ]
    spent = [[name, f"{value:,.0f}"] for name, value in report["cpu_seconds"].items()]
    parts = [
        f"# {report['title']}",
        "Intervals hold 95 % of repeats over users and seeds. Ties count one half.",
        "\n".join(f"- {note}" for note in [*report["notes"], *([f"best possible: {best:.3f}"] if best else [])]),
        markdown.table(columns, rows),
        "\n".join([*markdown.notes_below(report["methods"]), *why]),
        *_section("Paired differences", ["difference", "accuracy", "users", "choices"], differences),
        *_section("By seed", ["method", *(f"seed {seed}" for seed in seeds)], by_seed),
        *_section("By number of past events", ["method", "past events", "accuracy", "users", "choices"], curves),
        *_section("Processor seconds, all seeds", ["method", "seconds"], spent),
        *markdown.pictures(made),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _beside(
    rows: Sequence[Prediction], shuffled: Sequence[Prediction], best_possible: Mapping[int, float] | None
) -> dict[str, Any]:
    """Compute what a method's scorecard gets from its controls: shuffled user, seeds, distance to the best."""
    seeds = sorted({row.seed for row in rows})
    found: dict[str, Any] = {
        "shuffled": user_interval(shuffled)._asdict() if shuffled else None,
        "by_seed": {str(seed): mean(row.right for row in rows if row.seed == seed) for seed in seeds},
    }
    if best_possible:
        found["minus_best"] = interval((p.seed, p.user_id, p.right - best_possible[p.seed]) for p in rows)._asdict()
    return found


def _differences(found: Mapping[str, Sequence[Prediction]]) -> dict[str, Any]:
    """Compute PLUS minus each method, over the choices of the seeds that both have."""
    if REFERENCE not in found:
        return {}
    differences = {}
    for name in found:
        seeds = {row.seed for row in found[name]} & {row.seed for row in found[REFERENCE]}
        if name != REFERENCE and seeds:
            ours, theirs = ([row for row in found[n] if row.seed in seeds] for n in (REFERENCE, name))
            differences[f"{REFERENCE} - {name}"] = paired_difference(ours, theirs)._asdict()
    return differences


def _draw(folder: Path, found: Mapping[str, Sequence[Prediction]], curves: Mapping[str, Any]) -> list[str]:
    """Draw the plots that the cells and the runs beside them allow; returns their file names."""
    made = []
    if found:
        figures.accuracy_figure(found, folder / "accuracy.png")
        personal = [name for name in ("plus", "in_context", "vpl", "untrained", "oracle") if name in found]
        drawn = {name: found[name] for name in personal or list(found)[:7]}
        figures.reliability_figure(drawn, folder / "reliability.png")
        made += ["accuracy.png", "reliability.png"]
    if curves:
        figures.learning_curve_figure(curves, folder / "learning_curve.png")
        made.append("learning_curve.png")
    runs = {run.name: read_whole_lines(run / "metrics.jsonl") for run in sorted((folder / "runs").glob("*"))}
    if runs := {name: rows for name, rows in runs.items() if rows}:
        figures.gain_figure(runs, folder / "summary_gain.png")
        figures.length_figure(runs, folder / "length.png")
        made += ["summary_gain.png", "length.png"]
    return made


def _row(name: str, card: Mapping[str, Any], with_best: bool) -> list[str]:
    accuracy, users, targets = markdown.shown(card["accuracy"])
    calibration = card["calibration"]
    return [
        name, accuracy, markdown.shown(card["shuffled"])[0] if card["shuffled"] else "",
        *([markdown.shown(card["minus_best"], "+.3f")[0]] if with_best else []),
        markdown.shown(card["log_likelihood"])[0],
        f"{markdown.number(calibration['ece'])} ({markdown.number(calibration['if_perfect'])})",
        users, targets, str(card["seeds"]),
    ]  # fmt: skip


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"## {title}", markdown.table(columns, rows)] if rows else []
