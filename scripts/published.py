"""Results as a repository keeps them: small JSON files (notebooks/results), and the tables of README and docs of them.

Needs no torch, so that a notebook and a page can be checked anywhere.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plus.benchmark import evidence
from plus.benchmark.real_people import HABIT, targets_table
from plus.errors import EvidenceError
from plus.evaluate import markdown
from plus.evaluate.intervals import Interval
from plus.measures import mean

# The rows of the tables of real people in docs/results; the files hold all of them.
BRIEF = (
    *("majority", "longer_wins", "bradley_terry", "dpl_mean_variance", "vpl", "low_rank", "in_context"),
    *("random_4", "last_4", "surprise_4", "untrained_4", "extractive_4", "extractive_4, read by random_4"),
    *("random_8", "extractive_8", "extractive_text_8"),
    *("population_mean", "ratings_low_rank", "ratings_kernel", "oracle_27", "demographics"),  # SPI's
)
# Simpson and Gurevych (Machine Learning 2020), all workers / those with more than 50 training pairs.
UKPCONVARG1 = {"published: GPPL": ("0.71", "0.72"), "published: crowdGPPL": ("0.72", "0.74")}
# The README's one table: its columns and the methods behind them.
FIRST = {
    "Bradley-Terry": "bradley_terry",
    "low rank": "low_rank",
    "history in context": "in_context",
    "8 random events": "random_8",
    "PLUS, 8 events": "extractive_8",
    "another user's": "extractive_8, shuffled",
}
MEANING = {
    "accuracy.plus": "with the learned summary",
    "accuracy.bradley_terry": "one taste for all: no information about the user",
    "accuracy.untrained": "summaries of the base as it came, sampled",
    "accuracy.oracle": "the true persona in words",
    "controls.shuffled": "another user's summary",
    "controls.empty": "no summary",
    "faithfulness.precision": "claims about the user that are true",
    "faithfulness.recall": "users whose favourite is named",
    "null.accuracy": "a short run on choices dealt to other users",
}


def condensed(paths: Sequence[Path]) -> dict[str, Any]:
    """Condense the folder of a benchmark (real people, an ablation, the synthetic evidence), or the demo's files.

    The demo's are files that `plus demo --json` printed. Raises EvidenceError where a path is none of these.
    """
    if all(path.is_file() for path in paths):
        return {"kind": "demo", "runs": [_demo(_read(path)) for path in paths]}
    (folder,) = paths
    if (folder / "evidence.json").exists():
        return _rounded(_evidence(folder))
    report = _read(folder / "report.json")
    if "groups" in report:
        return _rounded({"kind": "people"} | {key: report[key] for key in ("dataset", "notes", "groups", "missing")})
    if "measured" in report:
        return _rounded(_ablation(report))
    raise EvidenceError(
        f"{folder} is no benchmark of real people, no ablation and no evidence of reproduce_tiny.sh; give one of these"
    )


def compact(result: Mapping[str, Any]) -> str:
    """Write JSON whose innermost lists take a line each, so that a change of results can be read."""
    text = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[\n[^\[\]{}]*\]", lambda found: re.sub(r"\n\s*", " ", found[0]), text) + "\n"


def tables(result: Mapping[str, Any], brief: bool = True) -> str:
    """Render a condensed result in Markdown; `brief` leaves out what a page has no room for."""
    return {"people": _people, "evidence": _synthetic, "ablation": _arms, "demo": _promised}[result["kind"]](
        result, brief
    )


def first_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Render the README's table: a row a data set of real people, in its first group and hardest slice."""
    rows = []
    for result in results:
        group, table = next(iter(result["groups"].items()))
        where, found = _slices(table)[-1], table["rows"]
        cells = [markdown.number(found[name][where][0]) for name in FIRST.values()]
        rows.append([f"{result['dataset']}, {group}" + (f", {where}" if where != "all" else ""), *cells])
    return markdown.table(["data", *FIRST], rows)


def intervals(result: Mapping[str, Any]) -> dict[str, dict[str, Interval]]:
    """Collect title -> method -> accuracy of all figures of a result; controls are left out.

    Real people are drawn on controversial pairs, where there are any.
    """
    if result["kind"] == "people":
        found = {}
        for group, table in result["groups"].items():
            for where in _slices(table)[-1:]:
                rows = {name: row for name, row in table["rows"].items() if not name.endswith(", shuffled")}
                drawn = {name: _interval(row[where]) for name, row in rows.items() if where in row}
                found[f"{result['dataset']}: {group}, {where}"] = drawn
        return found
    cards = {"ablation": {"ablation": result}}.get(result["kind"]) or result.get("reports", {})
    return {
        title: {name: _interval(list(card["accuracy"].values())) for name, card in report["methods"].items()}
        for title, report in cards.items()
    }


def _people(result: Mapping[str, Any], brief: bool) -> str:
    columns, shown = ["method"], []
    names = list(dict.fromkeys(name for table in result["groups"].values() for name in table["rows"]))
    names = [name for name in names if not name.endswith(", shuffled") and (name in BRIEF or not brief)]
    for group, table in result["groups"].items():
        where = _slices(table)
        columns += [f"{group}, {part}" for part in where] + ["shuffled user"]
        shown.append({name: _cells(name, table["rows"], where) for name in names})
    rows = [[name, *(cell for of in shown for cell in of[name])] for name in names]
    absent = dict.fromkeys(cell.split(", ")[0] for cell in result["missing"])
    rows += [[name, "- (see below)", *[""] * (len(columns) - 2)] for name in absent if name not in names]
    parts = [f"**{result['dataset']}**", markdown.table(columns, rows), _sizes(result), targets_table(result)]
    if result["dataset"] == "ukpconvarg1":
        parts.insert(2, _workers(result["groups"]["new prompts"]["rows"], names))
    parts.append("\n".join(f"- not computed: {line}" for line in markdown.missing(result["missing"])))
    return "\n\n".join(part for part in parts if part)


def _cells(name: str, rows: Mapping[str, Any], where: Sequence[str]) -> list[str]:
    row, other = rows.get(name, {}), rows.get(f"{name}, shuffled", {})
    shuffled = " / ".join(markdown.number(other[part][0]) for part in where if part in other)
    return [*(markdown.values(row.get(part)) for part in where), shuffled or "-"]


def _slices(table: Mapping[str, Any]) -> list[str]:
    return [part for part in ("all", "controversial") if any(part in row for row in table["rows"].values())]


def _sizes(result: Mapping[str, Any]) -> str:
    lines = []
    for group, table in result["groups"].items():
        first = next(iter(table["rows"].values()))
        lines += [
            f"- {group}, {part}: {first[part][3]:,} users, {first[part][4]:,} predictions over folds and seeds"
            for part in _slices(table)
        ]
    return "\n".join([*lines, *(f"- {line}" for line in result["notes"] if line.startswith(HABIT))])


def _workers(rows: Mapping[str, Any], names: Sequence[str]) -> str:
    """Render the published protocol: accuracy per worker, then folds."""
    own = [[name, *(markdown.values(rows[name].get(key)) for key in ("workers", "workers_50"))] for name in names]
    columns = ["accuracy per worker, then folds", "all workers", "with more than 50 choices in the other folds"]
    return markdown.table(columns, [*([name, *values] for name, values in UKPCONVARG1.items()), *own])


def _evidence(folder: Path) -> dict[str, Any]:
    reports = evidence.read_reports(folder)
    kept = ("accuracy", "shuffled", "by_seed", "calibration", "targets", "seeds")
    return {
        "kind": "evidence",
        "reports": {
            data: {key: report[key] for key in ("best_possible", "differences", "learning_curve", "missing")}
            | {"methods": {name: {key: card[key] for key in kept} for name, card in report["methods"].items()}}
            for data, report in reports.items()
        },
        "audits": {
            name: {key: audit[key] for key in ("verdict", "findings", "not_run")}
            for name, audit in evidence.read_audits(folder).items()
        },
        "cpu_seconds": _read(folder / "evidence.json")["cpu_seconds"],
        "training": {data: _training(folder / data / "runs" / f"{data}-0" / "metrics.jsonl") for data in reports},
    }


def _training(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [{key: row.get(key) for key in ("step", "summary_gain", "summary_length")} for row in map(json.loads, lines)]


def _synthetic(result: Mapping[str, Any], brief: bool) -> str:
    reports, against = result["reports"], ("plus - vpl", "plus - in_context", "plus - bradley_terry", "plus - oracle")
    differences = [
        [data, name, *markdown.shown(at, "+.3f")] for data, report in reports.items()
        for name, at in report["differences"].items() if name in against or not brief
    ]  # fmt: skip
    audits = [
        f"Audit of {name}, seed 0, read by seed 1: {audit['verdict']}\n\n{evidence.findings(audit)}"
        for name, audit in result["audits"].items()
    ]
    missing = [
        f"- not computed: {data}, {name}: {why}"
        for data, report in reports.items()
        for name, why in report["missing"].items()
    ]
    parts = [
        evidence.accuracies(reports),
        evidence.sizes(reports),
        evidence.promises_table(reports),
        markdown.table(["data", "difference", "accuracy", "users", "choices"], differences),
        *audits,
        f"Processor time of a core: {result['cpu_seconds']['together'] / 60:.0f} minutes.",
        "\n".join(missing),
    ]
    return "\n\n".join(part for part in parts if part)


def _ablation(report: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, card in report["methods"].items():
        cells = report["measured"][name]
        found[name] = {key: card[key] for key in ("accuracy", "minus", "users", "targets", "seeds") if key in card}
        found[name]["shuffled"] = mean(cell["shuffled"] for cell in cells)
        found[name]["updates"] = [cell["updates"] for cell in cells]
    return {"kind": "ablation", "title": report["title"], "methods": found}


def _arms(result: Mapping[str, Any], brief: bool) -> str:
    columns = ["arm", "accuracy", "minus plus", "another user's", "updates to 0.9 in training, by seed"]
    rows = []
    for name, card in result["methods"].items():
        minus = markdown.shown(card["minus"], "+.3f")[0] if "minus" in card else ""
        updates = ", ".join(str(n or "never") for n in card["updates"])
        rows.append([name, markdown.shown(card["accuracy"])[0], minus, f"{card['shuffled']:.3f}", updates])
    first = next(iter(result["methods"].values()))
    size = f"- {first['seeds']} seeds, {first['targets']:,} choices of {first['users']:,} users"
    return f"{markdown.table(columns, rows)}\n\n{size}"


def _demo(reply: Mapping[str, Any]) -> dict[str, Any]:
    printed = reply["data"]

    def value(name: str) -> float:
        found: Any = printed
        for part in name.split("."):
            found = found[part]
        return found

    values = {name: value(name) for name in evidence.demo_promises()}
    return {"seed": printed["seed"], "seconds": printed["seconds"], "values": values}


def _promised(result: Mapping[str, Any], brief: bool) -> str:
    runs = result["runs"]
    rows = [
        [f"`{name}`", f"{low:g} to {high:g}", " / ".join(f"{run['values'][name]:.3f}" for run in runs), MEANING[name]]
        for name, (low, high) in evidence.demo_promises().items()
    ]
    seeds = " / ".join(str(run["seed"]) for run in runs)
    seconds = ", ".join(f"{run['seconds']:.0f}" for run in runs)
    table = markdown.table(["what", "promised", f"measured, seed {seeds}", "meaning"], rows)
    return f"{table}\n\nSeconds, on two cores that did other work too: {seconds}."


def _interval(values: Sequence[Any]) -> Interval:
    mean, low, high = (math.nan if value is None else value for value in values[:3])
    return Interval(mean, low, high, *values[3:5])


def _read(path: Path) -> Any:
    if not path.is_file():
        raise EvidenceError(f"there is no {path}; give the folder of a finished benchmark")
    return json.loads(path.read_text(encoding="utf-8"))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, 7) if isinstance(value, float) else value
