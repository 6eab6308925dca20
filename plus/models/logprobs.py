"""How likely a model finds each token of a completion: the plain pass, which every faster one must equal."""

from __future__ import annotations

import torch


def completion_logprobs(
    model: torch.nn.Module,
    ids_NL: torch.Tensor,
    attention_NL: torch.Tensor,
    length: int,
    temperature: float = 1.0,
    entropy: bool = True,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """log pi(token | everything before it) of the last `length` tokens of each row, and the entropy
    (in nats, without gradient) of the distribution each was drawn from: (N, T) both.

    Prompts may be padded on either side. The vocabulary is projected at those positions only.
    """
    rank_NL = attention_NL.clone()
    rank_NL[:, -length:] = 2
    order_NL = rank_NL.argsort(dim=1, stable=True)  # A prompt's padding goes to its left, away from the completion.
    ids_NL, attention_NL = ids_NL.gather(1, order_NL), attention_NL.gather(1, order_NL)
    positions_NL = (attention_NL.cumsum(1) - 1).clamp(min=0)  # Left padding must not shift absolute positions.
    logits_NTV = model(
        input_ids=ids_NL, attention_mask=attention_NL, position_ids=positions_NL, logits_to_keep=length + 1
    ).logits[:, :-1]
    return token_logprobs(logits_NTV, ids_NL[:, -length:], temperature, entropy)


def token_logprobs(
    logits: torch.Tensor, targets: torch.Tensor, temperature: float = 1.0, entropy: bool = True
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """log softmax(logits / temperature) at the targets, and the entropy, if asked for, without gradient."""
    every = (logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature).log_softmax(-1)
    logprobs = every.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    if not entropy:
        return logprobs, None
    every = every.detach()
    return logprobs, -(every.exp() * every).sum(-1)
