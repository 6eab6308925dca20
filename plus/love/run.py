"""P[Love]: how likely is it that this user loves this answer? (RLUF, arXiv 2505.14946)

    logit P(love | answer, text about the user) = base + temperature * (f - shift - base)

f is trained with binary cross-entropy on reactions of which positives are drawn up to a set share; `shift` takes
the drawing back (`upsampling.py`), and `base` is the logit of the log's own rate. Each member of a small ensemble
leaves a part of the users out, keeps the weights that predict their later reactions best, and predicts them: from
these one temperature is fitted, so that nothing is calibrated on users that it was trained on.

The text is nothing, the user's past reactions, or a summary. `as_reward_function` is a TRL reward for a policy.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from plus.errors import ModelError, RunError
from plus.love.batches import Events, Texts, batches
from plus.love.model import ClassifierReader, FrozenReader
from plus.love.reactions import labels_of
from plus.love.splits import SHARE, Tested, cut
from plus.love.upsampling import Upsampling, logit
from plus.models.embeddings import Embeddings, minilm
from plus.models.reward_model import RewardModel
from plus.models.run import last_text
from plus.train.early_stopping import Best
from plus.types import Event, Reaction

CONFIG = "love.json"


@dataclass(frozen=True)
class LoveSettings:
    """Budget and rates; the defaults were chosen on validation users (notebooks/LOG.md)."""

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


# A whole model, trained through: one member, of which the users left out say when to stop.
CLASSIFIER = LoveSettings(max_steps=300, users_per_step=8, reactions_per_user=4, learning_rate=2e-5, members=1)


class Reader(Protocol):
    """A model of one logit (`plus/love/model.py` has two)."""

    def logits(self, texts: Sequence[str], reactions: Sequence[Reaction]) -> torch.Tensor: ...

    def parameters(self) -> Iterable[torch.nn.Parameter]: ...

    def features(self, reactions: Sequence[Reaction]) -> torch.Tensor: ...

    def save(self, folder: Path) -> None: ...


class Love:
    """A trained P[Love]. `texts` says what is known about a user."""

    def __init__(
        self,
        readers: Sequence[Reader],
        settings: LoveSettings,
        upsampling: Upsampling,
        temperature: float,
        texts: Texts,
    ) -> None:
        self.readers, self.settings, self.texts = list(readers), settings, texts
        self.upsampling, self.temperature = upsampling, temperature

    @torch.no_grad()
    def logits(self, texts: Sequence[str], reactions: Sequence[Reaction]) -> list[float]:
        """Calibrated log-odds of love for each (text about the user, prompt and answer); labels are not read."""
        if not reactions:
            return []
        f_N = torch.stack([reader.logits(texts, reactions).double() for reader in self.readers]).mean(0)
        return tempered(f_N, self.upsampling, self.temperature).tolist()

    def probability(self, text: str, prompt: str, answer: str) -> float:
        """P(love), 0..1, of one answer, given a text about the user ("" for nobody in particular)."""
        return 1 / (1 + math.exp(-self.logits([text], [Reaction(prompt, answer, True)])[0]))

    def of(self, tested: Sequence[Tested]) -> list[list[float]]:
        """The log-odds of each user's targets, their context read."""
        texts = [self.texts.of(one.user_id, one.context) for one in tested for _ in one.targets]
        values = iter(self.logits(texts, [_reaction(event) for one in tested for event in one.targets]))
        return [[next(values) for _ in one.targets] for one in tested]

    def as_reward_function(self) -> Callable[..., list[float]]:
        """A TRL reward function, f(prompts, completions, summary=..., **columns): P(love) of each completion,
        between 0 and 1. `summary` is any text about the user, also lines of their past; without it, and where
        the model was trained without texts, nobody in particular is asked."""
        told = self.settings.condition != "none"

        def p_love(
            prompts: Sequence[Any], completions: Sequence[Any], summary: Sequence[str] | None = None, **columns: Any
        ) -> list[float]:
            texts = list(summary) if told and summary is not None else [""] * len(prompts)
            reactions = [Reaction(last_text(p), last_text(c), True) for p, c in zip(prompts, completions, strict=True)]
            return torch.sigmoid(torch.tensor(self.logits(texts, reactions), dtype=torch.float64)).tolist()

        return p_love

    def save(self, folder: str | Path) -> None:
        """Write love.json and one folder a member. No reaction, text or user is in them. Raises RunError when
        the folder is in use."""
        folder = Path(folder)
        if folder.exists() and any(folder.iterdir()):
            raise RunError(f"{folder} is in use and nothing is overwritten; give another --output_dir")
        kind = "frozen" if isinstance(self.readers[0], FrozenReader) else "classifier"
        for number, reader in enumerate(self.readers):
            reader.save(folder / f"reader-{number}")
        config = {
            "kind": kind, "readers": len(self.readers), "temperature": self.temperature, **asdict(self.upsampling),
            "read_prompts": getattr(self.readers[0], "read_prompts", True), "settings": asdict(self.settings),
        }  # fmt: skip
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path, embeddings: Embeddings | None = None) -> Love:
        """Open what `save` wrote; `embeddings` are MiniLM's where none are given. A model conditioned on summaries
        is given them by the caller. Raises ModelError."""
        folder = Path(folder)
        if not (folder / CONFIG).is_file():
            raise ModelError(f"{folder} holds no P[Love] (no {CONFIG}); give the --output_dir of a plus love")
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        parts = [folder / f"reader-{number}" for number in range(config["readers"])]
        readers: list[Reader]
        if config["kind"] == "frozen":
            vectors = embeddings or Embeddings(minilm())
            readers = [FrozenReader(vectors, config["read_prompts"]).load(part) for part in parts]
        else:
            readers = [ClassifierReader(RewardModel.from_pretrained(part)) for part in parts]
        settings = LoveSettings(**config["settings"])
        texts = Texts("history" if settings.condition == "history" else "none")
        return cls(readers, settings, Upsampling(config["rate"], config["share"]), config["temperature"], texts)


def fit(
    events: Events,
    settings: LoveSettings,
    new_reader: Callable[[], Reader],
    texts: Texts | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> Love:
    """Train on these users' reactions. The same seed gives the same model."""
    texts = texts or Texts(settings.condition)
    labels = labels_of(events)
    upsampling = Upsampling.of(sum(labels) / len(labels), settings.positive_share)
    names = sorted(events)
    random.Random(f"members-{settings.seed}").shuffle(names)
    readers: list[Reader] = []
    left_f: list[torch.Tensor] = []
    left_labels: list[torch.Tensor] = []
    for number in range(settings.members):
        torch.manual_seed(1000 * settings.seed + number)
        part = set(names[number :: settings.folds])
        held = [cut(user, events[user], settings.seed, settings.share) for user in sorted(part)]
        reader = new_reader()
        f_N, label_N = _member(
            reader, {u: events[u] for u in names if u not in part}, held, settings, upsampling, texts, number, on_step
        )
        readers.append(reader)
        left_f.append(f_N)
        left_labels.append(label_N)
    temperature = fit_temperature(torch.cat(left_f), torch.cat(left_labels), upsampling)
    return Love(readers, settings, upsampling, temperature, texts)


def frozen_readers(read_prompts: bool, embeddings: Embeddings | None = None) -> Callable[[], Reader]:
    """Heads on one table of sentence embeddings, MiniLM's where none is given."""
    vectors = embeddings or Embeddings(minilm())
    return lambda: FrozenReader(vectors, read_prompts)


def classifier_readers(name_or_path: str | Path, **kwargs: Any) -> Callable[[], Reader]:
    """A sequence classifier with a fresh copy for each member; a language model or an encoder gets a head."""
    return lambda: ClassifierReader(RewardModel.from_pretrained(name_or_path, **kwargs))


def _member(
    reader: Reader, events: Events, held: Sequence[Tested], settings: LoveSettings, upsampling: Upsampling, texts: Texts,
    number: int, on_step: Callable[[int, float], None],
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Train one member; its f (N,) of the later reactions of the users left out, and their labels (N,)."""
    said = [texts.of(one.user_id, one.context) for one in held for _ in one.targets]
    reactions = [_reaction(event) for one in held for event in one.targets]
    label_N = torch.tensor([float(reaction.label) for reaction in reactions])
    trained = list(reader.parameters())
    optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    best = Best(trained)
    rng = random.Random(f"rows-{settings.seed}-{number}")
    drawn = batches(
        events, texts, upsampling.weight, settings.users_per_step, settings.reactions_per_user, settings.share,
        settings.dropout, rng,
    )  # fmt: skip
    for step in range(1, settings.max_steps + 1):
        of_batch, rows = next(drawn)
        loss = cross_entropy(reader.logits(of_batch, rows), torch.tensor([float(row.label) for row in rows]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        on_step(step, loss.item())
        if reactions and step % settings.look_every == 0:
            with torch.no_grad():
                f_N = reader.logits(said, reactions)
            best.look(step, cross_entropy(f_N - upsampling.shift, label_N).item())
    best.restore()
    with torch.no_grad():
        return (reader.logits(said, reactions) if reactions else torch.zeros(0)), label_N


def tempered(f_N: torch.Tensor, upsampling: Upsampling, temperature: float) -> torch.Tensor:
    """Log-odds of love (N,) from the network's f: the drawing taken back, then scaled about the log's own rate."""
    base = logit(upsampling.rate)
    return base + temperature * (f_N - upsampling.shift - base)


def fit_temperature(f_N: torch.Tensor, label_N: torch.Tensor, upsampling: Upsampling) -> float:
    """The factor that predicts `label_N` best, between 1/4 and 4; 1 where nothing was left out to fit it on."""
    if not len(f_N) or label_N.unique().numel() < 2:
        return 1.0
    f_N, label_N = f_N.double(), label_N.double()
    low, high = math.log(0.25), math.log(4.0)

    def loss(place: float) -> float:
        return cross_entropy(tempered(f_N, upsampling, math.exp(place)), label_N).item()

    for _ in range(60):  # Golden section: the loss is convex in the factor, so it has one valley.
        third = (high - low) * 0.381966
        if loss(low + third) < loss(high - third):
            high -= third
        else:
            low += third
    return math.exp((low + high) / 2)


def _reaction(event: Event) -> Reaction:
    assert isinstance(event.content, Reaction)
    return event.content
