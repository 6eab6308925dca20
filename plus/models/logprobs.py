"""Log-probabilities of completions under a language model, the vocabulary held for a few positions at a time.

`completion_logprobs` is the plain pass, which every faster one (`shared_prefix`) must equal. `chunked_head` is what a
large vocabulary needs: the logits of 1,024 positions over 49,152 words are 200 MB, and a gradient holds four of those.

Shapes: N rows, T completion tokens, L tokens of prompt and completion, P prompts of S positions, V words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

# From model, its inputs, targets_PS, temperature and "is the entropy wanted" to log-probabilities and entropy, (P, S).
Head = Callable[..., tuple[torch.Tensor, torch.Tensor | None]]
# Logits that are held at once, in numbers: 64 MiB in float32.
CHUNK = 2**24


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
