"""Response model: answers prompts that carry their user's summary.

It reads the summary where the reward model does (`prompts.scorer_messages`), so both read the same words about a
user.

Shapes: N answers, L tokens of prompt and answer, T tokens of the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from plus.errors import SourceError, WindowError
from plus.models.completions import completion_logprobs, decode, evaluation_mode, generate, random_state
from plus.models.loading import load_model, load_tokenizer, tokenizer_kwargs, window
from plus.models.text import as_paragraphs, by_length, encode
from plus.prompts import scorer_messages
from plus.types import Dropped, Message, Prompt, as_turns


@dataclass(frozen=True)
class UserPrompt:
    """Prompt of one user, with the summary of the user ("" for none)."""

    prompt: Prompt
    summary: str = ""
    user_id: str = ""

    def messages(self) -> list[Message]:
        """Write the messages that the policy reads: the summary as data about the user, then the conversation."""
        return scorer_messages(self.summary, self.prompt, "")[:-1]


class Policy:
    """Policy y ~ pi(. | summary, prompt) of any causal language model; one without a chat template reads paragraphs."""

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
        self.model = merge_adapters(self.model)
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def answer(
        self, prompts: Sequence[UserPrompt], num_generations: int = 1, temperature: float = 1.0, seed: int = 0
    ) -> list[str]:
        """Sample `num_generations` answers to each prompt, those of a prompt side by side.

        The same seed gives the same answers; temperature 0 the most likely one. Raises WindowError for a prompt
        that is too long.
        """
        ids = [one for one in self.prompt_ids(prompts) for _ in range(num_generations)]
        texts = [""] * len(ids)
        lengths = [len(one) + self.max_completion_length for one in ids]
        # Batches of similar length; the random state of a training that goes on around this is not touched.
        with random_state(seed):
            for rows in by_length(lengths, self.tokens_per_batch):
                batch = [ids[row] for row in rows]
                _, ids_NT = generate(self.model, self.tokenizer, batch, self.max_completion_length, temperature)
                for row, text in zip(rows, decode(self.tokenizer, ids_NT), strict=True):
                    texts[row] = text
        return texts

    def prompt_ids(self, prompts: Sequence[UserPrompt]) -> list[list[int]]:
        """Encode each prompt as token ids, with the header that opens the answer. Raises WindowError."""
        found = encode(self.tokenizer, [one.messages() for one in prompts], generate=True)
        longest = max(map(len, found), default=0)
        if longest > self.room:
            raise WindowError(
                f"a prompt has {longest} tokens with its user's summary and the policy can read {self.room} beside an "
                "answer; shorten it, or lower --max_completion_length"
            )
        return found

    @torch.no_grad()
    def logprobs(self, prompts: Sequence[UserPrompt], texts: Sequence[str]) -> list[float]:
        """Compute log pi(answer | summary, prompt) of each answer, its end token included."""
        # The end token belongs to the answer: a policy that stops early is another policy.
        prompt_ids, end = self.prompt_ids(prompts), self.tokenizer.eos_token_id
        answer_ids = [[*self.tokenizer(text, add_special_tokens=False)["input_ids"], end] for text in texts]
        found = [0.0] * len(prompts)
        lengths = [len(p) + len(a) for p, a in zip(prompt_ids, answer_ids, strict=True)]
        device = self.model.device
        with evaluation_mode(self.model):
            for rows in by_length(lengths, self.tokens_per_batch):
                # Prompts end and answers begin at the same column: padding on both sides.
                length = max(len(answer_ids[row]) for row in rows)
                widest = max(len(prompt_ids[row]) for row in rows)
                ids_NL = torch.full((len(rows), widest + length), self.tokenizer.pad_token_id)
                mask_NL = torch.zeros_like(ids_NL)
                for place, row in enumerate(rows):
                    start, stop = widest - len(prompt_ids[row]), widest + len(answer_ids[row])
                    ids_NL[place, start:stop] = torch.tensor(prompt_ids[row] + answer_ids[row])
                    mask_NL[place, start:stop] = 1
                logprobs_NT, _ = completion_logprobs(
                    self.model, ids_NL.to(device), mask_NL.to(device), length, entropy=False
                )
                sums_N = (logprobs_NT * mask_NL[:, widest:].to(device)).sum(1).tolist()
                for row, value in zip(rows, sums_N, strict=True):
                    found[row] = value
        return found


def read_prompts(
    rows: Iterable[Mapping[str, Any]], summaries: Mapping[str, str] | None = None
) -> tuple[list[UserPrompt], Dropped]:
    """Read prompts from rows with `prompt` (text or turns) and `user_id` or `summary`.

    A row's own `summary` comes first, then `summaries[user_id]`. A user without either is asked without a summary,
    and counted. Raises SourceError where no row holds a prompt.
    """
    found: list[UserPrompt] = []
    dropped = Dropped()
    for number, row in enumerate(rows, start=1):
        prompt = _prompt(row.get("prompt"))
        if not prompt:
            dropped.add("rows without a prompt", f"row {number}")
            continue
        user = str(row.get("user_id") or "")
        # The row's own summary wins over the file's.
        summary = str(row.get("summary") or (summaries or {}).get(user, "")).strip()
        if not summary:
            dropped.add("prompts whose user has no summary: asked without one", f"row {number}, user {user or '-'}")
        found.append(UserPrompt(prompt, summary, user))
    if not found:
        raise SourceError("no row holds a prompt; write rows with prompt and user_id or summary")
    return found, dropped


def merge_adapters(model: Any) -> Any:
    """Merge a model's adapters into its weights, so that it can get new ones."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def prompt_column(prompt: UserPrompt, tokenizer: PreTrainedTokenizerBase) -> Any:
    """Write TRL's `prompt` column: messages, or one text where the tokenizer has no chat template."""
    messages = prompt.messages()
    return messages if tokenizer.chat_template is not None else as_paragraphs(messages) + "\n\n"


def _prompt(value: Any) -> Prompt:
    if isinstance(value, str) or not value:
        return (value or "").strip()
    turns = as_turns(value)
    return turns[0].content if len(turns) == 1 and turns[0].role == "user" else turns
