"""Comparison of methods from their predictions alone: the page of `plus benchmark` and of an ablation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plus.errors import EvidenceError
from plus.evaluate import figures, markdown
from plus.evaluate.intervals import paired_difference
from plus.evaluate.predictions import Prediction
from plus.evaluate.scorecard import plain, scorecard
from plus.jsonl import write_json


def compare(predictions: Sequence[Prediction], reference: str | None = None) -> dict[str, Any]:
    """Measure each method, and its difference to `reference` over the same choices (`minus`).

    A method that was not judged on the reference's choices gets no difference, and `notes` says why.
    """
    methods = by_method(predictions)
    result: dict[str, Any] = {"reference": reference, "methods": {}}
    for name, rows in methods.items():
        card = scorecard(rows)
        if reference is not None and name != reference:
            # Paired by choice; a method judged on other rows gets a note instead.
            try:
                card["minus"] = plain(paired_difference(rows, methods[reference])._asdict())
            except (EvidenceError, KeyError) as error:
                why = error if isinstance(error, EvidenceError) else "it was not run"
                card["notes"].append(f"no difference to {reference}: {why}")
        result["methods"][name] = card
    return result


def write_comparison(
    folder: Path,
    predictions: Sequence[Prediction],
    reference: str | None = None,
    title: str = "Methods side by side",
    missing: Mapping[str, str] | None = None,
    runs: Mapping[str, figures.Metrics] | None = None,
) -> dict[str, Any]:
    """Write report.json, report.md and plots into `folder`; returns the report.

    `missing` maps each method that could not be run to the reason; `runs` maps a training run's name to its metrics.
    """
    result = compare(predictions, reference) | {"title": title, "missing": dict(missing or {})}
    drawn = {name: rows for name, rows in by_method(predictions).items() if rows}
    folder.mkdir(parents=True, exist_ok=True)
    # Figures: of the methods, and over training where there are runs.
    made = []
    if drawn:
        figures.accuracy_figure(drawn, folder / "accuracy.png")
        figures.reliability_figure(dict(list(drawn.items())[:7]), folder / "reliability.png")
        made += ["accuracy.png", "reliability.png"]
    if runs:
        figures.gain_figure(runs, folder / "summary_gain.png")
        figures.length_figure(runs, folder / "length.png")
        made += ["summary_gain.png", "length.png"]
    write_json(folder / "report.json", result)
    (folder / "report.md").write_text(page(result, made), encoding="utf-8")
    return result


def page(result: Mapping[str, Any], made: Sequence[str] = ()) -> str:
    """Render one table of all methods, with missing methods and their reasons below."""
    reference = result["reference"]
    difference = [f"minus {reference}"] if reference else []
    columns = [
        *("method", "accuracy", *difference, "log-likelihood", "ECE (if calibrated)", "worst decile"),
        *("users", "choices", "seeds"),
    ]
    rows = [_row(name, card, reference) for name, card in result["methods"].items()]
    rows += [[name, "- (see below)", *[""] * (len(columns) - 2)] for name in result["missing"]]
    # Notes: each line once, with the methods that it is about.
    of_note: dict[str, list[str]] = {}
    for name, card in result["methods"].items():
        for note in card["notes"]:
            of_note.setdefault(note, []).append(name)
    notes = [f"- {', '.join(names)}: {note}" for note, names in of_note.items()]
    notes += [f"- {name}: {why}" for name, why in result["missing"].items()]
    # A row for each slice that a method's predictions name.
    slices = [
        [name, slice_name, *markdown.shown(found)]
        for name, card in result["methods"].items()
        for slice_name, found in card["slices"].items()
    ]
    parts = [
        f"# {result['title']}",
        "Intervals hold 95 % of repeats over users and seeds; differences are paired by choice.",
        markdown.table(columns, rows),
        *(["\n".join(notes)] if notes else []),
        *(["## Slices", markdown.table(["method", "slice", "accuracy", "users", "choices"], slices)] if slices else []),
        *markdown.pictures(made),
    ]
    return "\n\n".join(parts) + "\n"


def by_method(predictions: Iterable[Prediction]) -> dict[str, list[Prediction]]:
    """Group predictions by method, in order of appearance."""
    found: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        found.setdefault(prediction.method, []).append(prediction)
    return found


def _row(name: str, card: Mapping[str, Any], reference: str | None) -> list[str]:
    accuracy, users, targets = markdown.shown(card["accuracy"])
    minus = [markdown.shown(card["minus"], "+.3f")[0] if "minus" in card else ""] if reference else []
    calibration = card["calibration"]
    ece = f"{markdown.number(calibration['ece'])} ({markdown.number(calibration['if_perfect'])})"
    return [
        name, accuracy, *minus, markdown.shown(card["log_likelihood"])[0], ece, markdown.shown(card["worst_decile"])[0],
        users, targets, str(card["seeds"]),
    ]  # fmt: skip
