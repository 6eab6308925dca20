"""PLUS on TRL: `GRPOTrainer` samples and trains the summarizer, `CoAdaptation` is its reward.

TRL and accelerate bring generation, distribution, LoRA and logging. What is added here is what a
reward callable cannot do: building the reward model's optimizer, keeping its state in every
checkpoint, and an order of rows that survives a crash.
"""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_scheduler
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl.trainer.grpo_config import GRPOConfig

from plus.models.language_model import LanguageModelSummarizer
from plus.models.reward_model import RewardModel
from plus.models.text import as_paragraphs
from plus.train import distributed
from plus.train.coadapt import CoAdaptation
from plus.train.grpo import ReadOnceTrainer
from plus.train.option_help import HELP
from plus.train.run_folder import REWARD, Parts
from plus.types import Context


@dataclass
class PLUSConfig(GRPOConfig):
    """Configuration: TRL's `GRPOConfig` with the settings of the reward model, and defaults that learned in trials.

    `per_device_train_batch_size` counts summaries, as in TRL: users per update times
    `num_generations`. Keep 60 or more distinct pairs in an update (users x `pairs_per_user`).
    """

    beta: float = field(default=0.02, metadata={"help": HELP["beta"]})
    scale_rewards: str = field(default="batch", metadata={"help": HELP["scale_rewards"]})
    num_generations: int | None = field(default=4, metadata={"help": HELP["num_generations"]})
    per_device_train_batch_size: int = field(default=32, metadata={"help": HELP["per_device_train_batch_size"]})
    max_completion_length: int | None = field(default=256, metadata={"help": HELP["max_completion_length"]})
    max_prompt_length: int = field(default=4096, metadata={"help": HELP["max_prompt_length"]})
    mask_truncated_completions: bool = field(default=False, metadata={"help": HELP["mask_truncated_completions"]})
    logging_steps: float = field(default=1, metadata={"help": HELP["logging_steps"]})
    reward_learning_rate: float = field(default=1e-5, metadata={"help": HELP["reward_learning_rate"]})
    reward_max_length: int = field(default=2048, metadata={"help": HELP["reward_max_length"]})
    reward_tokens_per_batch: int = field(default=16_384, metadata={"help": HELP["reward_tokens_per_batch"]})
    pairs_per_user: int = field(default=2, metadata={"help": HELP["pairs_per_user"]})
    share_prefix: bool = field(default=True, metadata={"help": HELP["share_prefix"]})
    separate_pairs: bool = field(default=False, metadata={"help": HELP["separate_pairs"]})
    summary_dropout: float = field(default=0.05, metadata={"help": HELP["summary_dropout"]})


def users_per_update(args: GRPOConfig) -> int:
    """Count the users (TRL: prompts) of one update, over all processes."""
    assert args.generation_batch_size and args.num_generations, "GRPOConfig sets both"
    return args.generation_batch_size // args.num_generations


class PLUSTrainer(ReadOnceTrainer):
    """Trainer of a summarizer and of the reward model that rewards it.

    `train_dataset` and `eval_dataset` hold the columns of `dataset` below. Rows run in an order
    fixed by `args.seed`; evaluation never moves the reward model.
    """

    def __init__(
        self,
        model: PreTrainedModel | str,
        reward_model: RewardModel,
        args: PLUSConfig,
        train_dataset: Dataset,
        eval_dataset: Dataset | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        **kwargs: Any,
    ) -> None:
        # The number of updates and of samplings, and the rows in the order in which they are read.
        users = users_per_update(args)
        if args.max_steps <= 0:
            args.max_steps = math.ceil(args.num_train_epochs * len(train_dataset) / users)
        args.num_train_epochs, args.shuffle_dataset = 1, False
        passes = (args.steps_per_generation or 1) * args.num_iterations  # over the summaries of one sampling
        generations = math.ceil(args.max_steps * args.gradient_accumulation_steps / passes)
        rows = in_training_order(train_dataset, generations * users, args.seed)
        self.coadaptation = coadaptation(reward_model, args)
        parts = Parts()
        super().__init__(
            model=model,
            reward_funcs=[parts.timed(REWARD, self.coadaptation)],
            args=args,
            train_dataset=rows,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            **kwargs,
        )
        self.parts = parts
        self.add_callback(parts)
        reward_model.model.to(self.accelerator.device)
        distributed.same_start(reward_model.model)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save the reward model first: `trainer_state.json`, TRL's last file, then marks the
        checkpoint complete, and older ones are rotated away only after it."""
        folder = (
            Path(self._get_output_dir(trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}" / "reward_model"
        )
        if self.args.should_save:
            shutil.rmtree(folder, ignore_errors=True)  # Left by a run that died while saving.
            folder.mkdir(parents=True)
            save_file(_trained(self.coadaptation.reward_model.model), folder / "model.safetensors")
            torch.save(self.coadaptation.state_dict(), folder / "training_state.pt")
        super()._save_checkpoint(model, trial)  # type: ignore[no-untyped-call]

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[no-untyped-call]
        if checkpoint is not None:
            folder = Path(checkpoint) / "reward_model"
            self.coadaptation.reward_model.model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
            self.coadaptation.load_state_dict(torch.load(folder / "training_state.pt", weights_only=True))

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write none: the run folder's README is `plus/audit/run_card.py`'s, about both models."""


def dataset(contexts: Sequence[Context], summarizer: LanguageModelSummarizer) -> Dataset:
    """Make a TRL prompt-only data set: `prompt` (messages within the window, or text where the tokenizer
    has no chat template), and the columns that `CoAdaptation` reads: `user_id`, `pairs`, `split`."""
    templated = summarizer.tokenizer.chat_template is not None
    rows: list[dict[str, Any]] = [
        {
            "prompt": messages if templated else as_paragraphs(messages),
            "user_id": context.history.user_id,
            "pairs": [asdict(pair) for pair in context.pairs],
            "split": context.split,
        }
        for context in contexts
        for messages in [summarizer.messages(context.history)]
    ]
    return Dataset.from_list(rows)


def in_training_order(rows: Dataset, count: int, seed: int) -> Dataset:
    """Select `count` rows in the order of training: every row once in random order, then again.

    The order is data, not a sampler's state, so a resumed run continues it exactly, and a batch
    may be larger than the data set.
    """
    rng = random.Random(f"order-{seed}")
    order: list[int] = []
    while len(order) < count:
        order += rng.sample(range(len(rows)), len(rows))
    return rows.select(order[:count])


def coadaptation(reward_model: RewardModel, args: PLUSConfig) -> CoAdaptation:
    """Make the reward model's side of a run: AdamW and the scheduler of the summarizer, at its own rate."""
    # What the passes may take.
    reward_model.max_length = min(args.reward_max_length, reward_model.window)
    reward_model.tokens_per_batch, reward_model.bf16 = args.reward_tokens_per_batch, bool(args.bf16)
    if args.gradient_checkpointing:
        reward_model.gradient_checkpointing_enable()
    # Its optimizer and scheduler.
    parameters = [p for p in reward_model.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters,
        lr=args.reward_learning_rate,
        betas=(args.adam_beta1, args.adam_beta2),
        eps=args.adam_epsilon,
        weight_decay=args.weight_decay,
    )
    scheduler = get_scheduler(
        args.lr_scheduler_type,
        optimizer,
        num_warmup_steps=args.get_warmup_steps(args.max_steps),
        num_training_steps=args.max_steps,
    )
    return CoAdaptation(
        reward_model,
        optimizer,
        scheduler,
        pairs_per_user=args.pairs_per_user,
        separate_pairs=args.separate_pairs,
        summary_dropout=args.summary_dropout,
        max_grad_norm=args.max_grad_norm,
        seed=args.seed,
    )


def last_checkpoint(output_dir: str | Path) -> Path | None:
    """Find the newest *complete* checkpoint of a run, or None. One that a crash cut short has no
    readable `trainer_state.json`, since that file is written last."""
    found = sorted(
        Path(output_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*"), key=lambda path: int(path.name.rsplit("-", 1)[1])
    )
    return next((path for path in reversed(found) if _complete(path)), None)


def _complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return False
    return True


def _trained(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights that training moves: all of them, or the adapters and the head; tied ones once."""
    return {name: p.detach().contiguous() for name, p in model.named_parameters() if p.requires_grad}
