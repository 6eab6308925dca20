"""Loading of models, tokenizers and LoRA adapters, with errors that name the remedy."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import nn
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from plus.errors import ModelError

if TYPE_CHECKING:
    from peft import LoraConfig

ALL_LINEAR = "all-linear"
_LAYER = re.compile(r"\.\d+\.")  # a module of one of the numbered layers
# Position ids of these begin after the pad token's, so the last ones cannot be used.
_OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet")


def local(name_or_path: str | Path) -> str:
    """Find a model by name: `smollm2` is fetched and a .gguf file converted, each once, into a folder of the user's
    cache; anything else is a Hub id or a folder, as it stands. Raises ModelError."""
    name = str(name_or_path)
    if name == "smollm2":
        from plus.models.smollm2 import folder  # Here: neither is needed for other models.

        return folder()
    if name.lower().endswith(".gguf") and not Path(name).is_dir():
        from plus.models.gguf import plain_folder

        return plain_folder(name)
    return name


def load_tokenizer(name_or_path: str | Path, **kwargs: Any) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer; one without a pad token pads with its end-of-text token. Raises ModelError."""
    name_or_path = local(name_or_path)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name_or_path, **kwargs)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(_explain("tokenizer", name_or_path, error)) from error
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ModelError(
                f"the tokenizer of {name_or_path} has neither a pad nor an eos token; set one in its "
                "tokenizer_config.json"
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(auto_class: Any, name_or_path: str | Path, **kwargs: Any) -> Any:
    """Call `auto_class.from_pretrained`, in float32 unless told otherwise. Raises ModelError.

    Returns a PreTrainedModel; with `output_loading_info`, a pair of it and the loading report.
    """
    name_or_path = local(name_or_path)
    try:
        return auto_class.from_pretrained(name_or_path, **{"dtype": "float32", **kwargs})
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError) as error:
        raise ModelError(_explain("model", name_or_path, error)) from error


def tokenizer_kwargs(model_init_kwargs: dict[str, Any]) -> dict[str, Any]:
    """Pick the `from_pretrained` options that a model's tokenizer takes too."""
    return {key: model_init_kwargs[key] for key in ("revision", "trust_remote_code") if key in model_init_kwargs}


def window(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """Count the tokens that a model can read at once, as its configuration and its tokenizer say."""
    positions: int = getattr(config.get_text_config(), "max_position_embeddings", None) or sys.maxsize
    if config.model_type in _OFFSET_POSITIONS:
        positions -= (config.pad_token_id or 0) + 1
    return min(positions, tokenizer.model_max_length)


def lora_config(
    model: PreTrainedModel,
    task_type: Literal["CAUSAL_LM", "SEQ_CLS"],
    r: int = 16,
    alpha: int = 32,
    dropout: float = 0.0,
    target_modules: str | Sequence[str] = ALL_LINEAR,
    fresh: Iterable[str] = (),
    layers: str | int | Sequence[int] | None = None,
) -> LoraConfig:
    """Configure LoRA (arXiv 2106.09685): small adapters are trained, the base never moves.

    target_modules: names of linear layers, or "all-linear". fresh: weights that no checkpoint had; their
    layers are trained and saved whole, since an adapter on a random layer could not be loaded again (peft
    adds the head of a classifier by itself). layers: adapt these alone, as "18-29", 29 or a list; below the
    lowest nothing is differentiated. Raises ModelError when a target or a layer matches nothing.
    """
    from peft import LoraConfig  # Seconds of imports that most never need.

    # The targets, each of which must match a linear layer.
    targets = target_modules.replace(" ", "").split(",") if isinstance(target_modules, str) else list(target_modules)
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    for target in targets if targets != [ALL_LINEAR] else []:
        if not any(f".{name}".endswith(f".{target}") for name in linear):
            kinds = sorted({name.rsplit(".", 1)[-1] for name in linear})
            raise ModelError(
                f"--lora_target_modules {target} matches no linear layer of the {model.config.model_type} model; "
                f"it has {', '.join(kinds)}; all-linear takes every one"
            )
    adapted = None if layers is None else _layers(layers, model)
    if adapted is not None and targets == [ALL_LINEAR]:  # peft takes layers beside names only.
        targets = sorted({name.rsplit(".", 1)[-1] for name in linear if _LAYER.search(name)})
    return LoraConfig(
        task_type=task_type,
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=ALL_LINEAR if targets == [ALL_LINEAR] else targets,
        layers_to_transform=adapted,
        modules_to_save=sorted({name.rpartition(".")[0] for name in fresh}) or None,
    )


def _layers(layers: str | int | Sequence[int], model: PreTrainedModel) -> list[int]:
    """The layers named by "18-29", "3,5", 29 or a list; each must be one of the model's."""
    count: int = model.config.get_text_config().num_hidden_layers
    try:
        parts = layers.split(",") if isinstance(layers, str) else [layers] if isinstance(layers, int) else layers
        ends = [[int(end) for end in str(part).split("-")] for part in parts]
        found = [layer for first, *rest in ends for layer in range(first, (rest or [first])[0] + 1)]
    except ValueError:
        found = []
    if not found or max(found) >= count or min(found) < 0:
        raise ModelError(
            f"--lora_layers_to_transform {layers} names no layers of the {model.config.model_type} model, which has "
            f"0 to {count - 1}; write the upper third, say, as {count * 2 // 3}-{count - 1}"
        )
    return sorted(set(found))


def _explain(what: str, name_or_path: str | Path, error: Exception) -> str:
    """Say what was looked for, what is there, and what to give instead."""
    path = Path(name_or_path)
    if path.is_dir():
        files = sorted(entry.name for entry in path.iterdir())[:6]
        found = f"the folder holds {', '.join(files) or 'nothing'}"
    elif path.exists():
        found = "it is a file"
    else:
        found = "there is no such folder, and it could not be had from the Hub"
    reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
    return (
        f"no {what} at {name_or_path!s}: {found} ({reason}); give a Hub id or a folder written by save_pretrained, "
        "in --model_name_or_path or --reward_model_name_or_path"
    )
