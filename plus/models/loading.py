"""Models and tokenizers from a Hub id or a folder, with errors that name the remedy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from plus.errors import ModelError

# Position ids of these begin after the pad token's, so the last ones cannot be used.
_OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet")


def load_tokenizer(name_or_path: str | Path, **kwargs: Any) -> PreTrainedTokenizerBase:
    """The tokenizer of a model; without a pad token it pads with its end-of-text token."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(name_or_path), **kwargs)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(_explain("tokenizer", name_or_path, error)) from error
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ModelError(
                f"the tokenizer of {name_or_path} has neither a pad nor an eos token; set one in its tokenizer_config.json"
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(auto_class: Any, name_or_path: str | Path, **kwargs: Any) -> PreTrainedModel:
    """`auto_class.from_pretrained`, in float32 unless told otherwise."""
    try:
        return auto_class.from_pretrained(str(name_or_path), **{"dtype": "float32", **kwargs})
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError) as error:
        raise ModelError(_explain("model", name_or_path, error)) from error


def window(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens that a model can read at once, as its configuration and its tokenizer say."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None) or sys.maxsize
    if config.model_type in _OFFSET_POSITIONS:
        positions -= (config.pad_token_id or 0) + 1
    return min(positions, tokenizer.model_max_length)


def _explain(what: str, name_or_path: str | Path, error: Exception) -> str:
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
