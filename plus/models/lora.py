"""LoRA (arXiv 2106.09685) on either model: small adapters are trained, the base never moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from peft import LoraConfig
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from plus.errors import ModelError

ALL_LINEAR = "all-linear"


def lora_config(
    model: PreTrainedModel,
    task_type: Literal["CAUSAL_LM", "SEQ_CLS"],
    r: int = 16,
    alpha: int = 32,
    dropout: float = 0.0,
    target_modules: str | Sequence[str] = ALL_LINEAR,
    fresh: Iterable[str] = (),
) -> LoraConfig:
    """Adapters on `target_modules`: names of linear layers, or "all-linear".

    `fresh` names weights that no checkpoint had: their layers are trained and saved whole, since an
    adapter on a random layer could not be loaded again. peft adds the head of a classifier by
    itself. Raises ModelError when a target matches nothing.
    """
    targets = target_modules.replace(" ", "").split(",") if isinstance(target_modules, str) else list(target_modules)
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    for target in targets if targets != [ALL_LINEAR] else []:
        if not any(f".{name}".endswith(f".{target}") for name in linear):
            kinds = sorted({name.rsplit(".", 1)[-1] for name in linear})
            raise ModelError(
                f"--lora_target_modules {target} matches no linear layer of the {model.config.model_type} model; it has {', '.join(kinds)}; all-linear takes every one"
            )
    return LoraConfig(
        task_type=task_type, r=r, lora_alpha=alpha, lora_dropout=dropout,
        target_modules=ALL_LINEAR if targets == [ALL_LINEAR] else targets,
        modules_to_save=sorted({name.rpartition(".")[0] for name in fresh}) or None,
    )  # fmt: skip
