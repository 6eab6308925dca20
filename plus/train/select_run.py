"""Run of the select engine: options, training, and the run folder that every verb reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from plus.datasets import OPTIONS, count_users, sample
from plus.errors import RunError, SettingError, SourceError
from plus.jsonl import append_jsonl, read_json, write_json
from plus.models.embedding_reward_model import EmbeddingRewardModel
from plus.models.embeddings import MINILM, Embeddings, SentenceModel, sentence_model
from plus.models.extractive import ExtractiveSummarizer
from plus.models.prose import SelectThenWrite
from plus.models.run import save_embedding_reward_model, save_extractive_summarizer
from plus.train import data_record, run_folder
from plus.train.option_help import OF_SELECT
from plus.train.select import SelectData, Selected, SelectSettings, embed, train_on_texts, train_select
from plus.types import Population, Preference, Reaction, Turn, UserHistory

ENGINE, LANGUAGE_MODEL = "select", "language model"
# What a run of this engine takes beside the budget and the rates (`SelectSettings`).
RUN_OPTIONS: dict[str, Any] = {
    "engine": ENGINE, "model_name_or_path": None, "dataset_name": None, "data_dir": None, "output_dir": None,
    "seed": 42, "embedding_model": MINILM, "resume_from_checkpoint": None, "user_split": "hash",
    "max_users": 10_000, "user_share": 1.0, **OPTIONS,
}  # fmt: skip
# Tokens of a summary: 100 for each of its 8 events, which no statement of the Polis conversations at hand reaches.
TOKENS = 800
LEAST_TOKENS = 20  # of an event, its labels included
SAMPLE = "training reads about {most:,} of {users:,} users, a sample by a keyed hash of their ids (--max_users)"
UNKNOWN = 0.5  # more of a text's tokens than this are unknown to the embedding model: a script that it does not read
NEW_ANSWERS = 0.5  # more of the held-out answers than this stood in no training row: answers borrow
BORROW = 0.3


def is_meant(given: Mapping[str, Any]) -> bool:
    """Tell whether options mean the select engine: no model and no preset is named, nor a run of one resumed.

    Raises RunError where a run is to be resumed by an engine that did not train it.
    """
    named = [name for name in ("model_name_or_path", "preset") if given.get(name) is not None]
    resume, folder = given.get("resume_from_checkpoint"), given.get("output_dir")
    if not resume:
        return not named
    if isinstance(resume, str) and (engine := engine_of(Path(resume))):
        raise RunError(
            f"{resume} is a run folder of the {engine} engine and no checkpoint; "
            f"continue it with --output_dir {resume} --resume_from_checkpoint, without a model or a folder"
        )
    engine = engine_of(Path(str(folder)))
    if named and engine == ENGINE:
        raise RunError(
            f"{folder} is a run of the select engine, and --{named[0]} names a language model; leave it out to "
            "continue the run, or give another --output_dir"
        )
    if engine == LANGUAGE_MODEL and (own := [name for name in OF_SELECT if given.get(name) is not None]):
        raise RunError(
            f"{folder} is a run of a language model, and --{own[0]} is an option of the select engine; leave it out to "
            "continue the run, or give another --output_dir"
        )
    return not named and engine != LANGUAGE_MODEL


def engine_of(folder: Path) -> str | None:
    """Read which engine a run folder belongs to; None where the folder holds no run."""
    path = folder / "config.json"
    config = read_json(path) if path.is_file() else {}
    if "dataset_name" not in config:  # A checkpoint's config.json is that of its model.
        return None
    return str(config.get("engine") or LANGUAGE_MODEL)


def resolve(given: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve the options of a run: defaults < `given`; every key checked. Raises SettingError."""
    budget = {field.name: field.default for field in fields(SelectSettings)}
    budget |= {"borrow": None, "max_completion_length": TOKENS}
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
    least = LEAST_TOKENS * int(settings["events_per_summary"])
    if int(settings["max_completion_length"]) < least:
        raise SettingError(
            f"--max_completion_length is {settings['max_completion_length']}, and the lines of "
            f"{settings['events_per_summary']} events need at least {least} tokens; give more, or fewer "
            "--events_per_summary"
        )
    return settings


def sampled(settings: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Take a sample of the users where there are more than `max_users`: training looks at 12,800 at most.

    The share stands in config.json as `user_share`, so that every later look reads the same users, and the same share
    of those who come. All of them are summarized by plus summarize.
    """
    most, users = int(settings["max_users"]), 0
    if settings["user_share"] == 1.0 and not settings["resume_from_checkpoint"]:
        users = count_users(settings)
    if users <= most:
        return dict(settings)
    say(SAMPLE.format(most=most, users=users) + "; plus summarize writes all their summaries")
    return {**settings, "user_share": most / users}


def sampled_set(
    settings: Mapping[str, Any], population: Population, say: Callable[[str], None]
) -> tuple[dict[str, Any], Population]:
    """Take a sample of a named set with more users than `max_users`, as `sampled` does of rows of one's own."""
    most, users = int(settings["max_users"]), len(population.histories)
    if settings["user_share"] != 1.0 or settings["resume_from_checkpoint"] or users <= most:
        return dict(settings), population
    say(SAMPLE.format(most=most, users=users))
    return {**settings, "user_share": most / users}, sample(population, most / users)


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
    budget = budget_of(settings, population, data)
    model = sentence_model(settings["embedding_model"])
    embeddings = Embeddings(model)
    started = time.monotonic()
    texts = embed(data, population, embeddings, budget)
    say(f"embedded    {len(embeddings.table) - 1:,} texts in {time.monotonic() - started:.1f} s")
    warn_of_scripts(model, texts, say)
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


def train_baseline(
    settings: Mapping[str, Any],
    population: Population,
    texts: Mapping[str, str],
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> EmbeddingRewardModel:
    """Train the run's reward model anew on `texts[user_id]`: same rows, budget and optimizer."""
    data = SelectData.of(population)
    embeddings = Embeddings(sentence_model(settings["embedding_model"]))

    def write(histories: Sequence[UserHistory]) -> list[str]:
        return [texts[history.user_id] for history in histories]

    budget = budget_of(settings, population, data)
    return train_on_texts(data, embeddings, budget, write, int(settings["seed"]), on_step)


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


def warn_of_scripts(model: SentenceModel, texts: Sequence[str], say: Callable[[str], None]) -> None:
    """Say what share of the texts are in a script that the embedding model does not know, where there are any."""
    unread = sum(share > UNKNOWN for share in model.unknown(texts))
    if unread:
        share = f"{100 * unread / len(texts):.2g}"
        say(
            f"warning: {share} % of texts are in a script that the embedding model does not know (most of their tokens "
            "are unknown to it or single letters); give --embedding_model one that reads them"
        )


def refuse(population: Population, data: SelectData) -> None:
    """Stop where there is nothing that this engine can learn from. Raises SourceError."""
    name, people = population.name, list(population.histories)
    contents = [event.content for user in people for event in population.histories[user].events]
    if len(people) == 1:
        raise SourceError(
            f"{name} has a single user, {people[0]!r}: what some people chose has to predict what others choose; give "
            "rows of more people, or name the column that tells them apart with --user_id_column"
        )
    if contents and not any(map(_is_read, contents)):
        raise SourceError(
            f"the past of {name} is unlabelled conversations, which the select engine does not read; "
            "a language model does, beside choices to predict: --model_name_or_path NAME"
        )
    chose = {row.history.user_id for row in population.rows if row.pairs}
    if len(chose) == 1:
        raise SourceError(
            f"all choices to predict of {name} are those of {next(iter(chose))!r}, one of {len(people)} users; give "
            "choices of more people"
        )
    labels = {content.label for content in contents if isinstance(content, Reaction)}
    if not chose and len(labels) == 1 and not any(isinstance(content, Preference) for content in contents):
        liked, other = ("likes", "dislikes") if labels == {True} else ("dislikes", "likes")
        raise SourceError(
            f"the reactions of {name} are all {liked}, so nothing tells one answer from another; give {other} too, or "
            "choices between two answers"
        )
    if not data.training:
        raise SourceError(
            f"{name} has no user with a choice to train on, of {len(people)} users; give people who chose "
            "between answers, or both liked and disliked some"
        )
    if len(tested := population.users("test")) < 2:
        raise SourceError(
            f"{name} has {len(tested)} test users with a choice to predict, of {len(people)} "
            "users; 2 are needed to judge on, so give more people"
        )


def _is_read(content: Preference | Reaction | str | tuple[Turn, ...]) -> bool:
    """Tell what this engine reads, remarks of the user alone included, from a conversation with an assistant."""
    return not isinstance(content, tuple) or all(turn.role == "user" for turn in content)


def write_summaries(
    folder: Path, summarizer: ExtractiveSummarizer | SelectThenWrite, population: Population, window: int = 2048
) -> dict[str, str]:
    """Summarize every user into summaries.jsonl, a window of users at a time; returns user_id -> summary."""
    histories, texts = list(population.histories.values()), list[str]()
    summarizer.cut.clear()  # Of the summaries that are kept, not of those read while training.
    for start in range(0, len(histories), window):
        texts += summarizer.summarize(histories[start : start + window])
    return run_folder.write_summaries(folder, population, texts)


def continued(given: Mapping[str, Any]) -> dict[str, Any]:
    """Take a run's own options where `given` asks to resume one.

    Raises RunError when the folder holds no run, SettingError when an option would change.
    """
    if not given.get("resume_from_checkpoint"):
        return dict(given)
    folder = Path(str(given.get("output_dir")))
    config, free = run_folder.read_config(folder), ("output_dir", "resume_from_checkpoint")
    for key, value in given.items():
        if key not in free and value is not None and config.get(key) != value:
            raise SettingError(
                f"--{key} is {value!r} and the run was started with {config.get(key)!r}; "
                "leave it out to continue, or start a new --output_dir"
            )
    return {**config, "output_dir": str(folder), "resume_from_checkpoint": True}
