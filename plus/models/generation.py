"""Generation of completions: the set-up that every language model of plus shares.

Shapes: N rows, T completion tokens, L tokens of prompt and completion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """List every token that ends a text: the tokenizer's and those the model declares, as in TRL."""
    declared = model.generation_config.eos_token_id
    declared = declared if isinstance(declared, list) else [declared]
    return list(dict.fromkeys(i for i in (tokenizer.eos_token_id, *declared) if i is not None))


@contextmanager
def random_state(seed: int) -> Iterator[None]:
    """Seed torch inside the block and restore its random state after, so that a training around it is not moved."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def evaluation_mode(model: torch.nn.Module) -> Iterator[None]:
    """Turn dropout off inside the block; the model's mode is restored after."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    temperature: float,
) -> tuple[Mapping[str, torch.Tensor], torch.Tensor]:
    """Write one completion to each prompt; temperature 0 takes the likeliest token.

    Returns the left-padded prompts (`input_ids` and `attention_mask`, each (N, L - T)) and the completions (N, T).
    """
    batch = tokenizer.pad({"input_ids": list(prompts)}, padding_side="left", return_tensors="pt").to(model.device)
    # Own settings only: a repetition penalty from the model's files would make log-probabilities wrong.
    sampling: dict[str, Any] = {"temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature > 0 else {}
    config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=temperature > 0,
        eos_token_id=end_tokens(model, tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        **sampling,
    )
    with evaluation_mode(model):
        ids_NL = model.generate(**batch, generation_config=config)  # type: ignore[operator]  # a mixin's method
    return batch, ids_NL[:, batch["input_ids"].shape[1] :]


def decode(tokenizer: PreTrainedTokenizerBase, completion_ids_NT: torch.Tensor) -> list[str]:
    """Turn completions into texts, without special tokens and white space at the ends."""
    return [text.strip() for text in tokenizer.batch_decode(completion_ids_NT, skip_special_tokens=True)]
