"""The response model: answers prompts that carry their user's summary.

It reads the summary where the reward model does (`prompts.scorer_messages`), so both are told the
same about a user, in the same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from plus.errors import WindowError
from plus.models.generation import completion_logprobs, decode, evaluation_mode, generate, random_state
from plus.models.loading import load_model, load_tokenizer, tokenizer_kwargs, window
from plus.models.text import by_length, encode
from plus.prompts import scorer_messages
from plus.types import Message, Prompt


@dataclass(frozen=True)
class Asked:
    """One prompt of one user, and what is known about them ("" for nothing)."""

    prompt: Prompt
    summary: str = ""
    user_id: str = ""

    def messages(self) -> list[Message]:
        """What the policy reads: the summary as data about the user, then the conversation."""
        return scorer_messages(self.summary, self.prompt, "")[:-1]


class Policy:
    """y ~ pi(. | summary, prompt) from any causal language model; one without a chat template reads paragraphs."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_completion_length: int = 256,
        tokens_per_batch: int = 16_384,
    ) -> None:  # fmt: skip
        self.model, self.tokenizer = model, tokenizer
        self.max_completion_length, self.tokens_per_batch = max_completion_length, tokens_per_batch
        self.room = window(model.config, tokenizer) - max_completion_length

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, max_completion_length: int = 256, **model_init_kwargs: Any
    ) -> Policy:
        """Load model and tokenizer from a Hub id or a folder."""
        tokenizer = load_tokenizer(name_or_path, **tokenizer_kwargs(model_init_kwargs))
        return cls(
            load_model(AutoModelForCausalLM, name_or_path, **model_init_kwargs), tokenizer, max_completion_length
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder that transformers, TRL and vLLM load: adapters are merged into the weights."""
        model = self.model.merge_and_unload() if hasattr(self.model, "merge_and_unload") else self.model
        model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        self.model = model

    def answer(self, asked: Sequence[Asked], num_generations: int = 1, temperature: float = 1.0, seed: int = 0) -> list[str]:  # fmt: skip
        """`num_generations` answers to each prompt, those of a prompt side by side; the same seed, the
        same answers. Temperature 0 writes the most likely one. Raises WindowError for a prompt too long."""
        prompts = [ids for ids in self.prompts(asked) for _ in range(num_generations)]
        texts = [""] * len(prompts)
        lengths = [len(ids) + self.max_completion_length for ids in prompts]
        with random_state(seed):
            for rows in by_length(lengths, self.tokens_per_batch):
                batch = [prompts[row] for row in rows]
                _, ids_NT = generate(self.model, self.tokenizer, batch, self.max_completion_length, temperature)
                for row, text in zip(rows, decode(self.tokenizer, ids_NT), strict=True):
                    texts[row] = text
        return texts

    def prompts(self, asked: Sequence[Asked]) -> list[list[int]]:
        """Token ids of each prompt, with the header that opens the answer."""
        found = encode(self.tokenizer, [one.messages() for one in asked], generate=True)
        longest = max(map(len, found), default=0)
        if longest > self.room:
            raise WindowError(
                f"a prompt has {longest} tokens with its user's summary and the policy can read {self.room} beside an answer; shorten it, or lower --max_completion_length"
            )
        return found

    @torch.no_grad()
    def logprobs(self, asked: Sequence[Asked], texts: Sequence[str]) -> list[float]:
        """log pi(answer | summary, prompt) of each answer, its end included."""
        prompts = self.prompts(asked)
        ends = self.tokenizer.eos_token_id
        answers = [[*self.tokenizer(text, add_special_tokens=False)["input_ids"], ends] for text in texts]
        found = [0.0] * len(prompts)
        with evaluation_mode(self.model):
            for rows in by_length(
                [len(p) + len(a) for p, a in zip(prompts, answers, strict=True)], self.tokens_per_batch
            ):
                length = max(len(answers[row]) for row in rows)
                widest = max(len(prompts[row]) for row in rows)
                ids_NL = torch.full((len(rows), widest + length), self.tokenizer.pad_token_id)
                mask_NL = torch.zeros_like(ids_NL)
                for place, row in enumerate(rows):
                    start, end = widest - len(prompts[row]), widest + len(answers[row])
                    ids_NL[place, start:end] = torch.tensor(prompts[row] + answers[row])
                    mask_NL[place, start:end] = 1
                device = self.model.device
                logprobs_NT, _ = completion_logprobs(
                    self.model, ids_NL.to(device), mask_NL.to(device), length, entropy=False
                )
                sums_N = (logprobs_NT * mask_NL[:, widest:].to(device)).sum(1).tolist()
                for row, value in zip(rows, sums_N, strict=True):
                    found[row] = value
        return found
