"""TRL's GRPOTrainer, reading each prompt once for all the completions of its group.

Three private methods of TRL 1.16 are extended: the one that generates, the one that computes
log-probabilities, and the one that cuts a generation into micro-batches
(`tests/train/test_overridden_methods.py` holds their signatures). Each falls back to TRL's own
for what is not covered here: vLLM and continuous batching (which share prefixes by themselves),
images, mixtures of experts, weights sharded by FSDP or DeepSpeed.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.configuration_utils import GenerationMode
from trl.trainer.grpo_trainer import GRPOTrainer

from plus.models.completions import chunked_head
from plus.models.shared_prefix.check import Sharing
from plus.train.run_folder import CHECK, REFERENCE, WRITING, Parts


class ReadOnceTrainer(GRPOTrainer):
    """Trainer of GRPO that reads each context once per group, exactly; `args.share_prefix = False` is the plain way."""

    args: Any  # GRPOConfig with `share_prefix`: `PLUSConfig` or `PolicyConfig`
    _buffered_inputs: Any  # a list of batches between two generations

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        reason = "its weights are sharded, where this was never measured" if sharded else None
        model: Any = self.model
        self.sharing = Sharing(model, self.args.share_prefix, reason)
        self.parts = Parts()

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, multimodal_fields: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Decide by the first prompts whether this model shares; then generate as TRL does."""
        precision = torch.bfloat16 if self.args.bf16 else torch.float16 if self.args.fp16 else None
        with self.parts.part(CHECK):
            self.sharing.start(prompt_ids, precision)
        plain = self.use_vllm or images or multimodal_fields or not _one_by_one(self.generation_config)
        with self.parts.part(WRITING), nullcontext() if plain else self.sharing.generation():
            generate: Any = super()._generate_single_turn
            return generate(prompt_ids, images, multimodal_fields, *args, **kwargs)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """Keep the completions of a prompt together when a generation is cut into micro-batches."""
        buffered = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if (
            not self.sharing.on
            or self._buffered_inputs is None
            or self._buffered_inputs is buffered
            or self.args.steps_per_generation == 1
        ):
            return inputs
        self._buffered_inputs = by_prompt(self._buffered_inputs)
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _get_per_token_logps_and_entropies(
        self,
        model: torch.nn.Module,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Compute log-probabilities and entropies of the completions, each context read once where that is on.

        On a CPU TRL projects every prompt position through the vocabulary; here only the completion's are, as on
        a GPU, whether contexts are shared or not.
        """
        # What is not covered here is TRL's.
        on_cpu = self.accelerator.device.type == "cpu"
        special = any(value is not None and value is not False for value in kwargs.values())
        if special or not (on_cpu or self.sharing.on):
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **kwargs
            )
        # Micro-batches of TRL's size.
        head = chunked_head if on_cpu else fused_head
        size = batch_size or len(input_ids)
        reading = nullcontext() if torch.is_grad_enabled() else self.parts.part(REFERENCE)
        with reading, self.accelerator.autocast():
            parts = [
                self.sharing.logprobs(
                    model, input_ids[row : row + size], attention_mask[row : row + size], logits_to_keep,
                    self.temperature, compute_entropy, head,
                )
                for row in range(0, len(input_ids), size)
            ]  # fmt: skip
        logprobs_NT, entropy_NT = zip(*parts, strict=True)
        return torch.cat(logprobs_NT), torch.cat(entropy_NT) if compute_entropy else None, None


def fused_head(
    model: torch.nn.Module, inputs: dict[str, torch.Tensor], targets_PS: torch.Tensor, temperature: float, entropy: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Compute `chunked_head` by TRL's fused head, which holds the logits of a few thousand positions at a time;
    the temperature was given to it when the trainer was built."""
    positions = targets_PS.shape[1]
    labels_PL = torch.full_like(inputs["input_ids"], -100)
    labels_PL[:, -positions:] = targets_PS
    outputs = model(**inputs, shift_labels=labels_PL, fused_lm_head=True)
    return outputs.log_probs[:, -positions:], outputs.entropy[:, -positions:] if entropy else None


def by_prompt(batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort rows into as many batches of the same size, those of a prompt side by side.

    Prompts keep the order in which they first come, so the batches stay shuffled.
    """
    keys = [row.numpy().tobytes() for batch in batches for row in batch["prompt_ids"].cpu()]
    first = {key: number for number, key in reversed(list(enumerate(keys)))}
    order = sorted(range(len(keys)), key=lambda row: first[keys[row]])
    sizes = [len(batch["prompt_ids"]) for batch in batches]

    def column(name: str) -> list[Any]:
        values = [batch[name] for batch in batches]
        if values[0] is None or (isinstance(values[0], torch.Tensor) and values[0].ndim == 0):
            return values
        if isinstance(values[0], torch.Tensor):
            return list(torch.cat(values)[torch.tensor(order, device=values[0].device)].split(sizes))
        flat = [item for value in values for item in value]
        ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
        return [[flat[row] for row in order[end - size : end]] for end, size in zip(ends, sizes, strict=True)]

    columns = {name: column(name) for name in batches[0]}
    return [{name: values[number] for name, values in columns.items()} for number in range(len(batches))]


def _one_by_one(config: GenerationConfig) -> bool:
    """Whether one token follows another: no beams, nothing contrastive or assisted, no static cache."""
    one = config.get_generation_mode() in (GenerationMode.SAMPLE, GenerationMode.GREEDY_SEARCH)
    return (
        one
        and config.use_cache is not False
        and config.cache_implementation is None
        and not config.return_dict_in_generate
    )
