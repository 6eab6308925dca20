"""Generation with shared prefixes: G texts from each prompt, its cache held and read once.

`generate(..., custom_generate=shared_decode)` prepares everything as always (lengths, logits
processors, stopping); here the G samples of a prompt stand side by side in one row. Each step gives
the row G new tokens, one per sample, which see the prompt and their own past. So the cache of a
prompt is never copied G times, and every step reads it once, as one matrix product.

Shapes as in `attention.py`: N texts, P distinct prompts, G texts of one prompt, C context tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig, LogitsProcessorList, PreTrainedModel, StoppingCriteriaList
from transformers.cache_utils import DynamicLayer

from plus.models.shared_prefix.attention import Prompts, pack


class RoomyLayer(DynamicLayer):
    """Cache of one layer in a buffer that was made large enough, so that a step copies only itself.

    transformers' own layer joins old and new at every step, which copies all that it holds.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.capacity, self.length = capacity, 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append (B, heads, new, dim) and return all that is held."""
        if self.length == 0:
            self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
            self._keys, self._values = (
                t.new_empty(*t.shape[:2], self.capacity, t.shape[3]) for t in (key_states, value_states)
            )
        end = self.length + key_states.shape[2]
        self._keys[:, :, self.length : end] = key_states
        self._values[:, :, self.length : end] = value_states
        self.length = end
        self.keys, self.values = self._keys[:, :, :end], self._values[:, :, :end]
        return self.keys, self.values


@torch.no_grad()
def shared_decode(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    record: list[torch.Tensor] | None = None,
    **model_kwargs: Any,
) -> torch.Tensor:
    """Sample or take the likeliest token, as transformers' own loop does and with the same random
    draws: prompts and texts, (N, L). `record` receives the logits (N, V) of every step."""
    # The distinct prompts, each read once.
    mask_NM = model_kwargs.get("attention_mask")
    prompts = pack(input_ids, torch.ones_like(input_ids) if mask_NM is None else mask_NM)
    room = generation_config.max_length - input_ids.shape[1]
    writing = Writing(model, prompts, room)
    tokens_N = prompts.last_token[prompts.group_N]
    unfinished_N = torch.ones_like(tokens_N)
    pad = generation_config._pad_token_tensor
    ends = pad is not None and any(hasattr(criteria, "eos_token_id") for criteria in stopping_criteria)
    # One token for every text at a time.
    for _ in range(room):
        logits_NV = writing.step(tokens_N)
        if record is not None:
            record.append(logits_NV)
        ids: Any = input_ids
        scores_NV = logits_processor(ids, logits_NV.to(copy=True, dtype=torch.float32))
        if generation_config.do_sample:
            tokens_N = torch.multinomial(scores_NV.softmax(-1), num_samples=1).squeeze(1)
        else:
            tokens_N = scores_NV.argmax(-1)
        if ends and pad is not None:
            tokens_N = tokens_N * unfinished_N + pad * (1 - unfinished_N)
        input_ids = torch.cat([input_ids, tokens_N.unsqueeze(1)], dim=1)
        unfinished_N = unfinished_N & ~stopping_criteria(input_ids, None)
        if not unfinished_N.any():
            break
    return input_ids


class Writing:
    """State of one batch that is being written: the prompts' caches, and a step that extends them."""

    def __init__(self, model: PreTrainedModel, prompts: Prompts, room: int) -> None:
        self.model, self.prompts, self.written = model, prompts, 0
        self.cache = DynamicCache(config=model.config)
        capacity = prompts.context + prompts.generations * room
        self.cache.layers = [RoomyLayer(capacity) for _ in self.cache.layers]
        self.eager = model.config.get_text_config(decoder=True)._attn_implementation == "eager"
        device = prompts.ids_PM.device
        same_GG = torch.eye(prompts.generations, dtype=torch.bool, device=device)
        own_GS = same_GG.repeat(1, room)  # Step after step, G tokens each: a sample sees those of its own column.
        count = len(prompts.lengths_P)
        self.mask_PGL = torch.cat(
            [
                prompts.seen().unsqueeze(1).expand(-1, prompts.generations, -1),
                own_GS.unsqueeze(0).expand(count, -1, -1),
            ],
            dim=2,
        )
        if prompts.context:
            positions = torch.arange(prompts.context, device=device).expand(count, -1)
            self.forward(prompts.ids_PM[:, : prompts.context], positions, None)

    def step(self, tokens_N: torch.Tensor) -> torch.Tensor:
        """Append one token to every text; returns the logits (N, V) of the next."""
        prompts = self.prompts
        tokens_PG = prompts.slots(tokens_N.unsqueeze(1))
        positions_PG = (prompts.lengths_P - 1 + self.written).unsqueeze(1).expand_as(tokens_PG)
        self.written += 1
        mask_PGL = self.mask_PGL[:, :, : prompts.context + prompts.generations * self.written]
        logits_PGV = self.forward(tokens_PG, positions_PG, mask_PGL.unsqueeze(1))
        return logits_PGV.flatten(0, 1)[prompts.slot_N]

    def forward(self, ids: torch.Tensor, position_ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Take one pass through the model and into the caches. Without a mask it is the context, read
        causally, and its one projected position is not used."""
        if mask is not None and self.eager:
            mask = torch.zeros_like(mask, dtype=self.model.dtype).masked_fill(~mask, torch.finfo(self.model.dtype).min)
        logits: torch.Tensor = self.model(
            input_ids=ids,
            position_ids=position_ids,
            attention_mask=mask,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1 if mask is None else ids.shape[1],
        ).logits
        return logits
