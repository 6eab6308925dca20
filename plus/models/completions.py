"""Completions of a language model: writing them, and their log-probabilities, the vocabulary held in pieces.

`generate` is the set-up that every language model of plus shares. `completion_logprobs` is the plain pass, which every
faster one (`shared_prefix`) must equal. `chunked_head` is what a large vocabulary needs: the logits of 1,024 positions
over 49,152 words are 200 MB, and a gradient holds four of those.

Shapes: N rows, T completion tokens, L tokens of prompt and completion, P prompts of S positions, V words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

# From model, its inputs, targets_PS, temperature and "is the entropy wanted" to log-probabilities and entropy, (P, S).
Head = Callable[..., tuple[torch.Tensor, torch.Tensor | None]]
# Logits that are held at once, in numbers: 64 MiB in float32.
CHUNK = 2**24


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


def completion_logprobs(
    model: torch.nn.Module,
    ids_NL: torch.Tensor,
    attention_NL: torch.Tensor,
    length: int,
    temperature: float = 1.0,
    entropy: bool = True,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Compute log pi(token | everything before it) of the last `length` tokens of each row, and the entropy
    (in nats, without gradient) of the distribution each was drawn from: (N, T) both.

    Prompts may be padded on either side. The vocabulary is projected at those positions only.
    """
    # A prompt's padding goes to its left, away from the completion.
    rank_NL = attention_NL.clone()
    rank_NL[:, -length:] = 2
    order_NL = rank_NL.argsort(dim=1, stable=True)
    ids_NL, attention_NL = ids_NL.gather(1, order_NL), attention_NL.gather(1, order_NL)
    # Left padding must not shift absolute positions.
    positions_NL = (attention_NL.cumsum(1) - 1).clamp(min=0)
    logits_NTV = model(
        input_ids=ids_NL, attention_mask=attention_NL, position_ids=positions_NL, logits_to_keep=length + 1
    ).logits[:, :-1]
    return token_logprobs(logits_NTV, ids_NL[:, -length:], temperature, entropy)


def token_logprobs(
    logits: torch.Tensor, targets: torch.Tensor, temperature: float = 1.0, entropy: bool = True
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Compute log softmax(logits / temperature) at the targets, and the entropy, if asked for, without gradient."""
    every = (logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature).log_softmax(-1)
    logprobs = every.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    if not entropy:
        return logprobs, None
    every = every.detach()
    return logprobs, -(every.exp() * every).sum(-1)


def chunked_head(
    model: torch.nn.Module, inputs: dict[str, torch.Tensor], targets_PS: torch.Tensor, temperature: float, entropy: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Compute log-probabilities (and entropies, in nats and without gradient) of the targets at the last S positions.

    The vocabulary is projected at those positions only, `CHUNK` logits at a time; backward projects them once more
    instead of keeping them. Small vocabularies go through in one piece and keep theirs.
    """
    positions, head = targets_PS.shape[1], output_layer(model)
    if head is None or targets_PS.numel() * head.weight.shape[0] <= CHUNK:
        logits_PSV = model(**inputs, logits_to_keep=positions, use_cache=False).logits
        return token_logprobs(logits_PSV, targets_PS, temperature, entropy)
    with states_for_logits(head):
        states_PSD = model(**inputs, logits_to_keep=positions, use_cache=False).logits

    def project(states_FD: torch.Tensor, targets_F: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        return token_logprobs(head(states_FD), targets_F, temperature, entropy)

    # F positions of all prompts at a time.
    size = max(1, CHUNK // head.weight.shape[0])
    pieces = zip(states_PSD.flatten(0, 1).split(size), targets_PS.flatten().split(size), strict=True)
    graph = torch.is_grad_enabled() and (states_PSD.requires_grad or head.weight.requires_grad)
    found = [checkpoint(project, *piece, use_reentrant=False) if graph else project(*piece) for piece in pieces]
    logprobs, nats = zip(*found, strict=True)
    return torch.cat(logprobs).view_as(targets_PS), torch.cat(nats).view_as(targets_PS) if entropy else None


def output_layer(model: torch.nn.Module) -> Any:
    """Return the linear layer that projects onto the vocabulary; None where the logits are not its plain output
    (capped or scaled ones), or where there is none."""
    inner: Any = getattr(model, "module", model)  # inside DistributedDataParallel
    base = inner.get_base_model() if hasattr(inner, "get_base_model") else inner  # inside PEFT
    config = base.config.get_text_config(decoder=True)
    changed = ("final_logit_softcapping", "logit_scale", "logits_scaling", "output_multiplier", "lm_head_multiplier")
    if any(getattr(config, name, None) not in (None, 1.0) for name in changed):
        return None
    head = base.get_output_embeddings()
    return head if type(head) is torch.nn.Linear else None


@contextmanager
def states_for_logits(head: Any) -> Iterator[None]:
    """Make the model give its last states where it gives logits, inside the block."""
    head.forward = lambda states: states
    try:
        yield
    finally:
        del head.forward
