"""P[Love], the probability that a user loves an answer (RLUF, arXiv 2505.14946): its models, calibrated and saved.

    logit P(love | answer, text about the user) = base + temperature * (f - shift - base)

f is the mean logit of a small ensemble; `shift` takes the upsampling of positives back (`batches.py`), and `base` is
the logit of the log's own rate. The text is empty, the user's past reactions, or a summary.

`FrozenLoveModel` is the event reader over frozen embeddings; its logit is r(answer | text) - r("" | text), the
Bradley-Terry margin against an empty answer. `ClassifierLoveModel` is any Hugging Face sequence classifier with one
label, trained through.

Shapes: N reactions, D feature dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file

from plus.errors import ModelError, RunError
from plus.jsonl import read_json, write_json
from plus.love.batches import Upsampling, UserTexts, logit
from plus.love.reactions import reaction_of
from plus.love.splits import SHARE, HeldOutUser
from plus.models.embedding_reward_model import EmbeddingRewardModel
from plus.models.embeddings import Embeddings, minilm
from plus.models.reward_model import RewardModel
from plus.models.run import last_text
from plus.models.text import by_length
from plus.prompts import one_line
from plus.types import Preference, Reaction

CONFIG, WEIGHTS = "love.json", "head.safetensors"


@dataclass(frozen=True)
class LoveSettings:
    """Budget and rates of a training; the defaults were chosen on validation users (notebooks/LOG.md)."""

    condition: str = "history"
    positive_share: float | None = 0.1
    max_steps: int = 300
    look_every: int = 25
    users_per_step: int = 32
    reactions_per_user: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    members: int = 4
    folds: int = 4
    share: float = SHARE
    dropout: float = 0.1
    seed: int = 0


# A whole model, trained through: one member, stopped early by the users that it leaves out.
CLASSIFIER = LoveSettings(max_steps=300, users_per_step=8, reactions_per_user=4, learning_rate=2e-5, members=1)


class LoveModel(Protocol):
    """Model of one logit, as `run.fit` trains it."""

    def logits(self, texts: Sequence[str], reactions: Sequence[Reaction]) -> torch.Tensor:
        """Compute logits (N,), with gradients where enabled."""
        ...

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """List the trained parameters."""
        ...

    def features(self, reactions: Sequence[Reaction]) -> torch.Tensor:
        """Compute features of the answers (N, D) that depend on no user."""
        ...

    def save(self, folder: Path) -> None:
        """Write the weights into a folder."""
        ...


class FrozenLoveModel:
    """Event reader over `embeddings`; with `read_prompts` prompt and answer are embedded as one text."""

    def __init__(self, embeddings: Embeddings, read_prompts: bool = False) -> None:
        self.embeddings, self.read_prompts = embeddings, read_prompts
        self.reward_model = EmbeddingRewardModel(embeddings, ())

    def logits(self, texts: Sequence[str], reactions: Sequence[Reaction]) -> torch.Tensor:
        """Compute logits (N,), with gradients where enabled."""
        pairs = [Preference("", self._text(reaction), "") for reaction in reactions]
        ((_, logit_N),) = self.reward_model.margins(texts, pairs)
        return logit_N

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """List the head's parameters; the embeddings are never trained."""
        return self.reward_model.model.parameters()

    def features(self, reactions: Sequence[Reaction]) -> torch.Tensor:
        """Look up the frozen embeddings of the answers (N, D)."""
        return self.embeddings.vectors([self._text(reaction) for reaction in reactions])

    def save(self, folder: Path) -> None:
        """Write the head's weights; the sentence model is not copied."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.reward_model.model.state_dict(), folder / WEIGHTS)

    def load(self, folder: Path) -> FrozenLoveModel:
        """Take the weights that `save` wrote."""
        self.reward_model.model.load_state_dict(load_file(folder / WEIGHTS))
        return self

    def _text(self, reaction: Reaction) -> str:
        return one_line(f"{reaction.prompt} {reaction.completion}" if self.read_prompts else reaction.completion)


class ClassifierLoveModel:
    """Sequence classifier with one label that reads (text about the user, prompt, answer)."""

    def __init__(self, reward_model: RewardModel) -> None:
        self.reward_model = reward_model

    def logits(self, texts: Sequence[str], reactions: Sequence[Reaction]) -> torch.Tensor:
        """Compute logits (N,), with gradients where enabled."""
        conversations = [Preference(r.prompt, r.completion, "", r.earlier).conversation for r in reactions]
        sequences = self.reward_model.encode(
            [(text, asked, r.completion) for text, asked, r in zip(texts, conversations, reactions, strict=True)]
        )
        if torch.is_grad_enabled():
            return self.reward_model.forward(sequences)
        # Without gradients: batches of similar length, as many tokens as the reward model takes.
        logit_N = torch.empty(len(sequences))
        for rows in by_length([len(ids) for ids in sequences], self.reward_model.tokens_per_batch):
            logit_N[rows] = self.reward_model.forward([sequences[row] for row in rows]).cpu().float()
        return logit_N

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """List the classifier's parameters, or those of its adapters and head."""
        return [parameter for parameter in self.reward_model.model.parameters() if parameter.requires_grad]

    def features(self, reactions: Sequence[Reaction]) -> torch.Tensor:
        """Compute the last hidden state at each answer's end (N, D), without a text about a user."""
        from plus.models.embeddings import backbone

        unique = list(dict.fromkeys(reaction.completion for reaction in reactions))
        place = {text: number for number, text in enumerate(unique)}
        vector_AD = backbone(self.reward_model, at_end=True)(unique)
        return vector_AD[[place[reaction.completion] for reaction in reactions]]

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder; plain transformers loads it."""
        self.reward_model.save_pretrained(folder)


NewModel = Callable[[], LoveModel]


def frozen_models(read_prompts: bool, embeddings: Embeddings | None = None) -> NewModel:
    """Make new heads on one table of sentence embeddings, MiniLM's where none is given."""
    vectors = embeddings or Embeddings(minilm())
    return lambda: FrozenLoveModel(vectors, read_prompts)


def classifier_models(name_or_path: str | Path, **kwargs: Any) -> NewModel:
    """Make fresh copies of a sequence classifier; a language model or an encoder gets a new head."""
    return lambda: ClassifierLoveModel(RewardModel.from_pretrained(name_or_path, **kwargs))


class Love:
    """Trained P[Love]: an ensemble of `models`, calibrated; `user_texts` writes the text about each user."""

    def __init__(
        self,
        models: Sequence[LoveModel],
        settings: LoveSettings,
        upsampling: Upsampling,
        temperature: float,
        user_texts: UserTexts,
    ) -> None:
        self.models, self.settings, self.user_texts = list(models), settings, user_texts
        self.upsampling, self.temperature = upsampling, temperature

    @torch.no_grad()
    def logits(self, texts: Sequence[str], reactions: Sequence[Reaction]) -> list[float]:
        """Predict calibrated log-odds of love for each (text about the user, prompt and answer).

        The labels of `reactions` are not read.
        """
        if not reactions:
            return []
        f_N = torch.stack([model.logits(texts, reactions).double() for model in self.models]).mean(0)
        found: list[float] = tempered(f_N, self.upsampling, self.temperature).tolist()
        return found

    def probability(self, text: str, prompt: str, answer: str) -> float:
        """Predict P(love), 0..1, of one answer, given a text about the user ("" for an unknown user)."""
        return 1 / (1 + math.exp(-self.logits([text], [Reaction(prompt, answer, True)])[0]))

    def predict(self, users: Sequence[HeldOutUser]) -> list[list[float]]:
        """Predict the log-odds of love of each user's targets from their context."""
        texts = [self.user_texts.of(user.user_id, user.context) for user in users for _ in user.targets]
        values = iter(self.logits(texts, [reaction_of(event) for user in users for event in user.targets]))
        return [[next(values) for _ in user.targets] for user in users]

    def as_reward_function(self) -> Callable[..., list[float]]:
        """Make a TRL reward function, `f(prompts, completions, summary=..., **columns)`: P(love) of each completion.

        `summary` is any text about the user, also lines of their past. Without it, and where the model was trained
        without texts, the user is unknown.
        """
        reads_texts = self.settings.condition != "none"

        def p_love(
            prompts: Sequence[Any], completions: Sequence[Any], summary: Sequence[str] | None = None, **columns: Any
        ) -> list[float]:
            texts = list(summary) if reads_texts and summary is not None else [""] * len(prompts)
            reactions = [Reaction(last_text(p), last_text(c), True) for p, c in zip(prompts, completions, strict=True)]
            found: list[float] = torch.sigmoid(
                torch.tensor(self.logits(texts, reactions), dtype=torch.float64)
            ).tolist()
            return found

        return p_love

    def save(self, folder: str | Path) -> None:
        """Write love.json and one folder a member; no reaction, text or user is in them.

        Raises RunError when the folder is in use.
        """
        folder = Path(folder)
        if folder.exists() and any(folder.iterdir()):
            raise RunError(f"{folder} is in use and nothing is overwritten; give another --output_dir")
        # One folder a member, then love.json with the calibration.
        kind = "frozen" if isinstance(self.models[0], FrozenLoveModel) else "classifier"
        for number, model in enumerate(self.models):
            model.save(_member_folder(folder, number))
        config = {
            "kind": kind,
            "readers": len(self.models),  # Folders of earlier versions say readers, so it stays.
            "temperature": self.temperature,
            **asdict(self.upsampling),
            "read_prompts": getattr(self.models[0], "read_prompts", True),
            "settings": asdict(self.settings),
        }
        write_json(folder / CONFIG, config)

    @classmethod
    def load(cls, folder: str | Path, embeddings: Embeddings | None = None) -> Love:
        """Open a folder that `save` wrote; `embeddings` are MiniLM's where none are given.

        A model conditioned on summaries is given them by the caller. Raises ModelError where there is no P[Love].
        """
        folder = Path(folder)
        if not (folder / CONFIG).is_file():
            raise ModelError(f"{folder} holds no P[Love] (no {CONFIG}); give the --output_dir of a plus love")
        config = read_json(folder / CONFIG)
        # One model a member, each from its folder.
        parts = [_member_folder(folder, number) for number in range(config["readers"])]
        models: list[LoveModel]
        if config["kind"] == "frozen":
            vectors = embeddings or Embeddings(minilm())
            models = [FrozenLoveModel(vectors, config["read_prompts"]).load(part) for part in parts]
        else:
            models = [ClassifierLoveModel(RewardModel.from_pretrained(part)) for part in parts]
        settings = LoveSettings(**config["settings"])
        texts = UserTexts("history" if settings.condition == "history" else "none")
        return cls(models, settings, Upsampling(config["rate"], config["share"]), config["temperature"], texts)


def tempered(f_N: torch.Tensor, upsampling: Upsampling, temperature: float) -> torch.Tensor:
    """Turn the network's f (N,) into log-odds of love: the upsampling taken back, then scaled about the log's rate."""
    base = logit(upsampling.rate)
    return base + temperature * (f_N - upsampling.shift - base)


def _member_folder(folder: Path, number: int) -> Path:
    return folder / f"reader-{number}"
