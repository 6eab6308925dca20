"""Evaluation of a run on users it has never met: the report beside baselines, its files and the model card."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plus import datasets
from plus.audit.examine import CURVE, examine
from plus.audit.findings import Audit
from plus.baselines.majority import Majority
from plus.evaluate import figures, markdown
from plus.evaluate.comparison import by_method
from plus.evaluate.controls import curve
from plus.evaluate.predictions import Prediction, predict, to_rows
from plus.evaluate.scorecard import plain
from plus.jsonl import read_whole_lines, write_jsonl
from plus.measures import mean
from plus.models.run import load, load_baseline
from plus.progress import SILENT, Screen
from plus.train import data_record, run_folder
from plus.types import Population, Scorer, Summarizer

TAGS = ("plus", "preference", "reward-model", "personalization", "trl")
CARD = """# Summarizer and reward model for {dataset}

Trained together with plus (PLUS, arXiv 2507.13579): `summarizer/` writes a short text about a user
from their past choices, `reward_model/` predicts the user's next choice from that text.

    import plus
    p = plus.load("{folder}")
    p.summarize([{{"prompt": "...", "chosen": "...", "rejected": "..."}}])

## Judged on users it has never met

{users:,} users, {targets:,} choices; ties count one half. {verdict}.

| what | accuracy |
|---|---|
{rows}

`shuffled`, `empty` and `opposite` are the same choices read with another user's summary, with none,
and with that of a user who chose the opposite: personalization is real only as far as they differ.

## Training

{options}

Left out of the data: {dropped}.
"""
# Of a run without a language model.
EMBEDDED = """
`reward_model/known.safetensors` holds the embedding of every training answer, by the SHA-256 of its text: someone who
has a text can tell whether it was among them.
"""
# Options of a run that its card shows.
SHOWN = (
    *("max_steps", "learning_rate", "reward_learning_rate", "beta", "num_generations"),
    *("per_device_train_batch_size", "pairs_per_user", "seed"),
    *("engine", "embedding_model", "events_per_summary", "users_per_step"),
)


@dataclass(frozen=True)
class Evaluation:
    """Accuracy on test users beside baselines, the whole audit, and the predictions that all of it rests on.

    `opposites` counts the choices that have an opposite user; `dropped` the rows left out of the data.
    """

    dataset: str
    accuracy: Mapping[str, float]
    audit: Audit
    dropped: Mapping[str, int]
    predictions: Sequence[Prediction] = field(repr=False)

    @property
    def verdict(self) -> str:
        """The audit's verdict."""
        return self.audit.verdict

    def to_json(self) -> dict[str, Any]:
        """Turn the evaluation into a run's report.json: all but the predictions."""
        audit, readings = self.audit, self.audit.readings
        controls = {name: readings[name].mean for name in ("shuffled", "empty", "opposite")}
        counts = {"users": audit.users, "targets": audit.targets, "opposites": readings["opposite"].targets}
        found: dict[str, Any] = plain({
            "dataset": self.dataset,
            "accuracy": self.accuracy,
            "controls": controls | {"summary_gain": audit.summary_gain.mean},
            "test": counts,
            "verdict": self.verdict,
            "dropped": self.dropped,
        })  # fmt: skip
        return found | {"audit": audit.to_json()}


def evaluate(run: str | Path, screen: Screen = SILENT) -> Evaluation:
    """Evaluate a run's saved models on users they have never met; nothing is trained.

    The population is that of the run's options, its test users are summarized anew. Raises ModelError
    where `run` is no run folder, and EvidenceError where there are no two test users.
    """
    folder = Path(run)
    with screen.loading("loading the run"):
        loaded = load(run)
        population = data_record.admit(folder, datasets.from_settings(run_folder.read_config(folder)), screen.say)
        plain_folder = folder / "bradley_terry"
        baseline = load_baseline(plain_folder, loaded.reward_model) if plain_folder.exists() else None
    with screen.status("summarizing and judging"):
        histories = {example.history.user_id: example.history for example in population.split("test")}
        summaries = dict(zip(histories, loaded.summarizer.summarize(list(histories.values())), strict=True))
        trained = data_record.trained_users(data_record.read(folder) or {})
        return evaluate_models(population, loaded.reward_model, summaries, baseline, loaded.summarizer, trained=trained)


def evaluate_models(
    population: Population,
    scorer: Scorer,
    summaries: Mapping[str, str],
    bradley_terry: Scorer | None = None,
    summarizer: Summarizer | None = None,
    readers: Mapping[str, Scorer] | None = None,
    trained: Collection[str] = (),
) -> Evaluation:
    """Evaluate a scorer on the test users beside Bradley-Terry and the majority, with the whole audit.

    `bradley_terry` is a reward model trained without summaries, or None when the run has none;
    `summarizer` and `readers` are what an audit can use beyond the texts, and `trained` the users that the
    run's own record says it was trained on. Raises EvidenceError when
    there are no two test users to judge on.
    """
    audit = examine(population, scorer, summaries, summarizer, readers, trained=trained)
    examples = population.split("test")
    predictions = list(audit.predictions)
    # Baselines on the same choices; none of them reads a text.
    empty = [""] * len(examples)
    if bradley_terry is not None:
        predictions += predict("bradley_terry", 0, bradley_terry, empty, examples)
    predictions += predict("majority", 0, majority(population), empty, examples)
    accuracy = {"plus": audit.readings["own"].mean}
    for name in ("bradley_terry", "majority"):
        if rows := [p for p in predictions if p.method == name]:
            accuracy[name] = mean(p.right for p in rows)
    return Evaluation(population.name, accuracy, audit, dict(population.dropped), predictions)


def majority(population: Population) -> Majority:
    """Count what the training users chose."""
    training = population.split("train")
    histories = {example.history.user_id: example.history for example in training}
    return Majority([e.target for e in training], [event for h in histories.values() for event in h.events])


def write_page(
    folder: Path, audit: Mapping[str, Any], predictions: Sequence[Prediction], run: Path | None = None
) -> None:
    """Write report.md, predictions.jsonl and plots; those over training come from the metrics of `run`."""
    write_jsonl(folder / "predictions.jsonl", to_rows(predictions))
    made = draw(folder, predictions, run)
    (folder / "report.md").write_text(markdown.audit_page(audit, made), encoding="utf-8")


def draw(folder: Path, predictions: Sequence[Prediction], run: Path | None = None) -> list[str]:
    """Draw the plots that the predictions and the run allow; returns their file names."""
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


def write_card(folder: Path, settings: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Write the model card of both models, README.md, into the run folder."""
    values = {**report["accuracy"], **report["controls"]}
    rows = [f"| {name} | {'-' if value is None else f'{value:.3f}'} |" for name, value in values.items()]
    options = [f"- {key}: {settings[key]}" for key in SHOWN if settings.get(key) is not None]
    dropped = [f"{count:,} {reason}" for reason, count in report["dropped"].items()]
    body = CARD.format(
        dataset=report["dataset"],
        folder=folder,
        verdict=report["verdict"][:1].upper() + report["verdict"][1:],
        users=report["test"]["users"],
        targets=report["test"]["targets"],
        rows="\n".join(rows),
        options="\n".join(options) or "- defaults of PLUSConfig",
        dropped="; ".join(dropped) or "nothing",
    )
    base = settings["model_name_or_path"] or settings["embedding_model"]
    if "embedding_model" in settings:
        markdown.write_card(folder, base, body + EMBEDDED, TAGS, library="plus-preferences")
    else:
        markdown.write_card(folder, base, body, TAGS)
