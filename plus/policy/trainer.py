"""A response policy from rewards: supervised fine-tuning, then GRPO on many goals with a KL to the start.

TRL does both (`SFTTrainer`, `GRPOTrainer`); what is added is that every prompt carries its user's
summary, that goals are added up by `goals.py`, and that somebody watches (`watch.py`): a callback
that looks at fixed prompts may stop the run, and the checkpoint before the trouble is what remains.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PrinterCallback, ProgressCallback, TrainerCallback, set_seed
from trl import GRPOConfig, SFTConfig, SFTTrainer

from plus.jsonl import read_whole_lines, write_jsonl
from plus.models.loading import lora_config
from plus.policy.model import Asked, Policy
from plus.policy.rewards import Goals
from plus.policy.rows import to_completions, to_prompts
from plus.train import distributed
from plus.train.dataset import in_training_order
from plus.train.grpo import ReadOnceTrainer
from plus.train.run_folder import readable
from plus.train.trainer import last_checkpoint


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
    use_peft: bool = field(default=True, metadata={"help": "Train LoRA adapters; the reference is the policy without them."})  # fmt: skip
    lora_r: int = field(default=16, metadata={"help": "Rank of the adapters."})
    lora_alpha: int = field(default=32, metadata={"help": "Their scale."})


def local(options: dict[str, Any]) -> dict[str, Any]:
    """Options for this machine: without a GPU, float32 on the CPU; no bars, nothing reported to anyone."""
    cpu = {} if torch.cuda.is_available() else {"use_cpu": True, "bf16": False, "gradient_checkpointing": False}
    return {"disable_tqdm": True, "report_to": "none", **cpu, **options}


def adapters(policy: Policy, config: PolicyConfig) -> LoraConfig | None:
    """The adapters of a run; None to move every weight."""
    return lora_config(policy.model, "CAUSAL_LM", config.lora_r, config.lora_alpha) if config.use_peft else None


def fine_tune(
    policy: Policy, asked: Sequence[Asked], texts: Sequence[str], config: PolicyConfig, epochs: float = 1.0,
    batch_size: int = 32,
) -> None:  # fmt: skip
    """Supervised fine-tuning on answers (the classic first step); the policy is changed in place."""
    options = local({
        "output_dir": str(config.output_dir), "num_train_epochs": epochs, "per_device_train_batch_size": batch_size,
        "learning_rate": config.learning_rate, "seed": config.seed, "save_strategy": "no", "logging_strategy": "no",
        "lr_scheduler_type": "constant", "max_length": policy.room + policy.max_completion_length,
    })  # fmt: skip
    set_seed(config.seed)
    trainer = SFTTrainer(
        policy.model, args=SFTConfig(**options), train_dataset=to_completions(asked, texts, policy.tokenizer),
        processing_class=policy.tokenizer, peft_config=adapters(policy, config), callbacks=[],
    )  # fmt: skip
    quiet(trainer)
    trainer.train()
    policy.model = merged(trainer.model)


def optimise(
    policy: Policy, asked: Sequence[Asked], goals: Goals, config: PolicyConfig,
    callbacks: Sequence[TrainerCallback | Callable[[PolicyTrainer], TrainerCallback]] = (), resume: bool = False,
) -> PolicyTrainer:  # fmt: skip
    """GRPO on `goals.total`, the policy changed in place (adapters are merged by `Policy.save_pretrained`).

    A callback that is a function is handed the trainer first. With `resume`, the newest complete
    checkpoint of `config.output_dir` is continued, where there is one.
    """
    if not config.use_peft and config.beta:
        _write_reference(policy, Path(config.output_dir) / "reference")
    set_seed(config.seed)
    rows = to_prompts(asked, policy.tokenizer)
    trainer = PolicyTrainer(policy, goals, config, rows, adapters(policy, config))
    quiet(trainer)
    for callback in callbacks:
        trainer.add_callback(callback if isinstance(callback, TrainerCallback) else callback(trainer))
    policy.model = trainer.model
    checkpoint = last_checkpoint(config.output_dir) if resume else None
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer


class PolicyTrainer(ReadOnceTrainer):
    """TRL's GRPO on one reward function, `Goals`; rows run in an order fixed by the seed."""

    def __init__(
        self, policy: Policy, goals: Goals, args: PolicyConfig, rows: Dataset, peft_config: LoraConfig | None
    ) -> None:
        prompts = args.generation_batch_size // args.num_generations  # over all processes
        args.shuffle_dataset, args.num_train_epochs = False, 1
        args.max_completion_length = policy.max_completion_length
        rows = in_training_order(rows, args.max_steps * prompts, args.seed)
        super().__init__(
            policy.model, reward_funcs=[goals], args=args, train_dataset=rows, processing_class=policy.tokenizer,
            peft_config=peft_config,
        )  # fmt: skip
        self.goals = goals

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """The run folder's README is written once, and speaks of the goals."""


class PolicyLog(TrainerCallback):
    """metrics.jsonl; after a resume it continues without gap or repeat."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        if state.is_world_process_zero:
            rows = read_whole_lines(self.folder / "metrics.jsonl")
            write_jsonl(self.folder / "metrics.jsonl", [row for row in rows if row["step"] <= state.global_step])

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if state.is_world_process_zero and logs and "reward" in logs:
            line = {"step": state.global_step, **{"answer_length" if k == "summary_length" else k: v for k, v in readable(logs).items()}}  # fmt: skip
            with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def quiet(trainer: Any) -> None:
    """stdout belongs to results."""
    for printing in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printing)


def merged(model: Any) -> Any:
    """The model with its adapters added into its weights, ready for adapters of its own."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def frozen(policy: Policy) -> Policy:
    """A copy of the policy as it is now, which no training moves."""
    model = copy.deepcopy(policy.model).eval().requires_grad_(False)
    return Policy(model, policy.tokenizer, policy.max_completion_length, policy.tokens_per_batch)


def _write_reference(policy: Policy, folder: Path) -> None:
    """TRL reads the reference of a full fine-tuning from where the model says that it came from."""
    if distributed.is_main() and not folder.exists():
        partial = folder.with_name(".reference.partial")
        shutil.rmtree(partial, ignore_errors=True)
        policy.model.save_pretrained(partial)
        policy.tokenizer.save_pretrained(partial)
        partial.rename(folder)
    if distributed.several():
        torch.distributed.barrier()
    policy.model.config._name_or_path = str(folder)


def log_line(folder: Path, name: str, row: dict[str, Any]) -> None:
    """Add a line to a file of the run, from the one process that writes."""
    if distributed.is_main():
        rows = read_whole_lines(folder / name)
        write_jsonl(folder / name, [*(r for r in rows if r["step"] < row["step"]), row])
