"""Shared prefixes in attention: log-probabilities of G completions of one prompt in a single row.

A plain forward pass reads the prompt G times, once before each completion. Here a row holds

    [ context, padded at its right | completion 1 | completion 2 | ... | completion G ]

where every completion begins with the prompt's last token, counts its positions from there, and sees
the context and itself but none of the others. Nothing in the context can see what comes after it, so
the numbers are those of the plain pass, and so are the gradients: autograd adds up over the G
completions what the plain pass would add up over G copies. One ordinary forward pass does it, so
LoRA, gradient checkpointing and DistributedDataParallel need no care.

The context attends causally and needs no mask (its padding is at its end, where it sees nothing that
matters and nothing sees it), which is the fastest kernel that torch has; only the completions' rows
of the mask are written out. `prefix_attention` puts the two together.

Shapes: N rows, P distinct prompts, G completions of one prompt at most, T completion tokens,
S = G*T, C context tokens (the longest prompt but its last token), L = C + S.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from plus.models.completions import Head, chunked_head

ATTENTION = "plus_shared_prefix"


def prefix_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Compute torch's attention; where the mask has fewer rows than there are queries, the queries before
    them are a context that attends causally to itself. Query, key and value: (B, heads, L, dim)."""
    context = query.shape[2] - attention_mask.shape[2] if attention_mask is not None else 0
    if context <= 0:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    first, _ = sdpa_attention_forward(
        module, query[:, :, :context], key[:, :, :context], value[:, :, :context], None, **{**kwargs, "is_causal": True}
    )
    rest, _ = sdpa_attention_forward(module, query[:, :, context:], key, value, attention_mask, **kwargs)
    return torch.cat([first, rest], dim=1), None  # (B, L, heads, dim)


AttentionInterface.register(ATTENTION, prefix_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def obstacle(model: PreTrainedModel) -> str | None:
    """Say why this model cannot share a prefix, as far as its configuration tells; None when it can."""
    config = model.config.get_text_config(decoder=True)
    if model.config.is_encoder_decoder:
        return "it is an encoder-decoder"
    accepted = inspect.signature(type(model).forward).parameters
    if missing := [name for name in ("position_ids", "logits_to_keep", "past_key_values") if name not in accepted]:
        return f"its forward pass takes no {missing[0]}"
    try:
        kinds = {type(layer).__name__ for layer in DynamicCache(config=config).layers} - {DynamicLayer.__name__}
    except (AttributeError, KeyError, TypeError) as error:
        return f"it has no standard cache ({error})"
    if kinds:
        return f"its cache has layers of kind {', '.join(sorted(kinds))}"
    if config._attn_implementation not in (ATTENTION, "sdpa", "eager"):
        return f"its attention ({config._attn_implementation}) takes no 4-D mask; sdpa does"
    return None


def prepare(model: PreTrainedModel) -> None:
    """Let an sdpa model split a row into context and completions; all else stays as it was."""
    if model.config.get_text_config(decoder=True)._attn_implementation == "sdpa":
        model.set_attn_implementation(ATTENTION)


@dataclass(frozen=True)
class Prompts:
    """N prompts, the distinct ones packed to the left."""

    ids_PM: torch.Tensor  # padded at the right to the longest, M tokens
    lengths_P: torch.Tensor
    group_N: torch.Tensor  # which of the P each row has
    slot_N: torch.Tensor  # p*G + g, where the row's completion goes
    generations: int  # G

    @property
    def context(self) -> int:
        """C: the longest prompt but its last token, with which its completions begin."""
        return self.ids_PM.shape[1] - 1

    @property
    def last_token(self) -> torch.Tensor:
        """Each prompt's last token."""
        return self.ids_PM.gather(1, self.lengths_P.unsqueeze(1) - 1).squeeze(1)

    def seen(self) -> torch.Tensor:
        """Mark the part of the context that its completions see: all but the padding, (P, C)."""
        return torch.arange(self.context, device=self.ids_PM.device) < (self.lengths_P - 1).unsqueeze(1)

    def slots(self, values_NX: torch.Tensor) -> torch.Tensor:
        """Place (N, X) rows in (P, G*X); a prompt with fewer than G rows has zeros."""
        placed = values_NX.new_zeros(len(self.lengths_P) * self.generations, *values_NX.shape[1:])
        return placed.index_copy(0, self.slot_N, values_NX).view(len(self.lengths_P), -1, *values_NX.shape[2:])


def pack(ids_NM: torch.Tensor, mask_NM: torch.Tensor) -> Prompts:
    """Find equal prompts, padded on either side, and move each distinct one to the left."""
    # Equal prompts, and a slot for each of their completions.
    mask_NM = mask_NM.bool()
    rows = ids_NM.masked_fill(~mask_NM, -1).cpu().numpy()
    groups: dict[bytes, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(row.tobytes(), []).append(number)
    generations = max(map(len, groups.values()))
    place = {n: (p, p * generations + g) for p, members in enumerate(groups.values()) for g, n in enumerate(members)}
    group_N, slot_N = torch.tensor([place[n] for n in range(len(rows))], device=ids_NM.device).unbind(1)
    # One of each, its padding moved to the right.
    first_P = torch.tensor([members[0] for members in groups.values()], device=ids_NM.device)
    mask_PM = mask_NM[first_P]
    order_PM = mask_PM.logical_not().byte().argsort(dim=1, stable=True)  # real tokens first, in their order
    lengths_P = mask_PM.sum(1)
    ids_PM = ids_NM[first_P].gather(1, order_PM)[:, : int(lengths_P.max())]
    return Prompts(ids_PM, lengths_P, group_N, slot_N, generations)


def fold(prompts: Prompts, completion_ids_NT: torch.Tensor) -> dict[str, torch.Tensor]:
    """Lay context and completions out in rows: `input_ids` and `position_ids` (P, L), and the completions' rows of
    the `attention_mask` (P, 1, S, L), true where a completion may look."""
    generations, length, device = prompts.generations, completion_ids_NT.shape[1], completion_ids_NT.device
    inputs_NT = torch.cat([prompts.last_token[prompts.group_N].unsqueeze(1), completion_ids_NT[:, :-1]], dim=1)
    context_PC = prompts.ids_PM[:, : prompts.context]
    # A completion sees the context and its own past.
    steps_S = torch.arange(length, device=device).repeat(generations)
    owner_S = torch.arange(generations, device=device).repeat_interleave(length)
    own_SS = (owner_S.unsqueeze(1) == owner_S) & (steps_S.unsqueeze(1) >= steps_S)
    count, size = len(context_PC), len(steps_S)
    mask_PSL = torch.cat(
        [prompts.seen().unsqueeze(1).expand(-1, size, -1), own_SS.unsqueeze(0).expand(count, -1, -1)], dim=2
    )
    return {
        "input_ids": torch.cat([context_PC, prompts.slots(inputs_NT)], dim=1),
        "position_ids": torch.cat(
            [
                torch.arange(prompts.context, device=device).expand(count, -1),
                prompts.lengths_P.unsqueeze(1) - 1 + steps_S,
            ],
            dim=1,
        ),
        "attention_mask": mask_PSL.unsqueeze(1),
    }


def for_eager(mask_P1SL: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Write out the whole mask (P, 1, L, L), to be added to the scores, for attention in eager mode."""
    context = mask_P1SL.shape[3] - mask_P1SL.shape[2]
    causal_CL = torch.ones(context, mask_P1SL.shape[3], dtype=torch.bool, device=mask_P1SL.device).tril()
    mask_P1LL = torch.cat([causal_CL.expand(len(mask_P1SL), 1, -1, -1), mask_P1SL], dim=2)
    return torch.zeros_like(mask_P1LL, dtype=dtype).masked_fill(~mask_P1LL, torch.finfo(dtype).min)


def shared_logprobs(
    model: torch.nn.Module,
    ids_NL: torch.Tensor,
    attention_NL: torch.Tensor,
    length: int,
    temperature: float = 1.0,
    entropy: bool = True,
    head: Head = chunked_head,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Compute `completion_logprobs` of the last `length` tokens of each row, every distinct prompt read once:
    (N, T) both. The rows may come in any order and number; each needs a prompt of two tokens."""
    prompts = pack(ids_NL[:, :-length], attention_NL[:, :-length])
    completion_ids_NT = ids_NL[:, -length:]
    inputs = fold(prompts, completion_ids_NT)
    inner: Any = getattr(model, "module", model)  # DistributedDataParallel has no configuration of its own.
    if inner.config.get_text_config(decoder=True)._attn_implementation == "eager":
        inputs["attention_mask"] = for_eager(inputs["attention_mask"], inner.dtype)
    logprobs_PS, entropy_PS = head(model, inputs, prompts.slots(completion_ids_NT), temperature, entropy)

    def rows(values_PS: torch.Tensor) -> torch.Tensor:
        return values_PS.reshape(-1, length)[prompts.slot_N]

    return rows(logprobs_PS), None if entropy_PS is None else rows(entropy_PS)
