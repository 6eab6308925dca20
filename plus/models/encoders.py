"""An answer as a vector, for baselines that are no text-conditioned reward models.

Two encoders with one shape: frozen sentence embeddings, and a language model's last hidden state,
which learns together with what reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch

from plus.models.embeddings import Embeddings
from plus.models.reward_model import RewardModel
from plus.types import Preference, Prompt

Answer = tuple[Prompt, str]


class Encoder(Protocol):
    """(prompt, answer)s to vectors (B, `size`), with gradients where `parameters` has any."""

    size: int

    def __call__(self, answers: Sequence[Answer]) -> torch.Tensor:
        """The vectors, in order."""
        ...

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """What is trained."""
        ...


class FrozenEncoder:
    """Sentence embeddings of the answer alone: the prompt is not read."""

    def __init__(self, embeddings: Embeddings) -> None:
        embeddings.ids(["a text"])
        self.embeddings, self.size = embeddings, embeddings.size

    def __call__(self, answers: Sequence[Answer]) -> torch.Tensor:
        """The vectors, in order."""
        return self.embeddings.vectors(answer for _, answer in answers)

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """None: nothing is trained."""
        return []


class BackboneEncoder:
    """The last hidden state at the end of the answer, from a reward model's backbone: where its own
    head would read. Equal answers are encoded once."""

    def __init__(self, reward_model: RewardModel) -> None:
        self.reward_model = reward_model
        self.size = int(reward_model.model.config.hidden_size)

    def __call__(self, answers: Sequence[Answer]) -> torch.Tensor:
        """The vectors, in order."""
        unique = list(dict.fromkeys(answers))
        place = {answer: number for number, answer in enumerate(unique)}
        ids = self.reward_model.encode([("", *answer) for answer in unique])
        batch = self.reward_model.tokenizer.pad({"input_ids": ids}, padding_side="right", return_tensors="pt")
        states_ULD = self.reward_model.model.base_model(**batch).last_hidden_state
        ends_UD = states_ULD[torch.arange(len(unique)), batch["attention_mask"].sum(1) - 1]
        return ends_UD[[place[answer] for answer in answers]]

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """The backbone's; the scalar head has no part in it."""
        return self.reward_model.model.base_model.parameters()


def chosen_and_rejected(encoder: Encoder, pairs: Sequence[Preference]) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of both answers of each pair, (B, D) each, from one pass."""
    both = [(p.conversation, p.chosen) for p in pairs] + [(p.conversation, p.rejected) for p in pairs]
    vectors = encoder(both)
    return vectors[: len(pairs)], vectors[len(pairs) :]
