"""Run of the select engine: options, training, and the run folder that every verb reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from plus.datasets import OPTIONS
from plus.errors import SettingError, SourceError
from plus.jsonl import append_jsonl, read_json, write_json, write_jsonl
from plus.models.embeddings import MINILM, Embeddings, sentence_model
from plus.models.run import save_embedding_reward_model, save_extractive_summarizer
from plus.train import data_record, run_folder
from plus.train.select import SelectData, Selected, SelectSettings, embed, train_select
from plus.types import Population, Preference, Reaction

ENGINE = "select"
# What a run of this engine takes beside the budget and the rates (`SelectSettings`).
RUN_OPTIONS: dict[str, Any] = {
    "engine": ENGINE, "model_name_or_path": None, "dataset_name": None, "data_dir": None, "output_dir": None,
    "seed": 42, "embedding_model": MINILM, "resume_from_checkpoint": None, "user_split": "hash", **OPTIONS,
}  # fmt: skip
NEW_ANSWERS = 0.5  # more of the held-out answers than this stood in no training row: answers borrow
BORROW = 0.3


def is_meant(given: Mapping[str, Any]) -> bool:
    """Tell whether options mean the select engine: no model and no preset is named, nor a run of one resumed."""
    if any(given.get(name) is not None for name in ("model_name_or_path", "preset")):
        return False
    if given.get("resume_from_checkpoint") and given.get("output_dir"):
        config = Path(str(given["output_dir"])) / "config.json"
        return not config.exists() or read_json(config).get("engine") == ENGINE
    return True


def resolve(given: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve the options of a run: defaults < `given`; every key checked. Raises SettingError."""
    budget = {field.name: field.default for field in fields(SelectSettings)} | {"borrow": None}
    settings = {**RUN_OPTIONS, **budget, **{key: value for key, value in given.items() if value is not None}}
    for key in settings:
        if key not in RUN_OPTIONS and key not in budget:
            near = get_close_matches(key, [*RUN_OPTIONS, *budget], 1)
            hint = f"did you mean --{near[0]}?" if near else "see plus train --help"
            raise SettingError(
                f"--{key} is no option of the select engine, which runs since no model is named; {hint} "
                "A language model is named by --preset tiny or --model_name_or_path"
            )
    for key in ("dataset_name", "output_dir"):
        if settings[key] is None:
            raise SettingError(f"--{key} is missing; a run takes both: plus train FILE --output_dir RUN")
    if int(settings["events_per_summary"]) < 1 or int(settings["max_steps"]) < 1:
        raise SettingError("--events_per_summary and --max_steps need to be at least 1")
    return settings


def train(
    settings: Mapping[str, Any],
    population: Population,
    say: Callable[[str], None],
    show: Callable[[int, int, Mapping[str, Any]], None] = lambda step, total, metrics: None,
) -> tuple[Selected, SelectData, Embeddings, SelectSettings]:
    """Train on a population and save both models, metrics and the record of the data under `output_dir`.

    Raises SourceError where there is nothing to train on or the events are of a kind that this engine does not read,
    RunError when the folder is in use.
    """
    folder = Path(settings["output_dir"])
    if not settings["resume_from_checkpoint"]:
        run_folder.refuse_if_used(folder)
    data = SelectData.of(population)
    refuse(population, data)
    embeddings = Embeddings(sentence_model(settings["embedding_model"]))
    started = time.monotonic()
    embed(data, population, embeddings)
    say(f"embedded    {len(embeddings.table) - 1:,} texts in {time.monotonic() - started:.1f} s")
    budget = budget_of(settings, population, data)
    # A training takes about a minute: one that was cut short begins anew, to the same numbers.
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", settings)
    data_record.write(folder, data_record.record(population))
    (folder / "metrics.jsonl").unlink(missing_ok=True)

    def on_step(step: int, metrics: dict[str, float]) -> None:
        append_jsonl(folder / "metrics.jsonl", {"step": step, **metrics})
        show(step, budget.max_steps, metrics)

    found = train_select(data, embeddings, budget, int(settings["seed"]), on_step)
    save_extractive_summarizer(folder / "summarizer", found.summarizer, settings["embedding_model"])
    save_embedding_reward_model(folder / "reward_model", found.reward_model, settings["embedding_model"])
    return found, data, embeddings, budget


def budget_of(settings: Mapping[str, Any], population: Population, data: SelectData) -> SelectSettings:
    """Take budget and rates from settings; answers borrow where most held-out answers stood in no training row."""
    chosen = {field.name: settings[field.name] for field in fields(SelectSettings)}
    if chosen["borrow"] is None:
        known = data.known_answers()
        held = [
            text
            for row in population.rows
            if row.split != "train"
            for p in row.pairs
            for text in (p.chosen, p.rejected)
        ]
        new = sum(text not in known for text in held)
        chosen["borrow"] = BORROW if held and new > NEW_ANSWERS * len(held) else 0.0
    return SelectSettings(**chosen)


def refuse(population: Population, data: SelectData) -> None:
    """Stop where there is nothing that this engine can learn from. Raises SourceError."""
    events = [event for history in population.histories.values() for event in history.events]
    if not data.training:
        people = len(population.histories)
        raise SourceError(
            f"{population.name} has no user with a choice to train on, of {people} users; give people who chose "
            "between answers, or both liked and disliked some"
        )
    if len(tested := population.users("test")) < 2:
        raise SourceError(
            f"{population.name} has {len(tested)} test users with a choice to predict, of {len(population.histories)} "
            "users; 2 are needed to judge on, so give more people"
        )
    if events and not any(isinstance(event.content, Preference | Reaction | str) for event in events):
        raise SourceError(
            f"the past of {population.name} is unlabelled conversations, which the select engine does not read; "
            "a language model does: --model_name_or_path NAME"
        )


def write_summaries(folder: Path, found: Selected, population: Population, window: int = 2048) -> dict[str, str]:
    """Summarize every user into summaries.jsonl, a window of users at a time; returns user_id -> summary."""
    histories, texts = list(population.histories.values()), list[str]()
    for start in range(0, len(histories), window):
        texts += found.summarizer.summarize(histories[start : start + window])
    summaries = dict(zip(population.histories, texts, strict=True))
    write_jsonl(
        folder / "summaries.jsonl",
        (
            {"user_id": user, "summary": text, "events": len(population.histories[user].events)}
            for user, text in summaries.items()
        ),
    )
    return summaries


def continued(given: Mapping[str, Any]) -> dict[str, Any]:
    """Take a run's own options where `given` asks to resume one. Raises RunError when the folder holds no run."""
    if not given.get("resume_from_checkpoint"):
        return dict(given)
    folder = Path(str(given.get("output_dir")))
    return {**run_folder.read_config(folder), "output_dir": str(folder), "resume_from_checkpoint": True}
