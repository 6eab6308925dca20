"""Check of prefix sharing: both ways compared on one batch at the start, and the plain way where they differ."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from plus.models.generation import completion_logprobs
from plus.models.shared_prefix.attention import Head, logits_head, obstacle, prepare, shared_logprobs
from plus.models.shared_prefix.decode import shared_decode

log = logging.getLogger(__name__)

CHECKED_TOKENS = 1024  # of a prompt, its end: enough to see a fault, at the price of a few plain rows
WRITTEN_TOKENS = 8
# How far the two ways may be apart, as a share of what they compute: rounding, with room.
# (Norms compute in float32 whatever the model's type.)
TOLERANCE = {torch.float64: 1e-5, torch.float32: 3e-4, torch.float16: 0.02, torch.bfloat16: 0.1}


class Sharing:
    """Shared or plain passes of one model: plain until `start` has compared both on real prompts, and for good
    where they differ or the model cannot share; then one line in the log says why.
    """

    def __init__(self, model: PreTrainedModel, enabled: bool = True, reason: str | None = None) -> None:
        """Start plain; `reason` says why this model cannot share, where something beside the model decides."""
        self.model, self.on, self.reason = model, False, reason
        self.decided = not enabled

    def start(self, prompts: Sequence[list[int]], precision: torch.dtype | None = None) -> None:
        """Decide, once. `precision` is that of the forward pass where autocast lowers it.

        The random state and the gradients are left as they were.
        """
        if self.decided:
            return
        self.decided = True
        base = base_of(self.model)
        self.reason = self.reason or obstacle(base) or fault(base, prompts, precision)
        self.on = self.reason is None
        if self.reason:
            log.warning("every history is read once per summary, the plain way: %s", self.reason)

    def logprobs(
        self,
        model: torch.nn.Module,
        ids_NL: torch.Tensor,
        attention_NL: torch.Tensor,
        length: int,
        temperature: float = 1.0,
        entropy: bool = True,
        head: Head = logits_head,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Compute `completion_logprobs` under `model`: this one, wrapped or not, or one of its kind."""
        if not self.on:
            return completion_logprobs(model, ids_NL, attention_NL, length, temperature, entropy)
        prepare(base_of(model))
        return shared_logprobs(model, ids_NL, attention_NL, length, temperature, entropy, head)

    @contextmanager
    def generation(self) -> Iterator[None]:
        """Make every `model.generate` inside the block read each distinct prompt once."""
        with replaced_generate(base_of(self.model)) if self.on else nullcontext():
            yield


def base_of(model: torch.nn.Module) -> PreTrainedModel:
    """Return the transformers model inside DistributedDataParallel and PEFT."""
    inner: Any = getattr(model, "module", model)
    base: PreTrainedModel = inner.get_base_model() if hasattr(inner, "get_base_model") else inner
    return base


@contextmanager
def replaced_generate(model: Any) -> Iterator[None]:
    """Give `model.generate` `shared_decode` as its loop inside the block."""
    before = vars(model).get("generate")
    model.generate = partial(model.generate, custom_generate=shared_decode)
    try:
        yield
    finally:
        del model.generate
        if before is not None:
            model.generate = before


def fault(model: PreTrainedModel, prompts: Sequence[list[int]], precision: torch.dtype | None = None) -> str | None:
    """Compare both ways on two of the prompts with two texts each; return what differs, or None.

    Compared are the logits it writes from, the log-probabilities of what it wrote, and the gradient
    of every trained weight, each against the plain way.
    """
    tolerance = TOLERANCE[precision or model.dtype]
    if model.device.type == "cuda" and torch.get_float32_matmul_precision() != "highest":
        tolerance = max(tolerance, TOLERANCE[torch.float16])  # TF32 has float16's ten bits.
    training, attention = model.training, model.config.get_text_config(decoder=True)._attn_implementation
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        model.eval()  # Without dropout; checkpointing, which only saves memory, is off as well.
        with torch.random.fork_rng(devices), torch.enable_grad():
            found = _compare(model, *_rows(prompts, model.device), tolerance)
    except Exception as error:  # Whatever an unknown model does here, the plain way is right.
        found = f"it failed with {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    finally:
        model.train(training)
    if found and model.config.get_text_config(decoder=True)._attn_implementation != attention:
        model.set_attn_implementation(attention)
    return found


def _rows(prompts: Sequence[list[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Two prompts of different length, twice each and mixed, padded at the left: ids and mask, (4, L)."""
    by_length = sorted(prompts, key=len)
    long, short = by_length[-1][-CHECKED_TOKENS:], by_length[0][-CHECKED_TOKENS:]
    if len(long) == len(short):
        short = short[len(short) // 3 :]
    rows = [long, short, long, short]
    ids = [[0] * (len(long) - len(row)) + row for row in rows]
    mask = [[0] * (len(long) - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _compare(model: Any, ids_NM: torch.Tensor, mask_NM: torch.Tensor, tolerance: float) -> str | None:
    # Two tokens' worth of texts, written the shared way.
    prepare(model)
    logits: list[torch.Tensor] = []
    torch.manual_seed(0)
    config = GenerationConfig(
        max_new_tokens=WRITTEN_TOKENS, min_new_tokens=WRITTEN_TOKENS, do_sample=True, top_k=0, pad_token_id=0
    )
    ids_NL = model.generate(
        input_ids=ids_NM, attention_mask=mask_NM, generation_config=config, custom_generate=shared_decode, record=logits
    )
    length = ids_NL.shape[1] - ids_NM.shape[1]
    attention_NL = torch.cat([mask_NM, torch.ones_like(ids_NL[:, -length:])], dim=1)
    weights_NT = torch.randn(ids_NL.shape[0], length, device=ids_NL.device)
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def both(
        way: Callable[..., tuple[torch.Tensor, torch.Tensor | None]],
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        logprobs_NT, _ = way(model, ids_NL, attention_NL, length, entropy=False)
        gradients = (
            torch.autograd.grad((logprobs_NT * weights_NT).sum(), list(weights.values()), allow_unused=True)
            if weights
            else ()
        )
        found = {name: g.double() for name, g in zip(weights, gradients, strict=True) if g is not None}
        return logprobs_NT.detach().double(), found

    # The same texts scored both ways.
    plain_NT, plain = both(completion_logprobs)
    shared_NT, shared = both(shared_logprobs)
    every_NTV = torch.stack(logits, dim=1).double().log_softmax(-1)
    written_NT = every_NTV.gather(-1, ids_NL[:, -length:].unsqueeze(-1)).squeeze(-1)
    spread = (plain_NT - plain_NT.mean()).norm()
    for what, values_NT in (("what it writes from", written_NT), ("its log-probabilities", shared_NT)):
        if not (apart := ((values_NT - plain_NT).norm() / spread).item()) <= tolerance:
            return f"read once, {what} are {apart:.1e} of their spread away from the plain ones"
    # Gradients, each against the plain one.
    total = torch.stack([g.norm() for g in plain.values()]).norm() if plain else torch.zeros(())
    for name, gradient in plain.items():
        # A gradient that is zero but for rounding (a key's bias) is judged beside all the others.
        apart = ((gradient - shared[name]).norm() / (gradient.norm() + 0.01 * total)).item()
        if not apart <= tolerance:
            return f"read once, the gradient of {name} is {apart:.1e} of itself away from the plain one"
    return None
