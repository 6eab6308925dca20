"""Reports in Markdown: tables with intervals and denominators, the page of an audit, model cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

MEANING = {
    "own": "the user's own text",
    "shuffled": "another user's",
    "empty": "none",
    "opposite": "that of a user who chose the opposite",
    "raw_history": "the past itself, pasted in",
}


def audit_page(audit: Mapping[str, Any], figures: Iterable[str] = ()) -> str:
    """Render the audit of one scorer (`Audit.to_json`)."""
    mark = {True: "ok", False: "**FAILS**", None: ""}
    findings = [[f["control"], mark[f["ok"]], f["sentence"]] for f in audit["findings"]]
    rows = [[name, MEANING.get(name, ""), *shown(found)] for name, found in audit["readings"].items()]
    # Readers of other origin, then the one fitted to these texts.
    others = {f"portability: {name}": reading for name, reading in audit["portability"].items()}
    if audit["information"]:
        others["information: a reader fitted afresh"] = audit["information"]
    readers = [[name, *shown(r["own"]), shown(r["gain"], "+.3f")[0]] for name, r in others.items()]
    reader_columns = ["reader", "accuracy", "users", "choices", "gain over another user's"]
    # What was left out, with the reason.
    not_run = "\n".join(f"- {name}: {why}" for name, why in audit["not_run"].items())
    parts = [
        f"# {audit['dataset']}: {audit['verdict']}",
        f"{audit['targets']:,} choices of {audit['users']:,} test users. Intervals hold 95 % of repeats over users.",
        table(["control", "", "finding"], findings),
        "## The same choices, read with different texts",
        table(["text", "meaning", "accuracy", "users", "choices"], rows),
        *(["## Other readers of the same texts", table(reader_columns, readers)] if readers else []),
        "## Measures",
        measures(audit["measures"]),
        *(["## Not run", not_run] if not_run else []),
        *pictures(figures),
    ]
    return "\n\n".join(parts) + "\n"


def measures(card: Mapping[str, Any]) -> str:
    """Render one method's scorecard."""
    calibration = card["calibration"]
    size = {"users": card["users"], "targets": card["targets"]}
    denominators = [f"{count:,}" for count in size.values()]
    ece = (
        f"{number(calibration['ece'])}; if calibrated {number(calibration['if_perfect'])}, "
        f"95 % below {number(calibration['if_perfect_95'])}"
    )
    slope = {"mean": calibration["slope"], "low": calibration["slope_low"], "high": calibration["slope_high"], **size}
    rows = [
        ["accuracy", *shown(card["accuracy"])],
        ["log-likelihood, nats a choice", *shown(card["log_likelihood"])],
        ["AUROC", number(calibration["auroc"]), *denominators],
        ["calibration error (ECE)", ece, *denominators],
        ["calibration slope (1 is calibrated)", *shown(slope)],
        ["worst decile of users", *shown(card["worst_decile"])],
        *([name, *shown(found)] for name, found in card["slices"].items()),
    ]
    notes = "".join(f"\n- {note}" for note in card["notes"])
    return table(["measure", "value", "users", "choices"], rows) + (f"\n{notes}" if notes else "")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a table; a bar inside a cell is escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def shown(found: Mapping[str, Any], form: str = ".3f") -> list[str]:
    """Format a JSON interval as [value with bounds, users, choices]."""
    value = number(found["mean"], form)
    if found["mean"] is not None and found["low"] is not None:
        value += f" [{found['low']:{form}}, {found['high']:{form}}]"
    return [value, f"{found['users']:,}", f"{found['targets']:,}"]


def values(found: Sequence[float | None] | None, form: str = ".3f") -> str:
    """Format [mean, low, high, ...] as a mean with its interval, a mean alone, or a dash for none."""
    if found is None or found[0] is None:
        return "-"
    return format(found[0], form) + ("" if found[1] is None else f" [{found[1]:{form}}, {found[2]:{form}}]")


def number(value: float | None, form: str = ".3f") -> str:
    """Format a number, or a dash for one that could not be computed."""
    return "-" if value is None else f"{value:{form}}"


def notes_below(cards: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """List the notes of all scorecards, each once with the methods that it is about."""
    of_note: dict[str, list[str]] = {}
    for name, card in cards.items():
        for note in card.get("notes", []):
            of_note.setdefault(note, []).append(name)
    every = len(cards)
    methods = {note: ", ".join(names) if len(names) < every else "every method" for note, names in of_note.items()}
    return [f"- {names}: {note}" for note, names in methods.items()]


def missing(cells: Mapping[str, str]) -> list[str]:
    """List missing cells ("METHOD, FOLD, seed S" -> why), a line a method: how many, and why the first."""
    of_method: dict[str, list[str]] = {}
    for cell in cells:
        of_method.setdefault(cell.split(", ")[0], []).append(cell)
    return [
        f"{of[0] if len(of) == 1 else f'{name}, {len(of)} cells'}: {cells[of[0]]}" for name, of in of_method.items()
    ]


def pictures(names: Iterable[str]) -> list[str]:
    """Embed figures that lie beside the page."""
    return [f"![{name.removesuffix('.png').replace('_', ' ')}]({name})" for name in names]


def write_card(
    folder: Path,
    base_model: str,
    body: str,
    tags: Sequence[str],
    pipeline_tag: str | None = None,
    library: str = "transformers",
) -> Path:
    """Write a model card as README.md into a run folder: the Hub's header, then `body`; returns its path."""
    header = [f"library_name: {library}", *([f"pipeline_tag: {pipeline_tag}"] if pipeline_tag else [])]
    header += [f"tags: [{', '.join(tags)}]", f"base_model: {base_model}"]
    path = folder / "README.md"
    path.write_text("\n".join(["---", *header, "---", "", body]), encoding="utf-8")
    return path
