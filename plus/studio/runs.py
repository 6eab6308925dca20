"""Runs to look at: curves while they train, summaries before and after, findings, people, and two side by side.

All of it is read from the files of a run folder, so a run that trains is seen as it goes; a half-written one too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.responses import Response

from plus.errors import PlusError
from plus.jsonl import read_json, read_summaries, read_whole_lines
from plus.studio import drawing
from plus.studio.access import RefusedError
from plus.studio.drawing import Chart, Range
from plus.studio.visit import WORDS, Visit

SHOWN = 8  # people before and after; people in each table
READINGS = ("own", "shuffled", "empty")  # methods of predictions.jsonl that people are compared by
OWN, OTHER, NONE = "own", "other", "none"  # classes of lines: the own summary, another user's, none
# Options of a run that its page shows.
OPTIONS = ("dataset_name", "engine", "model_name_or_path", "embedding_model", "max_steps", "events_per_summary", "seed")


@dataclass(frozen=True)
class Run:
    """Run folder as far as it is written. `fault`: what of it cannot be read."""

    name: str
    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[Mapping[str, Any], ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""

    @property
    def state(self) -> str:
        """Name of the run's state in words.toml."""
        if self.fault or not self.folder.is_dir():
            return "run_damaged" if self.fault else "run_missing"
        if self.report:
            return "run_finished"
        return "run_training" if self.config else "run_none"

    @property
    def options(self) -> dict[str, Any]:
        """Options that the page shows."""
        return {name: self.config[name] for name in OPTIONS if self.config.get(name) is not None}


def read(name: str, folder: Path) -> Run:
    """Read what is written of a run."""
    found: dict[str, Any] = {}
    fault = ""
    for part in ("config", "report"):
        path = folder / f"{part}.json"
        try:
            found[part] = read_json(path) if path.exists() else {}
        except PlusError as error:
            found[part], fault = {}, str(error)
    metrics = tuple(row for row in read_whole_lines(folder / "metrics.jsonl") if "step" in row)
    return Run(name, folder, found["config"], metrics, found["report"], fault)


def runs(visit: Visit) -> Response:
    """List the runs that were named and those that the store knows."""
    return visit.show("runs.html", runs=[read(name, folder) for name, folder in visit.studio.folders().items()])


def run(visit: Visit) -> Response:
    """Show one run."""
    one = _run(visit, visit.request.path_params["run"])
    audit = one.report.get("audit", {})
    order = {False: 0, None: 1, True: 2}
    findings = sorted(audit.get("findings", ()), key=lambda finding: order.get(finding["ok"], 1))
    return visit.show(
        "run.html", run=one, charts=charts({"": one}), findings=findings, readings=_readings(audit),
        more=[drawn for drawn in (_calibration(audit), _learning(audit)) if drawn], before_after=_before_after(one),
        others=[name for name in visit.studio.folders() if name != one.name],
    )  # fmt: skip


def live(visit: Visit) -> Response:
    """Show the curves of a run as far as it is: asked for again and again while it trains."""
    one = _run(visit, visit.request.path_params["run"])
    return visit.show("curves.html", run=one, charts=charts({"": one}))


def people(visit: Visit) -> Response:
    """Show whom a run's summaries help most and least, on choices that it never met."""
    from plus.evaluate.comparison import by_method
    from plus.evaluate.predictions import Prediction
    from plus.evaluate.scorecard import per_user

    one = _run(visit, visit.request.path_params["run"])
    methods = by_method(Prediction(**row) for row in read_whole_lines(one.folder / "predictions.jsonl"))
    found = {name: {each.user_id: each.mean for each in per_user(methods.get(name, []))} for name in READINGS}
    own, other = found["own"], found["shuffled"]
    choices = {each.user_id: each.targets for each in per_user(methods.get("own", []))}
    worst_first = sorted(own, key=lambda user: own[user] - other.get(user, own[user]))
    rows = [(user, choices[user], [found[name].get(user) for name in READINGS]) for user in worst_first]
    return visit.show("run_people.html", run=one, best=rows[::-1][:SHOWN], worst=rows[:SHOWN], count_people=len(rows))


def compare(visit: Visit) -> Response:
    """Show two runs side by side."""
    two = [_run(visit, visit.query(name)) for name in ("a", "b")]
    names = {f"{run.folder.name} ({letter})": run for run, letter in zip(two, "AB", strict=True)}
    values = [
        {name: value for part in ("accuracy", "controls") for name, value in run.report.get(part, {}).items()}
        for run in two
    ]
    rows = [(name, *(found.get(name) for found in values)) for name in dict.fromkeys([*values[0], *values[1]])]
    return visit.show("compare.html", runs=two, charts=charts(names), rows=rows)


def charts(runs: Mapping[str, Run]) -> list[Chart]:
    """Draw the curves of one run, with its controls, or of two, each in its colour."""
    if len(runs) == 1:
        (only,) = runs.values()
        lines = {"own": ("accuracy", OWN), "another": ("accuracy_other", OTHER), "empty": ("accuracy_empty", NONE)}
        accuracy = {WORDS[f"curve_{name}"]: (style, _points(only, key)) for name, (key, style) in lines.items()}
    else:
        accuracy = _each(runs, "accuracy")
    found = [drawing.chart(WORDS["chart_accuracy"], accuracy, dotted=0.5, span=(0, 1))]
    for key, dotted in (("summary_gain", 0.0), ("reward_model_loss", 0.6931), ("summary_length", None), ("kl", None)):
        curves = _each(runs, key)
        # The select engine's summary has the length 1 at every update, which is no curve.
        if key != "summary_length" or len({value for _, points in curves.values() for _, value in points}) > 1:
            found.append(drawing.chart(WORDS[f"chart_{key}"], curves, dotted=dotted))
    return [one for one in found if one is not None]


def _each(runs: Mapping[str, Run], key: str) -> dict[str, tuple[str, drawing.Points]]:
    return {
        name or WORDS["curve_run"]: (style, _points(run, key))
        for (name, run), style in zip(runs.items(), (OWN, OTHER), strict=False)
    }


def _points(run: Run, key: str) -> drawing.Points:
    return [(row["step"], row[key]) for row in run.metrics if row.get(key) is not None]


def _readings(audit: Mapping[str, Any]) -> list[Range]:
    """Accuracies with the own summary and with each control."""
    found = audit.get("readings", {})
    return drawing.ranges({WORDS[f"reading_{name}"]: row for name, row in found.items() if f"reading_{name}" in WORDS})


def _calibration(audit: Mapping[str, Any]) -> Chart | None:
    bins = audit.get("measures", {}).get("calibration", {}).get("reliability", ())
    points = [(100 * one["confidence"], 100 * one["right"]) for one in bins]
    perfect = [(50.0, 50.0), (100.0, 100.0)]
    series = {WORDS["curve_run"]: (OWN, points), WORDS["curve_perfect"]: (NONE, perfect)}
    return drawing.chart(WORDS["chart_calibration"], series, span=(0, 100)) if points else None


def _learning(audit: Mapping[str, Any]) -> Chart | None:
    points = [(int(events), row["mean"]) for events, row in audit.get("learning_curve", {}).items()]
    return drawing.chart(WORDS["chart_learning"], {WORDS["curve_own"]: (OWN, points)}, dotted=0.5, span=(0, 1))


def _before_after(run: Run) -> list[tuple[str, str, str]]:
    """Pair some users' summaries at the start of the training with those at its end: (user, before, after)."""
    if examples := run.report.get("examples"):
        return [(one["user_id"], one["before"], one["after"]) for one in examples[:SHOWN]]
    first: dict[str, str] = {}
    last: dict[str, str] = {}
    for row in read_whole_lines(run.folder / "samples.jsonl"):
        first.setdefault(row["user_id"], row["summary"])
        last[row["user_id"]] = row["summary"]
    path = run.folder / "summaries.jsonl"
    written = read_summaries(path) if path.exists() else {}
    found = [(user, text, written.get(user, last[user])) for user, text in first.items()]
    return found[:SHOWN] or [(user, "", text) for user, text in list(written.items())[:SHOWN]]


def _run(visit: Visit, name: str) -> Run:
    folder = visit.studio.folders().get(name)
    if folder is None:
        raise RefusedError(404, "no_run")
    return read(name, folder)
