"""What P[Love] is read off: one logit for (text about the user, prompt, answer), from either kind of model.

`FrozenReader` is the event reader over frozen embeddings, whose reward is compared with that of *nothing*:
r(answer | text) - r("" | text), the Bradley-Terry margin against an empty answer. `ClassifierReader` is any
Hugging Face sequence classifier with one label, trained through. Both have `logits`, `parameters`, `save`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from plus.models.batching import by_length
from plus.models.embeddings import Embeddings
from plus.models.event_reader import EventReader
from plus.models.reward_model import RewardModel
from plus.prompts import one_line
from plus.types import Preference, Reaction

WEIGHTS = "head.safetensors"


class FrozenReader:
    """An event reader over `embeddings`; with `read_prompts` prompt and answer are embedded as one text."""

    def __init__(self, embeddings: Embeddings, read_prompts: bool = False) -> None:
        self.embeddings, self.read_prompts = embeddings, read_prompts
        self.reader = EventReader(embeddings, ())

    def logits(self, texts: Sequence[str], reactions: Sequence[Reaction]) -> torch.Tensor:
        """(N,), with gradients where enabled."""
        pairs = [Preference("", self._said(reaction), "") for reaction in reactions]
        ((_, logit_N),) = self.reader.margins(texts, pairs)
        return logit_N

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """What is trained: the head. The embeddings never are."""
        return self.reader.model.parameters()

    def features(self, reactions: Sequence[Reaction]) -> torch.Tensor:
        """(N, D): the frozen vectors that answers are read by."""
        return self.embeddings.vectors([self._said(reaction) for reaction in reactions])

    def save(self, folder: Path) -> None:
        """Write the head's weights; the sentence model stays where it came from."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.reader.model.state_dict(), folder / WEIGHTS)

    def load(self, folder: Path) -> FrozenReader:
        """Take the weights that `save` wrote."""
        self.reader.model.load_state_dict(load_file(folder / WEIGHTS))
        return self

    def _said(self, reaction: Reaction) -> str:
        return one_line(f"{reaction.prompt} {reaction.completion}" if self.read_prompts else reaction.completion)


class ClassifierReader:
    """A sequence classifier with one label as it reads (summary, prompt, answer)."""

    def __init__(self, reward_model: RewardModel) -> None:
        self.reward_model = reward_model

    def logits(self, texts: Sequence[str], reactions: Sequence[Reaction]) -> torch.Tensor:
        """(N,), with gradients where enabled."""
        conversations = [Preference(r.prompt, r.completion, "", r.earlier).conversation for r in reactions]
        sequences = self.reward_model.encode(
            [(text, asked, r.completion) for text, asked, r in zip(texts, conversations, reactions, strict=True)]
        )
        if torch.is_grad_enabled():
            return self.reward_model.forward(sequences)
        found = torch.empty(len(sequences))
        for rows in by_length([len(ids) for ids in sequences], self.reward_model.tokens_per_batch):
            found[rows] = self.reward_model.forward([sequences[row] for row in rows]).cpu().float()
        return found

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """The classifier's, or its adapters' and head's."""
        return [parameter for parameter in self.reward_model.model.parameters() if parameter.requires_grad]

    def features(self, reactions: Sequence[Reaction]) -> torch.Tensor:
        """(N, D): the last hidden state at each answer's end, without a text about anybody."""
        from plus.models.embeddings import backbone

        unique = list(dict.fromkeys(reaction.completion for reaction in reactions))
        place = {text: number for number, text in enumerate(unique)}
        return backbone(self.reward_model, at_end=True)(unique)[[place[reaction.completion] for reaction in reactions]]

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder; plain transformers loads it."""
        self.reward_model.save_pretrained(folder)
