"""Reports as people read them: tables in Markdown, every number with its interval and its denominator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MEANING = {
    "own": "the user's own text",
    "shuffled": "another user's",
    "empty": "none",
    "opposite": "that of a user who chose the opposite",
    "raw_history": "the past itself, pasted in",
}


def audit_page(audit: Mapping[str, Any], figures: Iterable[str] = ()) -> str:
    """The audit of one scorer."""
    findings = [[f["control"], {True: "ok", False: "**FAILS**", None: ""}[f["ok"]], f["sentence"]] for f in audit["findings"]]  # fmt: skip
    rows = [[name, MEANING.get(name, ""), *shown(found)] for name, found in audit["readings"].items()]
    readers = [[f"portability: {name}", *shown(r["own"]), shown(r["gain"], "+.3f")[0]] for name, r in audit["portability"].items()]  # fmt: skip
    if audit["information"]:
        r = audit["information"]
        readers.append(["information: a reader fitted afresh", *shown(r["own"]), shown(r["gain"], "+.3f")[0]])
    parts = [
        f"# {audit['dataset']}: {audit['verdict']}",
        f"{audit['targets']:,} choices of {audit['users']:,} test users. Intervals hold 95 % of repeats over users.",
        table(["control", "", "finding"], findings),
        "## The same choices, read with different texts",
        table(["text", "meaning", "accuracy", "users", "choices"], rows),
        *(["## Other readers of the same texts", table(["reader", "accuracy", "users", "choices", "gain over another user's"], readers)] if readers else []),
        "## Measures",
        measures(audit["measures"]),
        *(["## Not run", "\n".join(f"- {name}: {why}" for name, why in audit["not_run"].items())] if audit["not_run"] else []),
        *pictures(figures),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def measures(card: Mapping[str, Any]) -> str:
    """One method's scorecard."""
    calibration = card["calibration"]
    rows = [
        ["accuracy", *shown(card["accuracy"])],
        ["log-likelihood, nats a choice", *shown(card["log_likelihood"])],
        ["AUROC", number(calibration["auroc"]), f"{card['users']:,}", f"{card['targets']:,}"],
        ["calibration error (ECE)", f"{number(calibration['ece'])}; if calibrated {number(calibration['if_perfect'])}, 95 % below {number(calibration['if_perfect_95'])}", f"{card['users']:,}", f"{card['targets']:,}"],
        ["calibration slope (1 is calibrated)", *shown({"mean": calibration["slope"], "low": calibration["slope_low"], "high": calibration["slope_high"], "users": card["users"], "targets": card["targets"]})],
        ["worst decile of users", *shown(card["worst_decile"])],
        *([name, *shown(found)] for name, found in card["slices"].items()),
    ]  # fmt: skip
    notes = "".join(f"\n- {note}" for note in card["notes"])
    return table(["measure", "value", "users", "choices"], rows) + (f"\n{notes}" if notes else "")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def shown(found: Mapping[str, Any], form: str = ".3f") -> list[str]:
    """[value with interval, users, choices]."""
    value = number(found["mean"], form)
    if found["mean"] is not None and found["low"] is not None:
        value += f" [{found['low']:{form}}, {found['high']:{form}}]"
    return [value, f"{found['users']:,}", f"{found['targets']:,}"]


def values(found: Sequence[float | None] | None, form: str = ".3f") -> str:
    """[mean, low, high, ...] as a mean with its interval, or a dash; a mean alone where there is no interval."""
    if found is None or found[0] is None:
        return "-"
    return format(found[0], form) + ("" if found[1] is None else f" [{found[1]:{form}}, {found[2]:{form}}]")


def number(value: float | None, form: str = ".3f") -> str:
    """A number, or a dash for what could not be computed."""
    return "-" if value is None else f"{value:{form}}"


def said_below(cards: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the numbers cannot say (`notes`), each line once with the methods that it is about."""
    said: dict[str, list[str]] = {}
    for name, card in cards.items():
        for note in card.get("notes", []):
            said.setdefault(note, []).append(name)
    return [f"- {', '.join(names) if len(names) < len(cards) else 'every method'}: {note}" for note, names in said.items()]  # fmt: skip


def missing(cells: Mapping[str, str]) -> list[str]:
    """A line for each method without some of its cells ("METHOD, FOLD, seed S" -> why): how many, and why the first."""
    of_method: dict[str, list[str]] = {}
    for cell in cells:
        of_method.setdefault(cell.split(", ")[0], []).append(cell)
    return [
        f"{of[0] if len(of) == 1 else f'{name}, {len(of)} cells'}: {cells[of[0]]}" for name, of in of_method.items()
    ]


def pictures(names: Iterable[str]) -> list[str]:
    """Figures that lie beside the page."""
    return [f"![{name.removesuffix('.png').replace('_', ' ')}]({name})" for name in names]
