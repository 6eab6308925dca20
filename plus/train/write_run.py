"""Run of a language model that writes for the embedding reward model: options, training, resuming, forecast."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch

from plus.errors import RunError, SettingError
from plus.jsonl import append_jsonl, keep_lines, write_json
from plus.models.embedding_reward_model import EmbeddingRewardModel
from plus.models.embeddings import Embeddings, sentence_model
from plus.models.extractive import ExtractiveSummarizer
from plus.models.language_model import LanguageModelSummarizer
from plus.models.loading import lora_config
from plus.models.prose import SelectThenWrite
from plus.models.run import save_embedding_reward_model, save_select_then_write
from plus.models.text import encode
from plus.prompts import summarizer_messages
from plus.train import data_record, estimate, run_folder, select_run
from plus.train.run_folder import REWARD, line
from plus.train.select import (
    SelectData,
    Selected,
    SelectSettings,
    embed,
    new_reward_model,
    train_select,
)  # fmt: skip
from plus.train.settings import model_path
from plus.train.write import GRPO, STAGES, WriteSettings, WriteTraining
from plus.types import Context, Population, UserHistory

ENGINE = "write"
EMBEDDINGS = "embeddings"  # what --reward_model_name_or_path says
CHECKPOINT = "checkpoint.pt"
SELECT = "select"
# Options of the select engine that keep their meaning here.
SHARED = ("events_per_summary", "pairs_per_user", "reward_learning_rate", "weight_decay", "uniform", "borrow", "share")
RUN_OPTIONS: dict[str, Any] = {
    **select_run.RUN_OPTIONS, "engine": ENGINE, "reward_model_name_or_path": EMBEDDINGS, "dtype": "float32",
    "max_prompt_length": 512, "max_completion_length": 32, "select_steps": SelectSettings.max_steps,
    "lora_r": 16, "lora_alpha": 32, "lora_target_modules": "all-linear", "lora_layers_to_transform": None,
}  # fmt: skip


@dataclass(frozen=True)
class Written:
    """Trained models of a run, what they were trained on, and how each step was judged by `judges`.

    likelihoods: step -> log-likelihood of every choice of the judges, validation users.
    """

    summarizer: SelectThenWrite
    reward_model: EmbeddingRewardModel
    selected: Selected
    data: SelectData
    embeddings: Embeddings
    budget: SelectSettings
    likelihoods: Mapping[str, list[float]]
    judges: list[Context]
    kept: bool  # whether GRPO was


def is_meant(given: Mapping[str, Any]) -> bool:
    """Tell whether options ask for it: `--reward_model_name_or_path embeddings`, or such a run is resumed."""
    if given.get("resume_from_checkpoint") and given.get("output_dir") is not None:
        return select_run.engine_of(Path(str(given["output_dir"]))) == ENGINE
    return given.get("reward_model_name_or_path") == EMBEDDINGS


def resolve(given: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve the options of a run: defaults < `given`; every key checked. Raises SettingError."""
    budget = {field.name: field.default for field in fields(SelectSettings) if field.name in SHARED}
    defaults = {**RUN_OPTIONS, **budget, "borrow": None, **{f.name: f.default for f in fields(WriteSettings)}}
    settings = {**defaults, **{key: value for key, value in given.items() if value is not None}}
    for key in settings:
        if key not in defaults:
            near = get_close_matches(key, defaults, 1)
            raise SettingError(
                f"--{key} is no option of a run whose summaries embeddings read (--reward_model_name_or_path "
                f"{EMBEDDINGS}); " + (f"did you mean --{near[0]}?" if near else "adapters are trained; leave it out")
            )
    for key in ("dataset_name", "output_dir", "model_name_or_path"):
        if settings[key] is None:
            raise SettingError(
                f"--{key} is missing; --reward_model_name_or_path {EMBEDDINGS} reads what a language model writes, as "
                "in --model_name_or_path smollm2"
            )
    least = {"num_generations": 2, "max_completion_length": 8, "events_per_summary": 1, "select_steps": 1}
    for key, value in least.items():
        if int(settings[key]) < value:
            raise SettingError(f"--{key} is {settings[key]} and needs to be at least {value}")
    return settings


def of_select(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Derive the settings of the select engine that comes first."""
    own = {field.name: field.default for field in fields(SelectSettings)} | {key: settings[key] for key in SHARED}
    return {**settings, **own, "max_steps": settings["select_steps"], "max_completion_length": select_run.TOKENS}


def shortened(settings: Mapping[str, Any], max_steps: int) -> dict[str, Any]:
    """Take settings with at most `max_steps` updates of every step, as a null run has them."""
    steps = ("select_steps", "reading_steps", "imitation_steps", "rejection_steps", "max_steps")
    return {**settings, **{name: min(int(settings[name]), max_steps) for name in steps}}


def train(
    settings: Mapping[str, Any],
    population: Population,
    say: Callable[[str], None],
    show: Callable[[int, int, Mapping[str, Any]], None] = lambda step, total, metrics: None,
) -> Written:
    """Train on a population, or go on from the checkpoint, and save both models under `output_dir`.

    Raises SourceError where there is nothing to train on, RunError when the folder is in use or the run is finished.
    """
    folder, seed = Path(settings["output_dir"]), int(settings["seed"])
    state = _checkpoint(settings, folder, say)
    data = SelectData.of(population)
    select_run.refuse(population, data)
    # 1. The writer first: what cannot be loaded leaves no folder behind. Then the embeddings.
    writer = load_writer(settings)
    _in_passes(writer, lora_config(writer.model, "CAUSAL_LM", **lora(settings)).layers_to_transform)
    budget = select_run.budget_of(of_select(settings), population, data)
    model = sentence_model(settings["embedding_model"])
    embeddings = Embeddings(model)
    if state:
        embeddings.load_state_dict(state["embeddings"])
    select_run.warn_of_scripts(model, embed(data, population, embeddings, budget), say)
    if state is None:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "config.json", settings)
        data_record.write(folder, data_record.record(population))
    log = _Log(folder, settings, show, state)
    # 2. The select engine, then the writer.
    found = untrained(data, embeddings, budget, seed)
    if state is None:
        found = train_select(data, embeddings, budget, seed, lambda step, metrics: log.add(SELECT, step, metrics))
    training = WriteTraining(data, found, writer, budget, write_settings(settings), lora(settings), seed)
    if state:
        training.load_state_dict(state)
    training.run(log.add, lambda: _save(folder / CHECKPOINT, training.state_dict()))
    # 3. Both models; the adapters are added to the weights.
    writer.merge_adapters()
    save_select_then_write(folder / "summarizer", training.summarizer, settings["embedding_model"])
    save_embedding_reward_model(folder / "reward_model", training.reward_model, settings["embedding_model"])
    return Written(
        training.summarizer, training.reward_model, found, data, embeddings, budget, training.likelihoods,
        training.judges, training.kept,
    )  # fmt: skip


def load_writer(settings: Mapping[str, Any]) -> LanguageModelSummarizer:
    """Load the language model as it came, on a GPU where there is one."""
    windows = {key: int(settings[key]) for key in ("max_prompt_length", "max_completion_length")}
    name, dtype = model_path(settings["model_name_or_path"]), {"dtype": settings["dtype"]}
    writer = LanguageModelSummarizer.from_pretrained(name, dtype, **windows)
    model: Any = writer.model
    model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    return writer


def _in_passes(writer: LanguageModelSummarizer, layers: Sequence[int] | None) -> None:
    """Have the gradient on a CPU taken in passes whose activations keep `estimate.ROOM` bytes."""
    if not torch.cuda.is_available():
        writer.tokens_per_pass = int(estimate.ROOM / estimate.kept_bytes(writer.model, layers))


def untrained(data: SelectData, embeddings: Embeddings, budget: SelectSettings, seed: int) -> Selected:
    """Make the select engine's two models without training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        reward_model, _ = new_reward_model(data, embeddings, budget)
        selector = ExtractiveSummarizer(embeddings, budget.events_per_summary, tokens=budget.max_completion_length)
    return Selected(selector, reward_model, 0)


def write_settings(settings: Mapping[str, Any]) -> WriteSettings:
    """Take the budget of the writer's steps from settings."""
    return WriteSettings(**{field.name: settings[field.name] for field in fields(WriteSettings)})


def lora(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Take the options of the adapters from settings."""
    names = {"r": "lora_r", "alpha": "lora_alpha", "target_modules": "lora_target_modules"}
    return {key: settings[name] for key, name in names.items()} | {"layers": settings["lora_layers_to_transform"]}


def train_baseline(
    settings: Mapping[str, Any],
    population: Population,
    texts: Mapping[str, str],
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> EmbeddingRewardModel:
    """Train the run's reward model anew on `texts[user_id]` for `max_steps`, as the select engine's is trained."""
    changed = {**settings, "select_steps": settings["max_steps"]}
    return select_run.train_baseline(of_select(changed), population, texts, on_step)


def forecast(settings: Mapping[str, Any], population: Population) -> list[str]:
    """Estimate sizes, the seconds of a GRPO update by two seconds of passes, and the memory; and whether it fits."""
    data = SelectData.of(population)
    select_run.refuse(population, data)
    budget = select_run.budget_of(of_select(settings), population, data)
    options, writer = write_settings(settings), load_writer(settings)
    adapters = lora_config(writer.model, "CAUSAL_LM", **lora(settings))
    _in_passes(writer, adapters.layers_to_transform)
    writer.add_adapters(adapters)
    found = untrained(data, Embeddings(sentence_model(settings["embedding_model"])), budget, int(settings["seed"]))
    # 1. The tokens of an update, with the first events of some training users.
    users, size = options.users_per_step, options.users_per_step * options.num_generations
    histories = [row.history for row in data.training[:64]]
    first = [UserHistory(h.user_id, h.events[: budget.events_per_summary]) for h in histories]
    prompts = encode(writer.tokenizer, [summarizer_messages(history) for history in first], generate=True)
    context = users * sum(min(len(ids), writer.max_prompt_length) for ids in prompts) / len(first)
    work = estimate.Work(users, size, context, size * writer.max_completion_length, 0.0)
    speed = estimate.speed(writer.model, size)
    took = estimate.seconds(work, speed, estimate.Speed(0.0, 0.0, 0.0, 0.0))  # The reader's are few.
    # 2. What holds memory.
    total, trained = estimate.count(writer.model)
    reader, _ = estimate.count(found.reward_model.model)
    held = {"program": 0.9 * estimate.GIB, "weights": 4.0 * (total + reader), "activations": work.scored * speed.kept}
    if writer.tokens_per_pass:
        held["activations"] = speed.kept * min(work.scored, max(work.scored / users, writer.tokens_per_pass))
    held["gradient and Adam"] = 12.0 * (trained + reader)
    lines = [
        f"summarizer   {total:,} parameters, {trained:,} of them trained (adapters); reads about {context / users:.0f} "
        f"tokens of {budget.events_per_summary} selected events and writes at most {writer.max_completion_length}",
        f"reward model {reader:,} parameters over {settings['embedding_model']}",
        f"updates      {budget.max_steps} select, {options.reading_steps} reading, {options.imitation_steps} "
        f"imitation, {options.rejection_steps} rejection, {options.max_steps} grpo; each of these three with {users} "
        f"users, and grpo with {options.num_generations} summaries a user",
        f"estimated    an update of grpo takes about {line({k: v for k, v in took.items() if k != REWARD})}, by passes "
        f"of {estimate.SECONDS:.0f} s on this machine as it is now",
    ]
    return lines + estimate.memory_lines(
        held, "lower --users_per_step, --num_generations or --max_prompt_length, or add --lora_layers_to_transform"
    )


class _Log:
    """metrics.jsonl of a run: a line an update of every step; a resumed run has no gap and no repeat."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        show: Callable[[int, int, Mapping[str, Any]], None],
        state: Mapping[str, Any] | None,
    ) -> None:
        self.folder, self.show = folder, show
        names = ("select_steps", "imitation_steps", "rejection_steps", "max_steps")
        steps = [int(settings[name]) for name in names]
        self.before = {name: sum(steps[:place]) for place, name in enumerate((SELECT, *STAGES))}
        self.total, self.last = sum(steps), time.monotonic()
        self._keep((state["stage"], state["step"]) if state else (-2, 0))

    def path(self, name: str) -> Path:
        """Name the file of a step's lines: what the curves show is GRPO alone."""
        return self.folder / ("metrics.jsonl" if name == GRPO else "warm_up.jsonl")

    def _keep(self, reached: tuple[int, int]) -> None:
        """Keep the lines up to the checkpoint."""
        for name in (GRPO, SELECT):
            if self.path(name).exists():
                keep_lines(self.path(name), lambda row: (self._order(row["stage"]), row["step"]) <= reached)

    def add(self, name: str, step: int, metrics: Mapping[str, float]) -> None:
        """Write the line of an update."""
        now = time.monotonic()
        append_jsonl(self.path(name), {"step": step, "stage": name, **metrics, "seconds": now - self.last})
        self.last = now
        self.show(self.before[name] + step, self.total, metrics)

    @staticmethod
    def _order(name: str) -> int:
        return -1 if name == SELECT else STAGES.index(name)


def _checkpoint(settings: Mapping[str, Any], folder: Path, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The state to go on from; None to begin. Raises RunError where there is nothing to continue or to begin."""
    if not settings["resume_from_checkpoint"]:
        run_folder.refuse_if_used(folder)
        return None
    path = folder / CHECKPOINT
    if path.exists():
        state: dict[str, Any] = torch.load(path, weights_only=True)
        where = f"update {state['step']} of {STAGES[state['stage']]}" if state["stage"] < len(STAGES) else "its end"
        say(f"continuing {folder} from {where}")
        return state
    if (folder / "report.json").exists():
        raise RunError(f"{folder} is finished: nothing is left to continue; plus evaluate {folder} judges it again")
    say(f"{folder} has no checkpoint yet: starting from its beginning")
    return None


def finish(folder: Path) -> None:
    """Remove the checkpoint of a run that is judged."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _save(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint in the place of the last one: a crash leaves one of the two."""
    scratch = path.with_suffix(".part")
    torch.save(state, scratch)
    os.replace(scratch, path)
