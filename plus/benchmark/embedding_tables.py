"""Tables of the benchmark on real people: accuracy with own and shuffled users, paired differences, and goals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import stdev
from typing import Any

from scipy.stats import t as student

from plus.benchmark.cells import Results
from plus.benchmark.real_people import targets_table
from plus.evaluate.intervals import paired_difference, user_interval
from plus.evaluate.markdown import missing, notes_below, values
from plus.evaluate.predictions import Prediction
from plus.evaluate.scorecard import notes, plain
from plus.sources.folds import CONTROVERSIAL

# Pairs of rows whose difference is printed, where both were run: (a, b).
SELECTED = ("random", "last", "surprise", "untrained")  # other ways to select k events
SHUFFLED = ("in_context", "extractive_4", "extractive_8", "extractive_text_8")
DIFFERENCES = (
    *((name, "bradley_terry") for name in ("in_context", "low_rank", "vpl")),
    *((f"extractive_{k}", f"{other}_{k}") for k in (4, 8) for other in SELECTED),
    ("extractive_text_8", "random_8"),
    *((f"extractive_{k}", other) for k in (4, 8) for other in ("in_context", "bradley_terry", "majority")),
    *((f"extractive_{k}, read by random_{k}", f"random_{k}") for k in (4, 8)),
    *((f"{name}, shuffled", "bradley_terry") for name in SHUFFLED),
    ("in_context", "majority"),
    # On SPI: words and lines against ratings as numbers.
    *((name, "population_mean") for name in ("ratings_low_rank", "ratings_kernel", "in_context", "extractive_8")),
    *((name, "population_mean") for name in ("oracle_27", "oracle_5", "demographics", "in_context, shuffled")),
    *((name, "population_mean") for name in ("extractive_8, shuffled", "oracle_27, shuffled")),
    ("in_context", "ratings_low_rank"),
)


def tables(results: Results, methods: Sequence[str]) -> dict[str, Any]:
    """Compute {"groups": {group: {"rows": {method: {...}}, "differences": {...}}}, "missing": {...}}."""
    predictions = {name: by_slice(results.of(name)) for method in methods for name in names_of(method)}
    groups = list(dict.fromkeys(group.removesuffix(CONTROVERSIAL) for found in predictions.values() for group in found))
    found = {group: _group(group, {n: p for n, p in predictions.items() if p}) for group in groups}
    result: dict[str, Any] = plain({"groups": found, "missing": results.missing})
    return result


def names_of(method: str) -> list[str]:
    """List the names of a method's own rows and of its controls."""
    kind, _, k = method.rpartition("_")
    cross = []
    if kind == "extractive":
        cross = [f"{method}, read by random_{k}", f"{method}, read by in_context"]
    return [method, f"{method}, shuffled", *cross]


def by_slice(predictions: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    """Group predictions, those of a controversial part once more under a name of their own."""
    found: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        found.setdefault(prediction.group.removesuffix(CONTROVERSIAL), []).append(prediction)
        if prediction.group.endswith(CONTROVERSIAL):
            found.setdefault(prediction.group, []).append(prediction)
    return found


def _group(group: str, predictions: Mapping[str, Mapping[str, list[Prediction]]]) -> dict[str, Any]:
    slices = {"all": group, "controversial": group + CONTROVERSIAL}

    def of(name: str, where: str) -> list[Prediction]:
        return predictions.get(name, {}).get(slices[where], [])

    # Each method on both slices, then the pairs of methods whose difference is printed.
    rows = {name: _row([of(name, where) for where in slices], list(slices)) for name in predictions}
    differences = {f"{a} - {b}": _difference({w: (of(a, w), of(b, w)) for w in slices}) for a, b in DIFFERENCES}
    return {
        "rows": {name: row for name, row in rows.items() if row},
        "differences": {name: row for name, row in differences.items() if row},
    }


def _row(found: Sequence[list[Prediction]], names: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {where: list(user_interval(some)) for where, some in zip(names, found, strict=True) if some}
    if not row:
        return {}
    # Beside the intervals: what the literature on workers reports, and what cannot be measured.
    by_fold = {"workers": worker_protocol(found[0]), "workers_50": worker_protocol(found[0], 50)}
    row |= {"per_user": user_mean(found[0]), "notes": notes(found[0])}
    return row | {key: value for key, value in by_fold.items() if value}


def _difference(found: Mapping[str, tuple[list[Prediction], list[Prediction]]]) -> dict[str, Any]:
    """Compare two methods over the cells that both have."""
    row = {}
    for where, (ours, theirs) in found.items():
        a, b = shared(ours, theirs)
        if a:
            row[where] = list(paired_difference(a, b))
    return row


def shared(ours: Sequence[Prediction], theirs: Sequence[Prediction]) -> tuple[list[Prediction], list[Prediction]]:
    """Keep the choices that both predicted."""
    keys = {(p.seed, p.user_id, p.example) for p in ours} & {(p.seed, p.user_id, p.example) for p in theirs}
    a, b = ([p for p in some if (p.seed, p.user_id, p.example) in keys] for some in (ours, theirs))
    return a, b


def worker_protocol(predictions: Sequence[Prediction], more_than: int = -1) -> list[float] | None:
    """Average accuracy of each user in each fold, then over folds, with Student's t over the folds.

    Returns [mean, low, high, folds], or None below two folds. Only users with more than `more_than`
    choices in the other folds count. The protocol of Simpson & Gurevych (Machine Learning 2020) on
    UKPConvArg1.
    """
    # (seed, fold) -> user -> right or wrong, and how many choices each user has in all folds of a seed.
    cells: dict[tuple[int, str], dict[str, list[float]]] = {}
    for p in predictions:
        cells.setdefault((p.seed, p.example.rsplit(" ", 1)[0]), {}).setdefault(p.user_id, []).append(p.right)
    total = Counter((seed, user) for (seed, _), users in cells.items() for user, right in users.items() for _ in right)
    # Means of users within a fold, then of folds.
    folds: dict[str, list[float]] = {}
    for (seed, fold), users in cells.items():
        kept = [sum(right) / len(right) for user, right in users.items() if total[seed, user] - len(right) > more_than]
        if kept:
            folds.setdefault(fold, []).append(sum(kept) / len(kept))
    means = [sum(of_fold) / len(of_fold) for of_fold in folds.values()]
    if len(means) < 2:
        return None
    half = float(student.ppf(0.975, len(means) - 1)) * stdev(means) / len(means) ** 0.5
    return [sum(means) / len(means), sum(means) / len(means) - half, sum(means) / len(means) + half, len(means)]


def user_mean(predictions: Sequence[Prediction]) -> float:
    """Average accuracy over users: what the literature on workers reports."""
    users: dict[str, list[float]] = {}
    for prediction in predictions:
        users.setdefault(prediction.user_id, []).append(prediction.right)
    return sum(sum(right) / len(right) for right in users.values()) / len(users)


def page(report: Mapping[str, Any], first: Sequence[str] = ()) -> str:
    """Render the report in Markdown; the lines of `first` come first."""
    # A section for each kind of fold, then the goals and what was not computed.
    lines = [f"# {report['dataset']}", "", *first, *(f"- {line}" for line in report["notes"]), ""]
    for group, table in report["groups"].items():
        lines += [
            f"## {group}",
            "",
            *_accuracies(report, group),
            *_sizes(table["rows"]),
            "",
            *notes_below(table["rows"]),
        ]
        if group == "new prompts":
            lines += ["", *_workers(table["rows"])]
        if table["differences"]:
            lines += ["", *_differences_table(table["differences"])]
        lines.append("")
    if reached := targets_table(report):
        lines += ["## Goals", "", reached, ""]
    if report["missing"]:
        lines += ["## Not computed", "", *(f"- {line}" for line in missing(report["missing"])), ""]
    return "\n".join(lines)


def _accuracies(report: Mapping[str, Any], group: str) -> list[str]:
    """Render a row for each method, its shuffled user beside it; then the methods without any cell."""
    columns = ("method", "all", "controversial", "mean of users", "shuffled user (all / controversial)")
    rows, lines = report["groups"][group]["rows"], []
    for name, row in rows.items():
        if name.endswith(", shuffled"):
            continue
        other = rows.get(f"{name}, shuffled", {})
        shuffled = f"{_short(other.get('all'))} / {_short(other.get('controversial'))}" if other else "-"
        both = (values(row.get("all")), values(row.get("controversial")))
        lines.append(_line(name, *both, f"{row['per_user']:.3f}", shuffled))
    absent_rows = [f"| {name} | - (see below) | | | |" for name in absent(report, group)]
    return [_line(*columns), "|---|---|---|---|---|", *lines, *absent_rows]


def _sizes(rows: Mapping[str, Any]) -> list[str]:
    """List users and predictions of each slice, after an empty line."""
    first: Mapping[str, Any] = next(iter(rows.values()), {})
    sizes = {where: first[where][3:] for where in ("all", "controversial") if where in first}
    return [
        "",
        *(
            f"{where}: {users:,} users, {targets:,} predictions over folds and seeds"
            for where, (users, targets) in sizes.items()
        ),
    ]


def _workers(rows: Mapping[str, Any]) -> list[str]:
    """Render the published protocol: accuracy per worker, then folds."""
    columns = ("accuracy per worker, then folds", "all workers", "with more than 50 choices in the other folds")
    lines = [
        _line(name, values(row.get("workers")), values(row.get("workers_50")))
        for name, row in rows.items()
        if "," not in name
    ]
    return [_line(*columns), "|---|---|---|", *lines]


def _differences_table(differences: Mapping[str, Any]) -> list[str]:
    lines = [
        _line(name, values(row.get("all"), "+.3f"), values(row.get("controversial"), "+.3f"))
        for name, row in differences.items()
    ]
    return [_line("paired difference", "all", "controversial"), "|---|---|---|", *lines]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def absent(report: Mapping[str, Any], group: str) -> list[str]:
    """List the methods without any cell among the folds of a group; `missing` says why."""
    named = dict.fromkeys(cell.split(", ")[0] for cell in report["missing"] if f"/{group}/" in cell)
    return [name for name in named if name not in report["groups"][group]["rows"]]


def _short(value: Sequence[float] | None) -> str:
    return "-" if value is None else f"{value[0]:.3f}"
