"""One training run, from resolved settings to a run folder. Evaluation is somebody else's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, ProgressCallback, TrainerCallback, set_seed

from plus.errors import RunError, SourceError
from plus.models.language_model import LanguageModelSummarizer
from plus.models.reward_model import RewardModel
from plus.models.text import encode
from plus.sources.population import Population
from plus.train import run_folder
from plus.train.estimate import estimate
from plus.train.health import Health
from plus.train.reward_only import train_reward_model
from plus.train.rows import contexts, dataset
from plus.train.run_folder import RunLog
from plus.train.settings import model_path, trainer_config
from plus.train.trainer import PLUSTrainer, coadaptation, last_checkpoint


@dataclass
class Trained:
    """What a run leaves in memory: both models, trained together, and where they were saved."""

    folder: Path
    summarizer: LanguageModelSummarizer
    reward_model: RewardModel


def start_models(settings: Mapping[str, Any]) -> tuple[LanguageModelSummarizer, RewardModel]:
    """The untrained pair of a run: `seed` fixes the reward model's fresh head."""
    args = trainer_config(settings)
    summarizer = LanguageModelSummarizer.from_pretrained(
        model_path(settings["model_name_or_path"]),
        max_prompt_length=args.max_prompt_length,
        max_completion_length=args.max_completion_length,
    )
    set_seed(args.seed)
    return summarizer, RewardModel.from_pretrained(
        model_path(settings["reward_model_name_or_path"]), args.reward_max_length
    )


def train(
    settings: Mapping[str, Any],
    population: Population,
    say: Callable[[str], None] = print,
    callbacks: Sequence[TrainerCallback] = (),
) -> Trained:
    """Train summarizer and reward model together and save both under `output_dir`.

    Raises RunError when the folder is in use and no `resume_from_checkpoint` is given.
    """
    folder = Path(settings["output_dir"])
    checkpoint = _checkpoint(settings, folder, say)
    fresh = not settings["resume_from_checkpoint"]
    if fresh:
        run_folder.refuse_if_used(folder)
    args = trainer_config(settings)
    summarizer, reward_model = start_models(settings)
    training = population.split("train")
    if not training:
        raise SourceError(
            f"{population.name} has no user with a choice to train on; it holds {len(population.histories)} users"
        )
    rows = dataset(training, summarizer)
    if fresh:  # Only now: what could not be loaded leaves no folder behind.
        run_folder.create(folder, settings)
    trainer = PLUSTrainer(
        model=summarizer.model, reward_model=reward_model, args=args, train_dataset=rows, processing_class=summarizer.tokenizer,
    )  # fmt: skip
    for printing in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printing)  # They print to stdout, which belongs to results.
    for callback in (RunLog(folder, trainer.coadaptation), Health(say), *callbacks):
        trainer.add_callback(callback)
    lengths = [len(ids) for ids in encode(summarizer.tokenizer, rows["prompt"][:200], generate=True)]
    for line in estimate(summarizer.model, reward_model.model, args, lengths):
        say(line)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    summarizer.model.eval()
    summarizer.model.save_pretrained(folder / "summarizer")
    summarizer.tokenizer.save_pretrained(folder / "summarizer")
    reward_model.save_pretrained(folder / "reward_model")
    for count, what in [
        *((n, what) for what, n in summarizer.cut.items()),
        (len(reward_model.shortened), "answers shortened to the reward model's window"),
        (len(reward_model.made_equal), "pairs without a difference inside that window; raise --reward_max_length"),
    ]:
        if count:
            say(f"cut: {count:,} {what}")
    return Trained(folder, summarizer, reward_model)


def steps(settings: Mapping[str, Any], population: Population) -> int:
    """Updates of a run: `max_steps`, or as many as `num_train_epochs` over the training users take."""
    args = trainer_config(settings)
    if args.max_steps > 0:
        return args.max_steps
    users = args.generation_batch_size // args.num_generations
    return math.ceil(args.num_train_epochs * len(population.users("train")) / users)


def train_baseline(
    settings: Mapping[str, Any],
    population: Population,
    texts: Mapping[str, str],
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> RewardModel:
    """The run's reward model trained anew on `texts[user_id]`: same rows, budget and optimizer."""
    args = trainer_config(settings)
    _, reward_model = start_models(settings)
    users = args.generation_batch_size // args.num_generations
    args.max_steps = steps(settings, population)
    train_reward_model(
        coadaptation(reward_model, args), texts, contexts(population.split("train")), args.max_steps, users, on_step
    )
    return reward_model


def write_summaries(folder: Path, summarizer: LanguageModelSummarizer, population: Population) -> dict[str, str]:
    """Summarize every user of the population into summaries.jsonl; returns user_id -> text."""
    texts = summarizer.summarize(list(population.histories.values()))
    summaries = dict(zip(population.histories, texts, strict=True))
    run_folder.write_jsonl(
        folder / "summaries.jsonl",
        (
            {"user_id": user, "summary": text, "events": len(population.histories[user].events)}
            for user, text in summaries.items()
        ),
    )
    return summaries


def _checkpoint(settings: Mapping[str, Any], folder: Path, say: Callable[[str], None]) -> Path | None:
    """Where to resume: a given path, or the run's newest complete checkpoint; None to begin."""
    asked = settings["resume_from_checkpoint"]
    if not asked:
        return None
    if not (folder / "config.json").exists():
        raise RunError(
            f"{folder} holds no run to continue (no config.json); leave out --resume_from_checkpoint to start one"
        )
    if asked is not True:
        if not (Path(asked) / "trainer_state.json").exists():
            raise RunError(
                f"{asked} is no checkpoint (no trainer_state.json); give a checkpoint-N folder, or --resume_from_checkpoint alone for the newest"
            )
        return Path(asked)
    newest = last_checkpoint(folder)
    say(
        f"continuing {folder} from {newest.name}"
        if newest
        else f"{folder} has no complete checkpoint yet: starting from its beginning"
    )
    return newest
