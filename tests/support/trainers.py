"""A small run on the pets: its configuration and its users."""

from __future__ import annotations

from plus.train.trainer import PLUSConfig
from plus.worlds import pets


def config(folder, **changes) -> PLUSConfig:
    options = {
        "output_dir": str(folder), "use_cpu": True, "bf16": False, "gradient_checkpointing": False,
        "disable_tqdm": True, "report_to": "none", "max_steps": 1, "num_generations": 4,
        "per_device_train_batch_size": 16, "max_completion_length": 16,
        "learning_rate": 1e-3, "reward_learning_rate": 1e-3, "summary_dropout": 0.0, "save_strategy": "no",
    }  # fmt: skip
    return PLUSConfig(**{**options, **changes})


def population():
    return pets.load(3, train_users=8, pairs_per_user=4, test_pairs=4)
