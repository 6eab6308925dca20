"""GRPO of a response policy on weighted goals, with a KL penalty to the policy as it started.

TRL's `GRPOTrainer` does the updates. Added here: every prompt carries its user's summary, `rewards.Goals` is the one
reward, and the callbacks of `monitor.py` may stop the run.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from trl.trainer.grpo_config import GRPOConfig

from plus.jsonl import append_jsonl, keep_lines
from plus.models.loading import lora_config
from plus.policy.model import Policy, UserPrompt, prompt_column
from plus.policy.rewards import Goals
from plus.train import distributed
from plus.train.grpo import ReadOnceTrainer
from plus.train.run_folder import readable
from plus.train.trainer import in_training_order, last_checkpoint


@dataclass
class PolicyConfig(GRPOConfig):
    """TRL's `GRPOConfig` with defaults for a response policy. LoRA unless `use_peft` is false.

    `per_device_train_batch_size` counts answers: prompts per update times `num_generations`.
    """

    beta: float = field(default=0.02, metadata={"help": "Weight of the KL to the policy as it started."})
    scale_rewards: str = field(
        default="batch", metadata={"help": "'group' blows up differences where all answers of a prompt are alike."}
    )
    num_generations: int | None = field(default=8, metadata={"help": "Answers to a prompt, compared with each other."})
    per_device_train_batch_size: int = field(
        default=64, metadata={"help": "Answers per update and device: prompts times num_generations."}
    )
    logging_steps: float = field(default=1, metadata={"help": "Updates between lines of metrics.jsonl."})
    share_prefix: bool = field(default=True, metadata={"help": "Read each prompt once for all its answers, exactly."})
    use_peft: bool = field(
        default=True, metadata={"help": "Train LoRA adapters; the reference is the policy without them."}
    )
    lora_r: int = field(default=16, metadata={"help": "Rank of the adapters."})
    lora_alpha: int = field(default=32, metadata={"help": "Their scale."})

    @property
    def folder(self) -> Path:
        """Output folder; TRL allows none, but a policy always has one."""
        assert self.output_dir is not None
        return Path(self.output_dir)

    @property
    def answers_per_prompt(self) -> int:
        """Answers to each prompt that are compared with each other."""
        return self.num_generations or 8


def local_options(options: dict[str, Any]) -> dict[str, Any]:
    """Fill in options for this machine: float32 on the CPU without a GPU, no bars, no reports to any service."""
    cpu = {} if torch.cuda.is_available() else {"use_cpu": True, "bf16": False, "gradient_checkpointing": False}
    return {"disable_tqdm": True, "report_to": "none", **cpu, **options}


def adapter_config(policy: Policy, config: PolicyConfig) -> LoraConfig | None:
    """Configure the adapters of a run; None to train every weight."""
    return lora_config(policy.model, "CAUSAL_LM", config.lora_r, config.lora_alpha) if config.use_peft else None


def prompt_rows(prompts: Sequence[UserPrompt], policy: Policy) -> Dataset:
    """Make TRL's prompt-only data set, with the columns that `Goals` reads."""
    return Dataset.from_list(
        [
            {
                "prompt": prompt_column(one, policy.tokenizer),
                "question": UserPrompt(one.prompt).messages(),
                "summary": one.summary,
                "user_id": one.user_id,
            }
            for one in prompts
        ]
    )


def optimise(
    policy: Policy,
    prompts: Sequence[UserPrompt],
    goals: Goals,
    config: PolicyConfig,
    callbacks: Sequence[TrainerCallback | Callable[[PolicyTrainer], TrainerCallback]] = (),
    resume: bool = False,
) -> PolicyTrainer:
    """Train with GRPO on `goals`; the policy is changed in place (`Policy.save_pretrained` merges adapters).

    A callback that is a function is called with the trainer and returns the callback. With `resume`, the newest
    complete checkpoint of `config.output_dir` is continued, where there is one.
    """
    if not config.use_peft and config.beta:
        _write_reference(policy, config.folder / "reference")
    # The same seed fixes adapters, order and sampling.
    set_seed(config.seed)
    trainer = PolicyTrainer(policy, goals, config, prompt_rows(prompts, policy), adapter_config(policy, config))
    quiet(trainer)
    for callback in callbacks:
        trainer.add_callback(callback if isinstance(callback, TrainerCallback) else callback(trainer))
    # The policy shares the trained weights, so that callbacks can evaluate it.
    model: Any = trainer.model  # TRL allows any module; here it is the policy's, with its adapters.
    policy.model = model
    checkpoint = last_checkpoint(config.folder) if resume else None
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer


class PolicyTrainer(ReadOnceTrainer):
    """TRL's GRPO on one reward function, `Goals`; rows run in an order fixed by the seed."""

    def __init__(
        self, policy: Policy, goals: Goals, args: PolicyConfig, rows: Dataset, peft_config: LoraConfig | None
    ) -> None:
        assert args.generation_batch_size is not None  # TRL sets it from the batch size.
        prompts = args.generation_batch_size // args.answers_per_prompt  # over all processes
        # The rows are in training order already, as many as the run needs, so one epoch without shuffling.
        args.shuffle_dataset, args.num_train_epochs = False, 1
        args.max_completion_length = policy.max_completion_length
        rows = in_training_order(rows, args.max_steps * prompts, args.seed)
        super().__init__(
            policy.model, reward_funcs=[goals], args=args, train_dataset=rows, processing_class=policy.tokenizer,
            peft_config=peft_config,
        )  # fmt: skip
        self.goals = goals

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write no card: the run folder's README is written once, at the end."""


class PolicyLog(TrainerCallback):
    """Callback that writes metrics.jsonl; after a resume it continues without gap or repeat."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            keep_lines(self.folder / "metrics.jsonl", lambda row: row["step"] <= state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if state.is_world_process_zero and logs and "reward" in logs:
            names = {"summary_length": "answer_length"}
            row = {names.get(name, name): value for name, value in readable(logs).items()}
            append_jsonl(self.folder / "metrics.jsonl", {"step": state.global_step, **row})


def quiet(trainer: Trainer) -> None:
    """Remove TRL's printing callbacks: stdout belongs to results."""
    for printing in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printing)


def frozen_copy(policy: Policy) -> Policy:
    """Copy the policy as it is now, without gradients."""
    model: PreTrainedModel = copy.deepcopy(policy.model)
    model.train(False).requires_grad_(False)
    return Policy(model, policy.tokenizer, policy.max_completion_length, policy.tokens_per_batch)


def _write_reference(policy: Policy, folder: Path) -> None:
    """Save the reference of a full fine-tuning where TRL looks for it: at the path the model came from."""
    if distributed.is_main() and not folder.exists():
        partial = folder.with_name(".reference.partial")
        shutil.rmtree(partial, ignore_errors=True)
        policy.model.save_pretrained(partial)
        policy.tokenizer.save_pretrained(partial)
        partial.rename(folder)
    if distributed.several():
        torch.distributed.barrier()
    policy.model.config._name_or_path = str(folder)
