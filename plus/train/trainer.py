"""PLUS on TRL: `GRPOTrainer` samples and trains the summarizer, `CoAdaptation` is its reward.

TRL and accelerate bring generation, distribution, LoRA and logging. What is added here is what a
reward callable cannot do: building the reward model's optimizer, keeping its state in every
checkpoint, and an order of rows that survives a crash.
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_scheduler
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOConfig

from plus.models.reward_model import RewardModel
from plus.train import distributed
from plus.train.coadapt import CoAdaptation
from plus.train.dataset import in_training_order
from plus.train.grpo import ReadOnceTrainer


@dataclass
class PLUSConfig(GRPOConfig):
    """TRL's `GRPOConfig` with the settings of the reward model, and defaults that learned in trials.

    `per_device_train_batch_size` counts summaries, as in TRL: users per update times
    `num_generations`. Keep 60 or more distinct pairs in an update (users x `pairs_per_user`).
    """

    beta: float = field(
        default=0.02,
        metadata={"help": "Weight of the KL to the reference. 0.1 nearly blocks learning; 0 risks a private code."},
    )
    scale_rewards: str = field(
        default="batch",
        metadata={"help": "'batch' keeps steps small while the reward model is noise; 'none' lets the KL win."},
    )
    num_generations: int | None = field(
        default=4, metadata={"help": "Summaries per user and update, compared with each other."}
    )
    per_device_train_batch_size: int = field(
        default=32, metadata={"help": "Summaries per update and device: users times num_generations."}
    )
    max_completion_length: int | None = field(
        default=256,
        metadata={"help": "Tokens a summary may have: the paper's cap. Shorter ones are read and sent more cheaply."},
    )
    max_prompt_length: int = field(
        default=4096,
        metadata={"help": "Tokens of history and instruction; the oldest events are cut first, the instruction never."},
    )
    mask_truncated_completions: bool = field(
        default=False, metadata={"help": "Leave summaries that hit the cap out of the loss."}
    )
    logging_steps: float = field(default=1, metadata={"help": "Updates between lines of metrics.jsonl."})
    reward_learning_rate: float = field(
        default=1e-5, metadata={"help": "The sharpest knob in trials: ten times too high and nothing is learned."}
    )
    reward_max_length: int = field(
        default=2048, metadata={"help": "Tokens the reward model reads; answers are cut at their end, summaries never."}
    )
    reward_tokens_per_batch: int = field(
        default=16_384, metadata={"help": "Padded tokens in one pass of the reward model; lower it to save memory."}
    )
    pairs_per_user: int = field(
        default=2, metadata={"help": "Choices of a user that test each of their summaries in one update."}
    )
    share_prefix: bool = field(
        default=True,
        metadata={"help": "Read each history once for all its summaries, exactly; false reads it once per summary."},
    )
    separate_pairs: bool = field(
        default=False, metadata={"help": "Reward and reward-model loss never share a pair: less memorising, slower."}
    )
    summary_dropout: float = field(
        default=0.05,
        metadata={
            "help": "Share of the reward model's rows whose summary is left out, so that 'empty' stays a fair control."
        },
    )


class PLUSTrainer(ReadOnceTrainer):
    """Trains a summarizer and the reward model that rewards it.

    `train_dataset` and `eval_dataset` hold the columns of `train/rows.py`. Rows run in an order
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
        users = args.generation_batch_size // args.num_generations  # over all processes
        if args.max_steps <= 0:
            args.max_steps = math.ceil(args.num_train_epochs * len(train_dataset) / users)
        args.num_train_epochs, args.shuffle_dataset = 1, False
        generations = math.ceil(
            args.max_steps * args.gradient_accumulation_steps / (args.steps_per_generation * args.num_iterations)
        )
        rows = in_training_order(train_dataset, generations * users, args.seed)
        self.coadaptation = coadaptation(reward_model, args)
        super().__init__(
            model=model, reward_funcs=[self.coadaptation], args=args, train_dataset=rows,
            eval_dataset=eval_dataset, processing_class=processing_class, **kwargs,
        )  # fmt: skip
        reward_model.model.to(self.accelerator.device)
        distributed.same_start(reward_model.model)

    def _save_checkpoint(self, model, trial) -> None:
        """The reward model goes first: `trainer_state.json`, TRL's last file, then marks the
        checkpoint complete, and older ones are rotated away only after it."""
        folder = (
            Path(self._get_output_dir(trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}" / "reward_model"
        )
        if self.args.should_save:
            shutil.rmtree(folder, ignore_errors=True)  # Left by a run that died while saving.
            folder.mkdir(parents=True)
            save_file(_trained(self.coadaptation.reward_model.model), folder / "model.safetensors")
            torch.save(self.coadaptation.state_dict(), folder / "training_state.pt")
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            folder = Path(checkpoint) / "reward_model"
            self.coadaptation.reward_model.model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
            self.coadaptation.load_state_dict(torch.load(folder / "training_state.pt", weights_only=True))

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """The run folder's README is written once, by `train/run_folder.py`, and speaks of both models."""


def coadaptation(reward_model: RewardModel, args: PLUSConfig) -> CoAdaptation:
    """The reward model's side of a run: AdamW and the scheduler of the summarizer, at its own rate."""
    reward_model.max_length = min(args.reward_max_length, reward_model.window)
    reward_model.tokens_per_batch, reward_model.bf16 = args.reward_tokens_per_batch, args.bf16
    if args.gradient_checkpointing:
        reward_model.gradient_checkpointing_enable()
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
        reward_model, optimizer, scheduler, args.pairs_per_user, args.separate_pairs,
        args.summary_dropout, args.max_grad_norm, args.seed,
    )  # fmt: skip


def last_checkpoint(output_dir: str | Path) -> Path | None:
    """The newest *complete* checkpoint of a run, or None. One that a crash cut short has no
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
