"""Training job of the write engine: a language model writes about the events that the select engine selects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from plus.progress import SILENT, Screen
from plus.recipes.selecting import (
    ALL,
    JUDGING,
    EmbeddingRunResult,
    judged,
    read,
    say_cut,
    selection,
    train_without_summaries,
    trust_line,
    write,
)

if TYPE_CHECKING:
    from plus.evaluate.predictions import Prediction
    from plus.train.write_run import Written
    from plus.types import Context, Population


@dataclass(frozen=True)
class WriteResult(EmbeddingRunResult):
    """Result of the write engine: its models, and what each step of training was worth."""

    written: Written


def write_run(settings: Mapping[str, Any], screen: Screen = SILENT) -> WriteResult:
    """Train with resolved settings, or go on where a run was cut short; judge on new users and fill the run folder."""
    with screen.loading("loading torch, transformers and the sentence model"):
        from plus.train import write_run as engine
    folder, seed = Path(settings["output_dir"]), int(settings["seed"])
    # 1. The data.
    settings, population = read(settings, screen)
    # 2. The method, what each step of it was worth, and the baseline on the same rows.
    with screen.bar("plus") as show:
        done = engine.train(settings, population, screen.say, show)
    screen.say(trust_line(done.selected, done.budget.events_per_summary))
    steps = judged_steps(done.likelihoods, done.judges)
    for line in step_lines(steps):
        screen.say(line)
    if not done.kept:
        screen.say("grpo        makes validation choices less likely: both models of before it are kept")
    plain = train_without_summaries(settings, done.data, done.embeddings, done.budget, screen)
    # 3. Summaries of every user, and the verdict on new ones.
    with screen.status(JUDGING):
        summaries, evaluation, report = judged(population, done.summarizer, done.reward_model, plain, folder)
        report |= {"engine": engine.ENGINE, "steps": steps, "grpo_kept": done.kept}
        report["selection"] = selection(done.selected, done.budget)
        report["gains"] = {ALL: prose_gains(population, evaluation.predictions, done, seed)}
        write(folder, settings, report, evaluation.predictions)
        engine.finish(folder)
    say_cut(report, screen)
    return WriteResult(folder, settings, report, summaries, plain, population, done)


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
