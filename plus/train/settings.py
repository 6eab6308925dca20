"""Settings of a run: preset, YAML file and flags resolved to one set of options, each of them checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from plus.datasets import OPTIONS
from plus.errors import SettingError
from plus.jsonl import read_json
from plus.resources import shipped
from plus.train.option_help import OF_SELECT

if TYPE_CHECKING:
    from plus.train.trainer import PLUSConfig

# What a run needs beside the trainer's own options (`PLUSConfig`): all of them travel in one open mapping, since any
# option of TRL's GRPOConfig may be in it, and config.json holds it as it is.
RUN_OPTIONS: dict[str, Any] = {
    "dataset_name": None,
    "data_dir": None,
    "preset": None,
    "model_name_or_path": None,
    "reward_model_name_or_path": None,
    "output_dir": None,
    "resume_from_checkpoint": None,
    # TRL's names (ModelConfig), for both models; the reward model's own come on top.
    "dtype": "float32",
    "attn_implementation": None,
    "reward_model_init_kwargs": None,
    "use_peft": False,
    "reward_use_peft": False,
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.0,
    "lora_target_modules": "all-linear",
    "lora_layers_to_transform": None,  # of the summarizer; peft's name
    **OPTIONS,
    "user_split": "hash",  # how new users are drawn; runs of an older plus, whose config lacks it, have "rank"
}
PRESETS: dict[str, dict[str, Any]] = {
    # What learned on pets in every seed tried (notebooks/LOG.md): 32 users x 4 summaries x 2 pairs an update.
    "tiny": {
        "model_name_or_path": "tiny", "max_prompt_length": 256, "max_completion_length": 24, "reward_max_length": 192,
        "num_generations": 4, "per_device_train_batch_size": 128, "learning_rate": 3e-4, "reward_learning_rate": 1e-3,
        "lr_scheduler_type": "constant", "max_steps": 40, "save_steps": 10, "save_total_limit": 2,
    },
}  # fmt: skip


def resolve(flags: Mapping[str, Any], config_file: Path | None = None) -> dict[str, Any]:
    """Merge defaults < preset < YAML file < flags and check every key. Raises SettingError."""
    given = {**from_yaml(config_file), **{key: value for key, value in flags.items() if value is not None}}
    # Defaults, then the preset's, then what was given.
    preset = given.get("preset")
    if preset is not None and preset not in PRESETS:
        raise SettingError(f"there is no preset {preset!r}; --preset takes {', '.join(PRESETS)}")
    settings = {**RUN_OPTIONS, **(PRESETS[preset] if preset else {}), **given}
    # Every key is an option, and the nested ones are mappings.
    known = {*RUN_OPTIONS, *_trainer_options()}
    for key in settings:
        if key in OF_SELECT:
            raise SettingError(
                f"--{key} is an option of the select engine, which runs where no model is named; leave it out, or "
                "leave out --preset and --model_name_or_path"
            )
        if key not in known:
            near = get_close_matches(key, known, 1)
            raise SettingError(
                f"unknown option --{key}" + (f"; did you mean --{near[0]}?" if near else "; see plus train --help")
            )
    for key in ("model_init_kwargs", "reward_model_init_kwargs"):
        if not isinstance(settings.get(key) or {}, dict):
            raise SettingError(
                f"--{key} is {settings[key]!r}; write what from_pretrained takes, as '{{revision: main}}'"
            )
    # The reward model starts from the summarizer's base unless another is named; three options are needed.
    if settings["reward_model_name_or_path"] is None:
        settings["reward_model_name_or_path"] = settings["model_name_or_path"]
    for key in ("dataset_name", "model_name_or_path", "output_dir"):
        if settings[key] is None:
            raise SettingError(
                f"--{key} is missing"
                + ("; for a first run on a CPU add --preset tiny" if key.startswith("model") else "")
            )
    return settings


def continued(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Take the run's own options with --resume_from_checkpoint; raises SettingError when a flag would change one."""
    if not flags.get("resume_from_checkpoint") or flags.get("output_dir") is None:
        return dict(flags)
    stored = Path(flags["output_dir"]) / "config.json"
    if not stored.exists():
        return dict(flags)
    config = read_json(stored)
    free = ("output_dir", "resume_from_checkpoint")
    changed = [
        key for key, value in flags.items() if value is not None and key not in free and config.get(key) != value
    ]
    if changed:
        now, then = flags[changed[0]], config.get(changed[0])
        raise SettingError(
            f"--{changed[0]} is {now!r} and the run was started with {then!r}; "
            "leave it out to continue, or start a new --output_dir"
        )
    # The config.json of an older plus does not say how users were split: by rank.
    return {"user_split": "rank", **config, **{key: flags[key] for key in free}}


def model_path(name: str) -> str:
    """Find a base by name: "tiny" is the one that comes with plus; anything else is a Hub id or a folder."""
    return str(shipped("tiny_base")) if name == "tiny" else name


def init_kwargs(settings: Mapping[str, Any], side: str = "model") -> dict[str, Any]:
    """Collect the `from_pretrained` options of the summarizer (side "model") or of the "reward_model"."""
    shared = {key: settings[key] for key in ("dtype", "attn_implementation") if settings.get(key) is not None}
    if settings.get("trust_remote_code"):
        shared["trust_remote_code"] = True
    return {**shared, **(settings.get(f"{side}_init_kwargs") or {})}


def trainer_config(settings: Mapping[str, Any]) -> PLUSConfig:
    """Make the `PLUSConfig` of resolved settings; on a machine without a GPU in float32 on the CPU.

    Raises SettingError for an option that TRL refuses.
    """
    import torch

    from plus.train.trainer import PLUSConfig

    options = {key: value for key, value in settings.items() if key not in RUN_OPTIONS or key == "output_dir"}
    if not torch.cuda.is_available():
        options = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, **options}
    try:
        config = PLUSConfig(**{"disable_tqdm": True, "report_to": "none", **options})
    except (TypeError, ValueError) as error:
        raise SettingError(str(error).strip().splitlines()[0]) from error
    # Between two samplings the trainer holds summaries that no checkpoint keeps.
    reuse = (config.steps_per_generation or 1) * config.num_iterations / config.gradient_accumulation_steps
    if config.save_strategy == "steps" and config.save_steps % reuse:
        raise SettingError(
            f"--save_steps is {config.save_steps:g} and summaries are sampled every {reuse:g} updates; "
            "make it a multiple, so that a resumed run continues exactly"
        )
    return config


def printable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """List every option a run would use, defaults included, without those that are None."""
    config = trainer_config(settings)
    used = {name: getattr(config, name) for name in sorted(_trainer_options())}
    resolved = {
        **settings,
        **{name: value for name, value in used.items() if isinstance(value, str | int | float | bool)},
    }
    return {key: value for key, value in resolved.items() if value is not None}


def parse_flags(arguments: list[str]) -> dict[str, Any]:
    """Parse flags: ["--learning_rate", "5e-7", "--bf16"] -> {"learning_rate": 5e-07, "bf16": True}.

    Dashes and underscores are the same; "--key=value" and a bare flag are understood. Raises SettingError.
    """
    flags: dict[str, Any] = {}
    position = 0
    while position < len(arguments):
        word, position = arguments[position], position + 1
        if not word.startswith("--"):
            raise SettingError(f"unexpected argument {word!r}; options are written --name value")
        name, equals, value = word[2:].partition("=")
        if not equals and position < len(arguments) and not arguments[position].startswith("--"):
            value, position = arguments[position], position + 1
            equals = "="
        flags[name.replace("-", "_")] = typed(value) if equals else True
    return flags


def typed(value: str) -> Any:
    """Read a flag's text as YAML does, with 5e-7 as a number."""
    try:
        read = yaml.safe_load(value)
        return float(read) if isinstance(read, str) and read[:1] in "+-.0123456789" else read
    except (yaml.YAMLError, ValueError):
        return value


def from_yaml(path: Path | None) -> dict[str, Any]:
    """Read a YAML file of options; {} without one. Raises SettingError."""
    if path is None:
        return {}
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SettingError(f"--config {path} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(read, dict):
        raise SettingError(f"--config {path} holds {type(read).__name__}; write one 'option: value' a line")
    return {key: typed(value) if isinstance(value, str) else value for key, value in read.items()}


def _trainer_options() -> set[str]:
    from plus.train.trainer import PLUSConfig

    return {field.name for field in dataclasses.fields(PLUSConfig) if field.init}
