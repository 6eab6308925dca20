"""Reward model: one number for (summary, prompt, answer), from any sequence classifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import logsigmoid
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_layers import GradientCheckpointingLayer

from plus.errors import ModelError
from plus.models.loading import load_model, load_tokenizer, local, tokenizer_kwargs, window
from plus.models.text import by_length, encode, fit_answer, tight
from plus.prompts import scorer_messages
from plus.types import Preference, Prompt

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel


class RewardModel:
    """Reward r(prompt, answer | summary): a sequence classifier with one label, its tokenizer and its window.

    `model` may be any Hugging Face `AutoModelForSequenceClassification`; text is all that it
    shares with the summarizer. Dropout stays off, also in training: the same pass gives the
    summarizer's reward. `shortened` holds the (prompt, answer)s that did not fit `max_length`, and
    `made_equal` the pairs that this left without a difference: their margin is 0 and teaches nothing.
    `fresh` names the weights that the checkpoint did not have: a new head, say. `bf16` runs the
    passes under autocast, as the trainer runs the summarizer's.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int = 2048,
        tokens_per_batch: int = 16_384,
        fresh: Sequence[str] = (),
    ) -> None:
        self.model, self.tokenizer, self.fresh = model.eval(), tokenizer, tuple(fresh)
        self.window = window(model.config, tokenizer)
        self.max_length, self.tokens_per_batch = min(max_length, self.window), tokens_per_batch
        self.bf16 = False
        self.shortened: set[tuple[Prompt, str]] = set()
        self.made_equal: set[Preference] = set()

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, max_length: int = 2048, **model_init_kwargs: Any) -> RewardModel:
        """Load a reward model, or start one: a language model or an encoder gets a fresh scalar head
        on its backbone, a reward model keeps the head it has. Raises ModelError for a classifier
        with several labels."""
        name_or_path, shared = local(name_or_path), tokenizer_kwargs(model_init_kwargs)
        tokenizer = load_tokenizer(name_or_path, **shared)
        _refuse_several_labels(name_or_path, shared)
        model, loaded = load_model(
            AutoModelForSequenceClassification,
            name_or_path,
            **{**model_init_kwargs, "num_labels": 1, "output_loading_info": True},
        )
        model.config.get_text_config().pad_token_id = model.config.pad_token_id = tokenizer.pad_token_id
        return cls(model, tokenizer, max_length, fresh=sorted(loaded["missing_keys"]))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights (safetensors), configuration and tokenizer; plain transformers loads them."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def add_adapters(self, config: LoraConfig) -> None:
        """Train adapters and the head from here on; everything else is frozen."""
        from peft import get_peft_model  # Seconds of imports that most never need.

        self.model = get_peft_model(self.model, config).eval()

    def gradient_checkpointing_enable(self) -> None:
        """Keep the layers' inputs only and compute the rest again in backward."""
        self.model.activation_checkpointing_enable({"use_reentrant": False})
        self.model.config.use_cache = False  # A second pass would fill it a second time.
        for module in self.model.modules():
            if isinstance(module, GradientCheckpointingLayer):
                module.training = True  # Else it does not checkpoint. Its children stay in eval mode: no dropout.

    def encode(self, triples: Sequence[tuple[str, Prompt, str]]) -> list[list[int]]:
        """Encode each (summary, prompt, answer) as token ids within the window."""
        encoded = encode(self.tokenizer, [scorer_messages(*triple) for triple in triples])
        for row, ids in enumerate(encoded):
            if len(ids) > self.max_length:
                encoded[row] = fit_answer(*triples[row], self.tokenizer, self.max_length)
                self.shortened.add(triples[row][1:])
        return encoded

    def forward(self, sequences: Sequence[list[int]]) -> torch.Tensor:
        """Compute rewards (B,) of token id lists, with gradients when enabled; those of similar length share
        a pass, so that little of it is padding."""
        groups = tight([len(ids) for ids in sequences])
        rewards_B = torch.cat([self._padded([sequences[row] for row in rows]) for rows in groups])
        place = {row: number for number, row in enumerate(row for rows in groups for row in rows)}
        return rewards_B[[place[row] for row in range(len(sequences))]]

    def _padded(self, sequences: Sequence[list[int]]) -> torch.Tensor:
        """Rewards (B,) of one right-padded batch."""
        length = max(map(len, sequences))
        device = self.model.device
        ids_BL = torch.full((len(sequences), length), self.model.config.pad_token_id, device=device)  # (B, L)
        mask_BL = torch.zeros_like(ids_BL)  # (B, L)
        for row, ids in enumerate(sequences):
            ids_BL[row, : len(ids)] = torch.tensor(ids, device=device)
            mask_BL[row, : len(ids)] = 1
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            rewards_B: torch.Tensor = self.model(input_ids=ids_BL, attention_mask=mask_BL).logits[:, 0]  # (B,)
        return rewards_B if rewards_B.dtype == torch.float64 else rewards_B.float()

    def margins(self, texts: Sequence[str], pairs: Sequence[Preference]) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Yield (rows, margins) of one micro-batch at a time: margin = r(chosen | text) - r(rejected | text).

        Pairs are sorted by length into batches of `tokens_per_batch` tokens, and a pair never
        leaves its batch, so that backward can run on each micro-batch alone.
        """
        # Both answers of every pair as token ids.
        chosen = self.encode([(text, pair.conversation, pair.chosen) for text, pair in zip(texts, pairs, strict=True)])
        rejected = self.encode(
            [(text, pair.conversation, pair.rejected) for text, pair in zip(texts, pairs, strict=True)]
        )
        self.made_equal.update(pair for pair, a, b in zip(pairs, chosen, rejected, strict=True) if a == b)
        # Batches of similar length, each scored in one go.
        lengths = [max(len(a), len(b)) for a, b in zip(chosen, rejected, strict=True)]
        for rows in by_length(lengths, self.tokens_per_batch // 2):
            rewards = self.forward([chosen[row] for row in rows] + [rejected[row] for row in rows])  # (2B,)
            yield rows, rewards[: len(rows)] - rewards[len(rows) :]  # (B,)

    @torch.no_grad()
    def rewards(self, triples: Sequence[tuple[str, Prompt, str]]) -> list[float]:
        """Compute r for each (summary, prompt, answer). Equal triples get the very same number."""
        unique = list(dict.fromkeys(triples))
        sequences = self.encode(unique)
        value: dict[tuple[str, Prompt, str], float] = {}
        for rows in by_length([len(ids) for ids in sequences], self.tokens_per_batch):
            scores = self.forward([sequences[row] for row in rows]).double().tolist()
            value.update({unique[row]: score for row, score in zip(rows, scores, strict=True)})
        return [value[triple] for triple in triples]

    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """Compute log sigmoid(margin) for each (text, pair), without gradients (the `Scorer` protocol)."""
        chosen = [(text, pair.conversation, pair.chosen) for text, pair in zip(texts, pairs, strict=True)]
        rejected = [(text, pair.conversation, pair.rejected) for text, pair in zip(texts, pairs, strict=True)]
        scores = torch.tensor(self.rewards(chosen + rejected), dtype=torch.float64)  # (2B,)
        values: list[float] = logsigmoid(scores[: len(chosen)] - scores[len(chosen) :]).tolist()
        return values


def _refuse_several_labels(name_or_path: str | Path, shared: dict[str, Any]) -> None:
    try:
        config = AutoConfig.from_pretrained(str(name_or_path), **shared)
    except (OSError, ValueError, KeyError):
        return  # No configuration: adapters, or nothing; loading the model says which.
    classifier = any("ForSequenceClassification" in name for name in config.architectures or ())
    if classifier and config.num_labels != 1:
        raise ModelError(
            f"the reward model {name_or_path} has {config.num_labels} labels and a reward is one number; "
            "give a model with num_labels=1, or the language model it was made from"
        )
