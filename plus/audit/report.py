"""A run judged on users it has never met, with everything that could fool us beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plus.audit.audit import CURVE, audit
from plus.baselines.majority import Majority
from plus.evaluate import figures, markdown
from plus.evaluate.comparison import by_method
from plus.evaluate.learning_curve import curve
from plus.evaluate.predictions import Prediction, predict, to_rows
from plus.jsonl import read_whole_lines, write_json, write_jsonl
from plus.measures import mean
from plus.types import Population, Scorer, Summarizer


def report(
    population: Population,
    scorer: Scorer,
    summaries: Mapping[str, str],
    bradley_terry: Scorer | None = None,
    summarizer: Summarizer | None = None,
    readers: Mapping[str, Scorer] | None = None,
) -> tuple[dict[str, Any], list[Prediction]]:
    """Accuracy on the test users beside Bradley-Terry and the majority, the whole audit, and the
    predictions that all of it rests on.

    `bradley_terry` is a reward model trained without summaries, or None when the run has none;
    `summarizer` and `readers` are what an audit can use beyond the texts. Raises EvidenceError when
    there are no two test users to judge on.
    """
    audited, predictions = audit(population, scorer, summaries, summarizer, readers)
    examples = population.split("test")
    accuracies = {"plus": audited["readings"]["own"]["mean"]}
    if bradley_terry is not None:
        predictions += predict("bradley_terry", 0, bradley_terry, [""] * len(examples), examples)
    predictions += predict("majority", 0, majority(population), [""] * len(examples), examples)
    for name in ("bradley_terry", "majority"):
        if rows := [p for p in predictions if p.method == name]:
            accuracies[name] = mean(p.right for p in rows)
    shown = {name: audited["readings"][name]["mean"] for name in ("shuffled", "empty", "opposite")}
    result = {
        "dataset": population.name,
        "accuracy": accuracies,
        "controls": shown | {"summary_gain": audited["summary_gain"]["mean"]},
        "test": {name: audited[name] for name in ("users", "targets")}
        | {"opposites": audited["readings"]["opposite"]["targets"]},
        "verdict": audited["verdict"],
        "dropped": dict(population.dropped),
        "audit": audited,
    }
    return result, predictions


def write_audit(
    folder: Path, audited: Mapping[str, Any], predictions: Sequence[Prediction], run: Path | None = None
) -> None:
    """report.json and everything of `write_page`, in a new `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", audited)
    write_page(folder, audited, predictions, run)


def write_page(
    folder: Path, audited: Mapping[str, Any], predictions: Sequence[Prediction], run: Path | None = None
) -> None:
    """report.md, predictions.jsonl and plots; those over training come from the metrics of `run`."""
    write_jsonl(folder / "predictions.jsonl", to_rows(predictions))
    made = draw(folder, predictions, run)
    (folder / "report.md").write_text(markdown.audit_page(audited, made), encoding="utf-8")


def draw(folder: Path, predictions: Sequence[Prediction], run: Path | None = None) -> list[str]:
    """The plots that the predictions and the run allow; returns their file names."""
    methods = by_method(p for p in predictions if p.method != CURVE)
    figures.accuracy_figure(methods, folder / "accuracy.png")
    figures.reliability_figure({name: methods[name] for name in ("own", "shuffled")}, folder / "reliability.png")
    made = ["accuracy.png", "reliability.png"]
    if past := [p for p in predictions if p.method == CURVE]:
        figures.learning_curve_figure({"own summary": curve(past)}, folder / "learning_curve.png")
        made.append("learning_curve.png")
    metrics = read_whole_lines(run / "metrics.jsonl") if run else []
    if metrics:
        name = run.name if run else ""
        figures.gain_figure({name: metrics}, folder / "summary_gain.png")
        figures.length_figure({name: metrics}, folder / "length.png")
        made += ["summary_gain.png", "length.png"]
    return made


def majority(population: Population) -> Majority:
    """What the training users chose, counted."""
    training = population.split("train")
    histories = {example.history.user_id: example.history for example in training}
    return Majority([e.target for e in training], [event for h in histories.values() for event in h.events])
