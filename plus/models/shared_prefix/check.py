"""Check of prefix sharing: both ways compared on one batch at the start, and the plain way where they differ."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from plus.models.completions import Head, chunked_head, completion_logprobs
from plus.models.shared_prefix.attention import obstacle, prepare, shared_logprobs
from plus.models.shared_prefix.decode import shared_decode

log = logging.getLogger(__name__)

# Tokens of a prompt that are compared, its end: an eighth of what an update reads, so that the check costs no more than
# an update; no fewer than 128, which is enough to see a fault.
CHECKED_TOKENS, FEWEST_TOKENS = 1024, 128
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
        self.compared_gradients = False

    def start(self, prompts: Sequence[list[int]], precision: torch.dtype | None = None, gradients: bool = True) -> None:
        """Decide, once; `gradients` are compared before the first training, and not for writing alone.

        `precision` is that of the forward pass where autocast lowers it. The random state and the gradients are left
        as they were.
        """
        if self.decided and (self.compared_gradients or not gradients or not self.on):
            return
        self.decided, self.compared_gradients = True, gradients
        base = base_of(self.model)
        self.reason = self.reason or obstacle(base) or fault(base, prompts, precision, gradients)
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
        head: Head = chunked_head,
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


def fault(
    model: PreTrainedModel, prompts: Sequence[list[int]], precision: torch.dtype | None = None, gradients: bool = True
) -> str | None:
    """Compare both ways on two of the prompts with two texts each; return what differs, or None.

    Compared are the logits it writes from, the log-probabilities of what it wrote, and with `gradients` that of
    every trained weight, each against the plain way. It takes no more time or memory than an update on the prompts.
    """
    tolerance = TOLERANCE[precision or model.dtype]
    if model.device.type == "cuda" and torch.get_float32_matmul_precision() != "highest":
        tolerance = max(tolerance, TOLERANCE[torch.float16])  # TF32 has float16's ten bits.
    training, attention = model.training, model.config.get_text_config(decoder=True)._attn_implementation
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        model.eval()  # Without dropout; checkpointing, which only saves memory, is off as well.
        with torch.random.fork_rng(devices), torch.set_grad_enabled(gradients):
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
    read = sum(len(prompt) for prompt in {tuple(prompt) for prompt in prompts})
    checked = min(CHECKED_TOKENS, max(FEWEST_TOKENS, read // 8))
    long, short = by_length[-1][-checked:], by_length[0][-checked:]
    if len(long) == len(short):
        short = short[len(short) // 3 :]
    rows = [long, short, long, short]
    ids = [[0] * (len(long) - len(row)) + row for row in rows]
    mask = [[0] * (len(long) - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _compare(model: Any, ids_NM: torch.Tensor, mask_NM: torch.Tensor, tolerance: float) -> str | None:
    # A few tokens of texts, written the shared way.
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
    # The same texts scored both ways: the plain one a row at a time, which holds the least.
    plain_NT, plain = _scored(completion_logprobs, model, ids_NL, attention_NL, weights_NT, rows=1)
    shared_NT, shared = _scored(shared_logprobs, model, ids_NL, attention_NL, weights_NT, rows=len(ids_NL))
    every_NTV = torch.stack(logits, dim=1).double().log_softmax(-1)
    written_NT = every_NTV.gather(-1, ids_NL[:, -length:].unsqueeze(-1)).squeeze(-1)
    spread = (plain_NT - plain_NT.mean()).norm()
    for what, values_NT in (("what it writes from", written_NT), ("its log-probabilities", shared_NT)):
        if not (apart := ((values_NT - plain_NT).norm() / spread).item()) <= tolerance:
            return f"read once, {what} are {apart:.1e} of their spread away from the plain ones"
    # Gradients, each against the plain one.
    total = torch.stack([_norm(g) for g in plain.values()]).norm() if plain else torch.zeros(())
    for name, gradient in plain.items():
        # A gradient that is zero but for rounding (a key's bias) is judged beside all the others.
        apart = (_norm(gradient - shared[name]) / (_norm(gradient) + 0.01 * total)).item()
        if not apart <= tolerance:
            return f"read once, the gradient of {name} is {apart:.1e} of itself away from the plain one"
    return None


def _scored(
    way: Callable[..., tuple[torch.Tensor, torch.Tensor | None]],
    model: Any,
    ids_NL: torch.Tensor,
    attention_NL: torch.Tensor,
    weights_NT: torch.Tensor,
    rows: int,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Log-probabilities, `rows` texts in a pass, and the gradient of their weighted sum for each trained weight."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad and torch.is_grad_enabled()}
    values, gradients = [], dict[str, torch.Tensor]()
    for start in range(0, len(ids_NL), rows):
        part = slice(start, start + rows)
        logprobs_NT, _ = way(model, ids_NL[part], attention_NL[part], weights_NT.shape[1], entropy=False)
        values.append(logprobs_NT.detach().double())
        if not trained:
            continue
        weighted = (logprobs_NT * weights_NT[part]).sum()
        for name, found in zip(
            trained, torch.autograd.grad(weighted, list(trained.values()), allow_unused=True), strict=True
        ):
            if found is not None:
                gradients[name] = (
                    gradients[name].add_(found)
                    if name in gradients
                    else found.to(torch.promote_types(found.dtype, torch.float32), copy=True)
                )
    return torch.cat(values), gradients


def _norm(gradient: torch.Tensor) -> torch.Tensor:
    norm: torch.Tensor = torch.linalg.vector_norm(gradient, dtype=torch.promote_types(gradient.dtype, torch.float32))
    return norm.double()
