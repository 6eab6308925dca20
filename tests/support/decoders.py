"""Random decoders of every family that shares prefixes, and of some that cannot; real float64."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

VOCABULARY = 61
SHAPE = {
    "vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "max_position_embeddings": 128,
    "initializer_range": 0.3, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2,
}  # fmt: skip
GPT2 = {
    "vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 128, "initializer_range": 0.3,
    "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2,
}  # fmt: skip
WITHOUT_HEAD_DIM = {key: value for key, value in SHAPE.items() if key != "head_dim"}
SHARING = {
    "llama": LlamaConfig(**SHAPE),
    "qwen2": Qwen2Config(**WITHOUT_HEAD_DIM),
    "qwen3": Qwen3Config(**SHAPE),
    "gpt2": GPT2Config(**GPT2),
    "gemma": GemmaConfig(**SHAPE),
}
NOT_SHARING = {
    "gemma2": (Gemma2Config(**SHAPE), "DynamicSlidingWindowLayer"),
    "gemma3": (Gemma3TextConfig(**SHAPE), "DynamicSlidingWindowLayer"),
    "mistral": (MistralConfig(**SHAPE), "DynamicSlidingWindowLayer"),
    "mamba": (MambaConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, state_size=4), "no position_ids"),
}


def decoder(
    config, dtype: torch.dtype = torch.float32, attention: str = "sdpa", scale: float = 0.3, seed: int = 0
) -> PreTrainedModel:
    """A random model; a scale of 0.02 is what models are born with, where attention hardly matters."""
    torch.manual_seed(seed)
    config = copy.deepcopy(config)
    config.initializer_range = scale
    attention = {"attn_implementation": attention} if attention != "sdpa" else {}
    return AutoModelForCausalLM.from_config(config, **attention).to(dtype).eval()


def batch(
    side: str, lengths=(5, 17, 30), generations=(3, 1, 3), tokens: int = 6, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Shuffled rows of prompt and completion, ids and mask: prompts padded at `side`, completions that end
    early padded at their right, and not every prompt as often as the others."""
    generator = torch.Generator().manual_seed(seed)
    rows, masks = [], []
    for length, count in zip(lengths, generations, strict=True):
        prompt = torch.randint(3, VOCABULARY, (length,), generator=generator)
        pad = torch.zeros(max(lengths) - length, dtype=torch.long)
        for _ in range(count):
            completion = torch.randint(3, VOCABULARY, (tokens,), generator=generator)
            written = torch.arange(tokens) < torch.randint(2, tokens + 1, (1,), generator=generator)
            parts = [pad, prompt] if side == "left" else [prompt, pad]
            rows.append(torch.cat([*parts, completion * written]))
            ones = [pad, torch.ones_like(prompt)] if side == "left" else [torch.ones_like(prompt), pad]
            masks.append(torch.cat([*ones, written.long()]))
    order = torch.randperm(len(rows), generator=generator)
    return torch.stack(rows)[order], torch.stack(masks)[order]


@contextmanager
def real_float64() -> Iterator[None]:
    """Norms, rotations and softmaxes of transformers round to float32 in between, also in a float64 model,
    which alone would make two ways of adding up differ by 1e-7. Inside, they do not."""
    to, single, softmax = torch.Tensor.to, torch.Tensor.float, torch.nn.functional.softmax

    def kept_to(tensor, *args, **kwargs):
        wanted = kwargs.get("dtype", args[0] if args else None)
        return tensor if tensor.dtype == torch.float64 and wanted is torch.float32 else to(tensor, *args, **kwargs)

    def kept_softmax(tensor, *args, **kwargs):
        if tensor.dtype == torch.float64:
            kwargs.pop("dtype", None)
        return softmax(tensor, *args, **kwargs)

    def kept_float(tensor):
        return tensor if tensor.dtype == torch.float64 else single(tensor)

    with (
        patch.object(torch.Tensor, "to", kept_to),
        patch.object(torch.Tensor, "float", kept_float),
        patch.object(torch.nn.functional, "softmax", kept_softmax),
    ):
        yield
