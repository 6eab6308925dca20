"""Training job of the select engine: real people's choices on a CPU, judged beside what it has to beat.

`writing.py` begins with it too, and shares the steps before and after training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from plus.progress import SILENT, Screen
from plus.recipes.population import admitted, load_population

if TYPE_CHECKING:
    from plus.audit.report import Evaluation
    from plus.evaluate.predictions import Prediction
    from plus.models.embedding_reward_model import EmbeddingRewardModel
    from plus.models.embeddings import Embeddings
    from plus.models.extractive import ExtractiveSummarizer
    from plus.models.prose import SelectThenWrite
    from plus.train.select import SelectData, Selected, SelectSettings
    from plus.types import Context, Example, Population, UserHistory

ALL, CONTROVERSIAL = "all", "controversial"
JUDGING = "summarizing every user and judging on new ones"


@dataclass(frozen=True)
class EmbeddingRunResult:
    """Result of a run of the engines that read sentence embeddings.

    report: what report.json holds. summaries: user_id -> summary, of every user. population: whom it was trained and
    judged on.
    """

    folder: Path
    settings: Mapping[str, Any]
    report: Mapping[str, Any]
    summaries: Mapping[str, str]
    bradley_terry: EmbeddingRewardModel
    population: Population


@dataclass(frozen=True)
class SelectResult(EmbeddingRunResult):
    """Result of the select engine: both models, and whether the validation users trust the learned selection."""

    selected: Selected


def select_run(settings: Mapping[str, Any], screen: Screen = SILENT) -> SelectResult:
    """Train with resolved settings of the select engine, judge on new users, and fill the run folder."""
    with screen.loading("loading torch and the sentence model"):
        from plus.train import select_run
    folder, seed = Path(settings["output_dir"]), int(settings["seed"])
    # 1. The data.
    settings, population = read(settings, screen)
    # 2. The method, and the baseline on the same rows.
    with screen.bar("plus") as show:
        found, data, embeddings, budget = select_run.train(settings, population, screen.say, show)
    screen.say(trust_line(found, budget.events_per_summary))
    plain = train_without_summaries(settings, data, embeddings, budget, screen)
    # 3. Summaries of every user, and the verdict on new ones.
    with screen.status(JUDGING):
        summaries, evaluation, report = judged(population, found.summarizer, found.reward_model, plain, folder)
        report |= {"engine": select_run.ENGINE, "selection": selection(found, budget)}
        report["gains"] = gains(population, evaluation.predictions, data, embeddings, budget, seed)
        write(folder, settings, report, evaluation.predictions)
    say_cut(report, screen)
    return SelectResult(folder, settings, report, summaries, plain, population, found)


def read(settings: Mapping[str, Any], screen: Screen) -> tuple[Mapping[str, Any], Population]:
    """Load the run's population, or a sample of a large one; returns the settings with the sample's share, and it.

    A resumed run has the users that it began with. Raises SourceError and RunError.
    """
    from plus.train import select_run

    settings = select_run.sampled(settings, screen.say)
    settings, population = select_run.sampled_set(settings, load_population(settings), screen.say)
    return settings, admitted(settings, population, screen)


def train_without_summaries(
    settings: Mapping[str, Any], data: SelectData, embeddings: Embeddings, budget: SelectSettings, screen: Screen
) -> EmbeddingRewardModel:
    """Train Bradley-Terry, the same reward model without any text, and save it in the run folder."""
    from plus.models.run import save_embedding_reward_model
    from plus.train.select import train_on_texts

    with screen.status("training without summaries"):
        plain = train_on_texts(data, embeddings, budget, lambda histories: [""] * len(histories), int(settings["seed"]))
        folder = Path(settings["output_dir"]) / "bradley_terry"
        save_embedding_reward_model(folder, plain, settings["embedding_model"])
    return plain


def judged(
    population: Population,
    summarizer: ExtractiveSummarizer | SelectThenWrite,
    reward_model: EmbeddingRewardModel,
    plain: EmbeddingRewardModel,
    folder: Path,
) -> tuple[dict[str, str], Evaluation, dict[str, Any]]:
    """Summarize every user and judge on new ones: the summaries, the evaluation, and what report.json holds of it."""
    from plus.audit.report import evaluate_models
    from plus.train import select_run

    summaries = select_run.write_summaries(folder, summarizer, population)
    cut = dict(summarizer.cut)  # Of the summaries that are kept: the audit summarizes too.
    evaluation = evaluate_models(population, reward_model, summaries, plain, summarizer)
    return summaries, evaluation, evaluation.to_json() | {"cut": cut}


def write(
    folder: Path, settings: Mapping[str, Any], report: Mapping[str, Any], predictions: Sequence[Prediction]
) -> None:
    """Write the page, report.json, the curves and the model card."""
    from plus.audit.report import write_card, write_page
    from plus.evaluate.figures import plot_curves
    from plus.jsonl import write_json

    write_page(folder, report["audit"], predictions, folder)
    write_json(folder / "report.json", report)
    plot_curves(folder)
    write_card(folder, settings, report)


def say_cut(report: Mapping[str, Any], screen: Screen) -> None:
    """Say what was cut of the summaries."""
    for what, count in report["cut"].items():
        screen.say(f"cut: {count:,} {what}")


def one_user(done: SelectResult) -> dict[str, Any]:
    """Show the test user whom the summary helps most: each of its lines, and what it is worth.

    worth: by how much the mean log-likelihood of the user's choices falls, in nats, when the line is left out.
    """
    from plus.measures import accuracy, mean
    from plus.profiles.sentences import split

    model = done.selected.reward_model
    rows = [row for row in done.population.rows if row.split == "test"]

    def read(row: Context, text: str) -> list[float]:
        return model.log_likelihood([text] * len(row.pairs), row.pairs)

    def gain(row: Context) -> float:
        return mean(read(row, done.summaries[row.history.user_id])) - mean(read(row, ""))

    row = max(rows, key=lambda row: (gain(row), row.history.user_id))
    text = done.summaries[row.history.user_id]
    lines, whole = [text[start:end] for start, end in split(text)], read(row, text)
    left = [read(row, "\n".join(lines[:place] + lines[place + 1 :])) for place in range(len(lines))]
    return {
        "user_id": row.history.user_id, "choices": len(row.pairs), "of_users": len(rows),
        "accuracy": accuracy(whole), "accuracy_empty": accuracy(read(row, "")),
        "lines": [
            {"text": line, "worth": round(mean(whole) - mean(rest), 4)} for line, rest in zip(lines, left, strict=True)
        ],
    }  # fmt: skip


def trust_line(found: Selected, k: int) -> str:
    """Say what the validation users found of the learned selection."""
    if found.learned is None or found.random is None:
        return "selection   no validation users, so nothing says whether the learned selection beats a random one"
    verdict = "used" if found.trusted else f"not trusted: summaries hold {k} events drawn at random instead"
    return (
        f"selection   log-likelihood of validation choices {found.learned:.3f} with {k} selected events, "
        f"{found.random:.3f} with {k} random ones; the selection is {verdict}"
    )


def selection(found: Selected, budget: SelectSettings) -> dict[str, Any]:
    """Describe the selection for report.json."""
    return {
        "events_per_summary": budget.events_per_summary, "max_completion_length": budget.max_completion_length,
        "kept_step": found.step, "trusted": found.trusted,
        "validation_log_likelihood": {"learned": found.learned, "random": found.random},
    }  # fmt: skip


def gains(
    population: Population,
    predictions: Sequence[Prediction],
    data: SelectData,
    embeddings: Embeddings,
    budget: SelectSettings,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Compare the summaries on new users: paired differences with intervals, on all and on controversial choices.

    Beside Bradley-Terry, a reward model trained on as many random events, one trained on the whole history, and the
    same reward model given another user's summary.
    """
    from plus.baselines import in_context
    from plus.evaluate.intervals import paired_difference
    from plus.evaluate.predictions import predict
    from plus.models.extractive import random_selection
    from plus.train.select import lines_of, train_on_texts

    examples = population.split("test")
    histories = [example.history for example in examples]
    rng, lines = Random(f"random-{seed}"), lines_of(budget)

    def at_random(of: Sequence[UserHistory]) -> list[str]:
        return random_selection(of, budget.events_per_summary, rng, lines)

    writers: dict[str, Callable[[Sequence[UserHistory]], list[str]]] = {
        f"random_{budget.events_per_summary}": at_random,
        "in_context": in_context.texts,
    }
    rows = {name: [p for p in predictions if p.method == name] for name in ("own", "bradley_terry", "shuffled")}
    for name, write in writers.items():
        reward_model = train_on_texts(data, embeddings, budget, write, seed)
        rows[name] = predict(name, 0, reward_model, write(histories), examples)
    own = rows.pop("own")
    slices = {ALL: [True] * len(examples), CONTROVERSIAL: controversial(data, examples)}
    found: dict[str, dict[str, Any]] = {}
    for title, kept in slices.items():
        if sum(kept) and len({e.history.user_id for e, one in zip(examples, kept, strict=True) if one}) > 1:
            mine = [p for p, one in zip(own, kept, strict=True) if one]
            found[title] = {
                f"plus - {name}": paired_difference(mine, [p for p, one in zip(of, kept, strict=True) if one])._asdict()
                for name, of in rows.items()
            }
    return found


def controversial(data: SelectData, examples: Sequence[Example]) -> list[bool]:
    """Tell which test choices are between answers that training users approved of about as often."""
    from plus.sources.folds import agreement, is_controversial

    whole = data.events or {str(number): row.history.events for number, row in enumerate(data.training)}
    shares = agreement(whole, whole, choices_of=1)
    return [is_controversial(shares, example.target) for example in examples]
