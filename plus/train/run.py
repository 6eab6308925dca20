"""Training run: from resolved settings to trained models in a run folder. Evaluation comes after, in `plus/audit`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from peft import LoraConfig
from transformers import PreTrainedModel, PrinterCallback, ProgressCallback, TrainerCallback, set_seed

from plus.errors import RunError, SourceError
from plus.models.language_model import LanguageModelSummarizer
from plus.models.loading import lora_config
from plus.models.reward_model import RewardModel
from plus.models.text import encode
from plus.train import data_record, distributed, estimate, run_folder
from plus.train.loop import shuffled
from plus.train.reward_only import train_reward_model
from plus.train.run_folder import Health, RunLog
from plus.train.settings import init_kwargs, model_path, trainer_config
from plus.train.trainer import PLUSConfig, PLUSTrainer, coadaptation, dataset, last_checkpoint, users_per_update
from plus.types import Population


@dataclass
class Trained:
    """Trained models of a run, and the folder where they were saved. `main` is true for the one of several
    processes that saved them."""

    folder: Path
    summarizer: LanguageModelSummarizer
    reward_model: RewardModel
    main: bool = True


def start_models(settings: Mapping[str, Any]) -> tuple[LanguageModelSummarizer, RewardModel]:
    """Load the untrained pair of a run; `seed` fixes the reward model's fresh head."""
    args = trainer_config(settings)
    summarizer = LanguageModelSummarizer.from_pretrained(
        model_path(settings["model_name_or_path"]),
        init_kwargs(settings),
        max_prompt_length=args.max_prompt_length,
        max_completion_length=args.max_completion_length,
    )
    set_seed(args.seed)
    reward_model = RewardModel.from_pretrained(
        model_path(settings["reward_model_name_or_path"]),
        args.reward_max_length,
        **init_kwargs(settings, "reward_model"),
    )
    if settings["reward_use_peft"]:
        reward_model.add_adapters(adapters(settings, reward_model.model, "SEQ_CLS", reward_model.fresh))
    return summarizer, reward_model


def placed_models(settings: Mapping[str, Any]) -> tuple[LanguageModelSummarizer, RewardModel]:
    """Load the untrained pair onto the run's device, for use without the trainer, which places them itself."""
    summarizer, reward_model = start_models(settings)
    device = trainer_config(settings).device
    models: tuple[Any, Any] = summarizer.model, reward_model.model
    for model in models:
        model.to(device)
    return summarizer, reward_model


def adapters(
    settings: Mapping[str, Any],
    model: PreTrainedModel,
    task_type: Literal["CAUSAL_LM", "SEQ_CLS"],
    fresh: Sequence[str] = (),
) -> LoraConfig:
    """Configure the run's LoRA adapters for one of its models."""
    options = {key: settings[f"lora_{key}"] for key in ("r", "alpha", "dropout", "target_modules")}
    layers = settings.get("lora_layers_to_transform") if task_type == "CAUSAL_LM" else None
    return lora_config(model, task_type, fresh=fresh, layers=layers, **options)


def train(
    settings: Mapping[str, Any],
    population: Population,
    say: Callable[[str], None] = print,
    callbacks: Sequence[TrainerCallback] = (),
) -> Trained:
    """Train summarizer and reward model together and save both under `output_dir`.

    With several processes (torchrun) all return the same models, and part from each other.
    Raises RunError when the folder is in use and no `resume_from_checkpoint` is given.
    """
    # 1. The folder: to be continued, or not yet in use.
    folder = Path(settings["output_dir"])
    args = trainer_config(settings)  # Joins the other processes, where there are any.
    checkpoint = _checkpoint(settings, folder, say)
    fresh = not settings["resume_from_checkpoint"] and distributed.is_main()
    if fresh:
        run_folder.refuse_if_used(folder)
    # 2. Models and rows.
    summarizer, reward_model = start_models(settings)
    training = population.contexts("train")
    if not training:
        raise SourceError(
            f"{population.name} has no user with a choice to train on; it holds {len(population.histories)} users"
        )
    rows = dataset(training, summarizer)
    peft_config = adapters(settings, summarizer.model, "CAUSAL_LM") if settings["use_peft"] else None
    lengths = _prompt_lengths(summarizer, rows["prompt"][:200])
    args, _ = _in_micro_batches(settings, summarizer.model, lengths, say)
    if fresh:  # Only now: what could not be loaded leaves no folder behind.
        run_folder.create(folder, settings)
        data_record.write(folder, data_record.record(population))
    # 3. The trainer, with what watches it.
    trainer = PLUSTrainer(
        model=summarizer.model,
        reward_model=reward_model,
        args=args,
        train_dataset=rows,
        processing_class=summarizer.tokenizer,
        peft_config=peft_config,
    )
    for printing in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printing)  # They print to stdout, which belongs to results.
    trainer.parts.say = say
    for callback in (RunLog(folder, trainer.coadaptation), Health(say), *callbacks):
        trainer.add_callback(callback)
    assert trainer.model is not None
    summarizer.model = trainer.model  # with its adapters, where it has any
    if summarizer.tokenizer.chat_template is None:
        say(
            "the summarizer's tokenizer has no chat template: it reads plain paragraphs, which suits a base model; "
            "an instruct model should have one"
        )
    for line in estimate.sizes(summarizer.model, reward_model.model, args, lengths):
        say(line)
    # 4. Training, and both models saved.
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return _finished(trainer, summarizer, reward_model, folder, say)


def forecast(settings: Mapping[str, Any], population: Population) -> list[str]:
    """Estimate what a run will take, without starting it: sizes, seconds of an update, memory, whether it fits."""
    summarizer, reward_model = placed_models(settings)
    rows = dataset(population.contexts("train")[:200], summarizer)
    lengths = _prompt_lengths(summarizer, rows["prompt"])
    lines: list[str] = []
    args, parts = _in_micro_batches(settings, summarizer.model, lengths, lines.append)
    if settings["use_peft"]:
        summarizer.add_adapters(adapters(settings, summarizer.model, "CAUSAL_LM"))
    lines += estimate.sizes(summarizer.model, reward_model.model, args, lengths)
    return lines + estimate.forecast(summarizer.model, reward_model.model, args, lengths, parts)


def _in_micro_batches(
    settings: Mapping[str, Any], model: PreTrainedModel, lengths: Sequence[int], say: Callable[[str], None]
) -> tuple[PLUSConfig, int]:
    """The trainer's configuration, an update's gradient cut so that its activations fit on a CPU; and into how many."""
    args = trainer_config(settings)
    layers = adapters(settings, model, "CAUSAL_LM").layers_to_transform if settings["use_peft"] else None
    if args.device.type != "cpu" or any(settings.get(key) for key in ("steps_per_generation", "generation_batch_size")):
        return args, 1
    parts = estimate.micro_batches(args, estimate.work(args, lengths), estimate.kept_bytes(model, layers))
    if parts == 1:
        return args, 1
    size = args.per_device_train_batch_size // parts
    say(f"micro-batches {parts} of {size} summaries an update, equal in effect, so that their activations fit")
    cut = {"per_device_train_batch_size": size, "gradient_accumulation_steps": parts}
    return trainer_config({**settings, **cut}), parts


def _finished(
    trainer: PLUSTrainer,
    summarizer: LanguageModelSummarizer,
    reward_model: RewardModel,
    folder: Path,
    say: Callable[[str], None],
) -> Trained:
    """Save both models and say what was cut; from here on every process is on its own."""
    # 1. Both models, gathered where their weights are sharded.
    sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    if sharded:
        trainer.save_model(str(folder / "summarizer"))  # Gathers the shards: on every process.
    if distributed.is_main():
        if not sharded:
            summarizer.model.eval().save_pretrained(folder / "summarizer")
        summarizer.tokenizer.save_pretrained(folder / "summarizer")
        reward_model.save_pretrained(folder / "reward_model")
    main = distributed.is_main()
    if sharded:
        trainer.accelerator.wait_for_everyone()
        summarizer = LanguageModelSummarizer.from_pretrained(
            folder / "summarizer",
            max_prompt_length=summarizer.max_prompt_length,
            max_completion_length=summarizer.max_completion_length,
        )
    # 2. What was cut on the way.
    distributed.part()
    for count, what in [
        *((n, what) for what, n in summarizer.cut.items()),
        (len(reward_model.shortened), "answers shortened to the reward model's window"),
        (len(reward_model.made_equal), "pairs without a difference inside that window; raise --reward_max_length"),
    ]:
        if count:
            say(f"cut: {count:,} {what}")
    return Trained(folder, summarizer, reward_model, main)


def _prompt_lengths(summarizer: LanguageModelSummarizer, prompts: Sequence[Any]) -> list[int]:
    if summarizer.tokenizer.chat_template is None:
        return [len(ids) for ids in summarizer.tokenizer(list(prompts))["input_ids"]]
    return [len(ids) for ids in encode(summarizer.tokenizer, prompts, generate=True)]


def steps(settings: Mapping[str, Any], population: Population) -> int:
    """Count the updates of a run: `max_steps`, or as many as `num_train_epochs` over the training users take."""
    args = trainer_config(settings)
    if args.max_steps > 0:
        return args.max_steps
    users = users_per_update(args)
    return math.ceil(args.num_train_epochs * len(population.users("train")) / users)


def train_baseline(
    settings: Mapping[str, Any],
    population: Population,
    texts: Mapping[str, str],
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> RewardModel:
    """Train the run's reward model anew on `texts[user_id]`: same rows, budget and optimizer."""
    args = trainer_config(settings)
    _, reward_model = placed_models(settings)
    users = users_per_update(args)
    args.max_steps = steps(settings, population)
    batches = shuffled(population.contexts("train"), users, args.seed)
    train_reward_model(coadaptation(reward_model, args), texts, batches, args.max_steps, on_step)
    return reward_model


def write_summaries(folder: Path, summarizer: LanguageModelSummarizer, population: Population) -> dict[str, str]:
    """Summarize every user of the population into summaries.jsonl; returns user_id -> text."""
    texts = summarizer.summarize(list(population.histories.values()))
    return run_folder.write_summaries(folder, population, texts)


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
                f"{asked} is no checkpoint (no trainer_state.json); give a checkpoint-N folder, or "
                "--resume_from_checkpoint alone for the newest"
            )
        return Path(asked)
    newest = last_checkpoint(folder)
    say(
        f"continuing {folder} from {newest.name}"
        if newest
        else f"{folder} has no complete checkpoint yet: starting from its beginning"
    )
    return newest
