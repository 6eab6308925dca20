"""The size of a measured step, and random words to fill it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, PreTrainedConfig, PreTrainedTokenizerFast, Qwen2Config

ANSWER_TOKENS = (16, 256)  # log-uniform, as answers are: many short ones, a few long ones


@dataclass(frozen=True)
class Setup:
    """The size of everything in a step. Users, histories of `context` tokens, `num_generations` summaries each."""

    context: int
    users: int = 4
    num_generations: int = 8
    summary: int = 32
    device: str = "cpu"
    seed: int = 0

    @property
    def config(self) -> PreTrainedConfig:
        """A small Llama for a CPU, the shape of Qwen2.5-0.5B for a GPU."""
        window = self.context + self.summary + 64
        shared = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None, "tie_word_embeddings": True}
        if self.device == "cpu":
            return LlamaConfig(
                vocab_size=8192, hidden_size=128, intermediate_size=384, num_hidden_layers=4, num_attention_heads=4,
                num_key_value_heads=4, max_position_embeddings=window, **shared,
            )  # fmt: skip
        return Qwen2Config(
            vocab_size=151_936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
            num_key_value_heads=2, max_position_embeddings=max(window, 32_768), rope_theta=1e6, **shared,
        )  # fmt: skip


def histories(setup: Setup, seed: int) -> list[dict[str, Any]]:
    """The rows of one update: each user's history of exactly `context` tokens, once per summary, and one pair."""
    rng = random.Random(f"speed-{seed}")

    def words(count: int) -> str:
        return " ".join(f"w{rng.randrange(8000)}" for _ in range(count))

    def answer() -> str:
        low, high = map(math.log, ANSWER_TOKENS)
        return words(round(math.exp(rng.uniform(low, high))))

    rows = []
    for user in range(setup.users):
        pair = {"prompt": words(rng.randint(8, 48)), "chosen": answer(), "rejected": answer(), "earlier": []}
        row = {"prompt": words(setup.context), "user_id": f"user-{user}", "pairs": [pair], "split": "train"}
        rows += [dict(row) for _ in range(setup.num_generations)]
    return rows


def tokenizer(setup: Setup) -> PreTrainedTokenizerFast:
    """One token a word, so that lengths are exact."""
    vocabulary = {"<pad>": 0, "<eos>": 1, "<unk>": 2} | {f"w{n}": 3 + n for n in range(setup.config.vocab_size - 3)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
