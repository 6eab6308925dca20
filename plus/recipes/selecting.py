"""Training jobs that begin with the select engine, judged beside what they have to beat: selection, and prose.

`select_run` is real people's choices on a CPU; in `write_run` a language model then writes about what is selected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from plus.progress import SILENT, Screen

if TYPE_CHECKING:
    from plus.evaluate.predictions import Prediction
    from plus.models.embedding_reward_model import EmbeddingRewardModel
    from plus.models.embeddings import Embeddings
    from plus.train.select import SelectData, Selected, SelectSettings
    from plus.train.write_run import Written
    from plus.types import Context, Example, Population, UserHistory

ALL, CONTROVERSIAL = "all", "controversial"


@dataclass(frozen=True)
class SelectResult:
    """Result of a run of the select engine.

    report: what report.json holds. summaries: user_id -> summary, of every user. selected: both models, and whether
    the validation users trust the learned selection. population: whom it was trained and judged on.
    """

    folder: Path
    settings: Mapping[str, Any]
    report: Mapping[str, Any]
    summaries: Mapping[str, str]
    selected: Selected
    bradley_terry: EmbeddingRewardModel
    population: Population


def select_run(settings: Mapping[str, Any], screen: Screen = SILENT) -> SelectResult:
    """Train with resolved settings of the select engine, judge on new users, and fill the run folder."""
    with screen.loading("loading torch and the sentence model"):
        from plus import datasets
        from plus.audit.report import evaluate_models
        from plus.models.run import save_embedding_reward_model
        from plus.train import data_record, select_run
        from plus.train.select import train_on_texts
    folder, seed = Path(settings["output_dir"]), int(settings["seed"])
    # 1. The data.
    settings = select_run.sampled(settings, screen.say)
    population = datasets.from_settings(settings)
    if settings["resume_from_checkpoint"]:
        population = data_record.admit(folder, population, screen.say)
    describe(population, screen)
    # 2. The method, and the baseline on the same rows.
    with screen.bar("plus") as show:
        found, data, embeddings, budget = select_run.train(settings, population, screen.say, show)
    screen.say(trust_line(found, budget.events_per_summary))
    with screen.status("training without summaries"):
        plain = train_on_texts(data, embeddings, budget, lambda histories: [""] * len(histories), seed)
        save_embedding_reward_model(folder / "bradley_terry", plain, settings["embedding_model"])
    # 3. Summaries of every user, and the verdict on new ones.
    with screen.status("summarizing every user and judging on new ones"):
        summaries = select_run.write_summaries(folder, found.summarizer, population)
        cut = dict(found.summarizer.cut)
        evaluation = evaluate_models(population, found.reward_model, summaries, plain, found.summarizer)
        report = evaluation.to_json() | {"engine": select_run.ENGINE, "selection": selection(found, budget), "cut": cut}
        report["gains"] = gains(population, evaluation.predictions, data, embeddings, budget, seed)
        _write(folder, settings, report, evaluation.predictions)
    for what, count in cut.items():
        screen.say(f"cut: {count:,} {what}")
    return SelectResult(folder, settings, report, summaries, found, plain, population)


@dataclass(frozen=True)
class WriteResult:
    """Result of a run of the write engine: report is what report.json holds, summaries are user_id -> summary."""

    folder: Path
    settings: Mapping[str, Any]
    report: Mapping[str, Any]
    summaries: Mapping[str, str]
    written: Written
    bradley_terry: EmbeddingRewardModel
    population: Population


def write_run(settings: Mapping[str, Any], screen: Screen = SILENT) -> WriteResult:
    """Train with resolved settings, or go on where a run was cut short; judge on new users and fill the run folder."""
    with screen.loading("loading torch, transformers and the sentence model"):
        from plus import datasets
        from plus.audit.report import evaluate_models
        from plus.models.run import save_embedding_reward_model
        from plus.train import data_record, select_run
        from plus.train import write_run as engine
        from plus.train.select import train_on_texts
    folder, seed = Path(settings["output_dir"]), int(settings["seed"])
    # 1. The data.
    settings = select_run.sampled(settings, screen.say)
    population = datasets.from_settings(settings)
    if settings["resume_from_checkpoint"]:
        population = data_record.admit(folder, population, screen.say)
    describe(population, screen)
    # 2. The method, and the baseline on the same rows.
    with screen.bar("plus") as show:
        done = engine.train(settings, population, screen.say, show)
    screen.say(trust_line(done.selected, done.budget.events_per_summary))
    steps = judged_steps(done.likelihoods, done.judges)
    for line in step_lines(steps):
        screen.say(line)
    if not done.kept:
        screen.say("grpo        makes validation choices less likely: both models of before it are kept")
    with screen.status("training without summaries"):
        plain = train_on_texts(done.data, done.embeddings, done.budget, lambda histories: [""] * len(histories), seed)
        save_embedding_reward_model(folder / "bradley_terry", plain, settings["embedding_model"])
    # 3. Summaries of every user, and the verdict on new ones.
    with screen.status("summarizing every user and judging on new ones"):
        summaries = select_run.write_summaries(folder, done.summarizer, population)
        cut = dict(done.summarizer.cut)
        evaluation = evaluate_models(population, done.reward_model, summaries, plain, done.summarizer)
        report = evaluation.to_json() | {"engine": engine.ENGINE, "steps": steps, "grpo_kept": done.kept, "cut": cut}
        report["selection"] = selection(done.selected, done.budget)
        report["gains"] = {"all": prose_gains(population, evaluation.predictions, done, seed)}
        _write(folder, settings, report, evaluation.predictions)
        engine.finish(folder)
    for what, count in cut.items():
        screen.say(f"cut: {count:,} {what}")
    return WriteResult(folder, settings, report, summaries, done, plain, population)


def _write(
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


def describe(population: Population, screen: Screen) -> None:
    """Say what was read and what was left out."""
    for line in population.dropped.lines():
        screen.say(f"left out: {line}")
    users, choices = len(population.histories), len(population.examples)
    screen.say(f"{population.name}: {users:,} users, {choices:,} choices to predict")
    if population.best_possible is not None:
        best = f"{population.best_possible:.3f} of the test choices"
        screen.say(f"a model that draws from each context all that is in it predicts {best}")


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


def judged_steps(likelihoods: Mapping[str, Sequence[float]], judges: Sequence[Context]) -> list[dict[str, Any]]:
    """Compare each step with the one before, on the validation users' choices: mean log-likelihoods in nats, accuracy,
    and the difference with its interval over users. The reward model is that of the time: steps up to rejection share
    one, and GRPO trains it on."""
    from plus.evaluate.intervals import interval
    from plus.measures import accuracy, mean

    users = [row.history.user_id for row in judges for _ in row.pairs]
    found: list[dict[str, Any]] = []
    before: Sequence[float] | None = None
    for name, values in likelihoods.items():
        if not values:
            continue
        row: dict[str, Any] = {"step": name, "log_likelihood": mean(values), "accuracy": accuracy(values)}
        if before is not None:
            differences = ((0, user, a - b) for user, a, b in zip(users, values, before, strict=True))
            row["minus the step before"] = interval(differences)._asdict()
        found.append(row)
        before = values
    return found


def step_lines(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write the steps in lines for people."""
    if not steps:
        return ["steps       no validation users, so nothing says what a step was worth"]
    lines = ["steps       log-likelihood of validation choices, accuracy, and the difference from the step before"]
    for row in steps:
        apart = row.get("minus the step before")
        beside = "" if apart is None else f"  {apart['mean']:+.3f} [{apart['low']:+.3f}, {apart['high']:+.3f}]"
        lines.append(f"  {row['step']:<24} {row['log_likelihood']:.3f}  {row['accuracy']:.3f}{beside}")
    return lines


def prose_gains(
    population: Population, predictions: Sequence[Prediction], done: Written, seed: int
) -> dict[str, dict[str, Any]]:
    """Compare the prose on new users with what it has to beat: paired differences of accuracy, with intervals.

    Beside Bradley-Terry and another user's text, the same reward model given the selected events as lines, random ones,
    and the rule's sentences of the selected ones.
    """
    from plus.evaluate.intervals import paired_difference
    from plus.evaluate.predictions import predict
    from plus.models.extractive import random_selection
    from plus.train.select import once

    examples, selector = population.split("test"), done.summarizer.selector
    histories = [example.history for example in examples]
    rows = {name: [p for p in predictions if p.method == name] for name in ("own", "bradley_terry", "shuffled")}
    own, k = rows.pop("own"), selector.k
    texts = {
        f"extractive_{k}": once(selector.summarize, histories),
        f"random_{k}": random_selection(histories, k, Random(f"random-{seed}"), selector.lines),
        "rule": once(lambda of: done.summarizer.plain(done.summarizer.selected(of)), histories),
    }
    rows |= {name: predict(name, 0, done.reward_model, of, examples) for name, of in texts.items()}
    return {f"plus - {name}": paired_difference(own, of)._asdict() for name, of in rows.items()}
