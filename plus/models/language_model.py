"""A language model as summarizer: greedy texts for use, samples with log-probabilities for training."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from plus.errors import WindowError
from plus.models.completions import decode, end_tokens, generate, random_state
from plus.models.loading import load_model, load_tokenizer, tokenizer_kwargs, window
from plus.models.shared_prefix.check import Sharing
from plus.models.text import encode, fit_history
from plus.prompts import INSTRUCTION, summarizer_messages
from plus.types import Message, UserHistory

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel


class LanguageModelSummarizer:
    """Summarizer z ~ pi(. | history) from any causal language model.

    A tokenizer without a chat template gets plain paragraphs. temperature 0 writes the most likely text; above 0
    it samples, reproducibly from `seed`. `cut` counts what did not fit the window of `max_prompt_length` tokens.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        max_prompt_length: int = 4096,
        max_completion_length: int = 256,
        temperature: float = 0.0,
        instruction: str = INSTRUCTION,
        tokens_per_batch: int = 32_768,
        seed: int = 0,
    ) -> None:
        room = window(model.config, tokenizer) - max_completion_length
        if room <= 0:
            raise WindowError(
                f"the summarizer reads {room + max_completion_length} tokens at once and a summary may take "
                f"{max_completion_length}; lower --max_completion_length"
            )
        self.model, self.tokenizer = model, tokenizer
        self.max_prompt_length, self.max_completion_length = min(max_prompt_length, room), max_completion_length
        self.temperature, self.instruction = temperature, instruction
        self.tokens_per_batch, self.seed = tokens_per_batch, seed
        self.cut: Counter[str] = Counter()
        self.sampled: tuple[torch.Tensor, torch.Tensor] | None = None  # ids_NL, attention_NL of the newest sample
        self.sharing = Sharing(model)
        self.tokens_per_pass: int | None = None  # with gradient; None: all in one pass

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, model_init_kwargs: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> LanguageModelSummarizer:
        """Load model and tokenizer from a Hub id or a folder. Raises ModelError."""
        init = dict(model_init_kwargs or {})
        tokenizer = load_tokenizer(name_or_path, **tokenizer_kwargs(init))
        return cls(load_model(AutoModelForCausalLM, name_or_path, **init), tokenizer, **kwargs)

    def messages(self, history: UserHistory) -> list[Message]:
        """Write the prompt for one history, cut to the window (oldest events first)."""
        messages, cut = fit_history(history, self.tokenizer, self.max_prompt_length, self.instruction)
        self.cut += cut
        return messages

    def summarize(self, histories: Sequence[UserHistory]) -> list[str]:
        """Write one text per history, in order; similar lengths share a batch."""
        texts = [""] * len(histories)
        with random_state(self.seed):
            for row, text in self.stream(histories):
                texts[row] = text
        return texts

    def stream(self, histories: Sequence[UserHistory]) -> Iterator[tuple[int, str]]:
        """Yield (position, text) of each history, a batch at a time, longest first: what does not fit into
        memory shows at once, and the time that is left is overestimated rather than under."""
        prompts = self._prompts(histories)
        order = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), row))
        # A CPU gains nothing from batches that its caches cannot hold.
        budget = min(self.tokens_per_batch, 8192) if self.model.device.type == "cpu" else self.tokens_per_batch
        while order:
            size = max(1, budget // (len(prompts[order[-1]]) + self.max_completion_length))
            rows, order = order[-size:], order[:-size]
            _, completion_ids_NT = self._generate([prompts[row] for row in rows], self.temperature, trained=False)
            yield from zip(rows, decode(self.tokenizer, completion_ids_NT), strict=True)

    def _prompts(self, histories: Sequence[UserHistory]) -> list[list[int]]:
        """Token ids of every prompt: all at once, and only those cut to the window that do not fit it."""
        prompts = encode(self.tokenizer, [summarizer_messages(h, self.instruction) for h in histories], generate=True)
        for row, ids in enumerate(prompts):
            if len(ids) > self.max_prompt_length:
                (prompts[row],) = encode(self.tokenizer, [self.messages(histories[row])], generate=True)
        return prompts

    def add_adapters(self, config: LoraConfig) -> None:
        """Train adapters from here on; everything else is frozen."""
        from peft import get_peft_model  # Seconds of imports that most never need.

        self.model = self.sharing.model = get_peft_model(self.model, config).eval()

    def merge_adapters(self) -> None:
        """Add the adapters to the weights that they stand on: a plain model writes the same from here on."""
        model: Any = self.model
        self.model = self.sharing.model = model.merge_and_unload().eval()

    def reference(self) -> PreTrainedModel | None:
        """Copy the model as it is now, frozen: the KL term is measured against it. None for a model with adapters:
        its reference is the model with its adapters off, which takes no memory."""
        if hasattr(self.model, "disable_adapter"):
            return None
        frozen = copy.deepcopy(self.model)
        frozen.eval().requires_grad_(False)
        return frozen

    def sample(
        self, histories: Sequence[UserHistory], num_generations: int, reference: PreTrainedModel | None
    ) -> tuple[list[str], torch.Tensor, torch.Tensor, torch.Tensor]:
        """Sample G texts per history for `train/loop.py`, N = P*G; `reference` is what `reference()` gave.

        Returns texts_N, logprobs_NT (with gradient), reference_logprobs_NT and mask_NT (1 up to and including
        the end token). Each history is read once, not G times, wherever the model can (`models/shared_prefix`).
        """
        # Texts: the G samples of a history stand side by side.
        prompts = [ids for ids in self._prompts(histories) for _ in range(num_generations)]  # N lists
        batch, completion_ids_NT = self._generate(prompts, temperature=1.0, trained=torch.is_grad_enabled())
        # Mask: up to and including the first end token.
        ends = torch.tensor(end_tokens(self.model, self.tokenizer), device=completion_ids_NT.device)
        ended_NT = torch.isin(completion_ids_NT, ends).long()
        mask_NT = (ended_NT.cumsum(1) - ended_NT == 0).long()
        # Log-probabilities under the model and the reference.
        ids_NL = torch.cat([batch["input_ids"], completion_ids_NT], dim=1)
        attention_NL = torch.cat([batch["attention_mask"], mask_NT], dim=1)
        self.sampled = ids_NL, attention_NL
        length = completion_ids_NT.shape[1]
        logprobs_NT = self._scored(ids_NL, attention_NL, length, num_generations)
        model: Any = self.model
        with torch.no_grad(), model.disable_adapter() if reference is None else nullcontext():
            other = model if reference is None else reference
            reference_NT, _ = self.sharing.logprobs(other, ids_NL, attention_NL, length, entropy=False)
        return decode(self.tokenizer, completion_ids_NT), logprobs_NT, reference_NT, mask_NT

    def logprobs(self, histories: Sequence[UserHistory], texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the log-probabilities of writing `texts`, the end token included: logprobs_NT and mask_NT.

        A text beyond `max_completion_length` is cut, as a sampled one is.
        """
        # Prompts padded on the left, texts on the right.
        prompts = self._prompts(histories)
        self.sharing.start(prompts, gradients=torch.is_grad_enabled())
        end = end_tokens(self.model, self.tokenizer)[0]
        plain = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
        written = [[*ids, end][: self.max_completion_length] for ids in plain]
        before, after = (
            self.tokenizer.pad({"input_ids": ids}, padding_side=side, return_tensors="pt").to(self.model.device)
            for ids, side in ((prompts, "left"), (written, "right"))
        )
        ids_NL, attention_NL = (
            torch.cat([before[name], after[name]], dim=1) for name in ("input_ids", "attention_mask")
        )
        mask_NT = after["attention_mask"]
        return self._scored(ids_NL, attention_NL, mask_NT.shape[1], 1), mask_NT

    def _scored(self, ids_NL: torch.Tensor, attention_NL: torch.Tensor, length: int, group: int) -> torch.Tensor:
        """Compute log-probabilities with gradient, `group` rows of a prompt side by side: (N, T).

        In passes of whole groups of at most `tokens_per_pass` tokens, or of one: a pass keeps nothing, and is computed
        again when its gradient is taken, so that one pass at a time holds activations.
        """

        def one_pass(ids_NL: torch.Tensor, attention_NL: torch.Tensor) -> torch.Tensor:
            return self.sharing.logprobs(self.model, ids_NL, attention_NL, length, entropy=False)[0]

        tokens = ids_NL.shape[1] + (group - 1) * length  # of a prompt and its completions
        rows = group * max(1, (self.tokens_per_pass or ids_NL.numel()) // tokens)
        if rows >= len(ids_NL) or not torch.is_grad_enabled():
            return one_pass(ids_NL, attention_NL)
        parts = zip(ids_NL.split(rows), attention_NL.split(rows), strict=True)
        passes = [checkpoint(one_pass, *part, use_reentrant=False, preserve_rng_state=False) for part in parts]
        return torch.cat(passes)

    def _generate(
        self, prompts: Sequence[list[int]], temperature: float, trained: bool
    ) -> tuple[Mapping[str, torch.Tensor], torch.Tensor]:
        """The left-padded prompts (input_ids and attention_mask) and their completions (N, T)."""
        self.sharing.start(prompts, gradients=trained)
        with self.sharing.generation():
            return generate(self.model, self.tokenizer, prompts, self.max_completion_length, temperature)
