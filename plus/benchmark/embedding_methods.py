"""The methods of the benchmark on real people: frozen sentence embeddings, a CPU, English.

Every method sees the same rows, batches, budget and optimizer, and is judged with the user's own
history and with another user's. `SETTINGS` were chosen on validation users (notebooks/LOG.md); each
run keeps the weights of its best look at its own validation users.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from plus.baselines import in_context, last_k, oracle, random_k, surprise_k
from plus.baselines.constant import Constant
from plus.baselines.fit import fit
from plus.baselines.longer_wins import LongerWins
from plus.baselines.majority import Majority
from plus.benchmark.cells import Method
from plus.benchmark.fold_predictions import Margins, Write, judged, once
from plus.benchmark.head_baselines import head
from plus.errors import SourceError
from plus.evaluate.predictions import Prediction
from plus.measures import margin, mean
from plus.models.embeddings import Embeddings
from plus.models.event_reader import EventReader
from plus.models.extractive import ExtractiveSummarizer
from plus.prompts import event_lines
from plus.sources.folds import Fold, answers
from plus.sources.resample import recut
from plus.train import loop
from plus.train.coadapt import CoAdaptation
from plus.train.early_stopping import Best
from plus.train.reward_only import train_reward_model
from plus.types import Context, Event, Preference, Scorer, UserHistory


@dataclass(frozen=True)
class Settings:
    """Budget and rates of one data set. `borrow` is `EventReader`'s, and 0 where all answers are known.
    `uniform` counts the random selections per user and update that the reward model also reads."""

    max_steps: int
    look_every: int = 50
    users_per_step: int = 32
    pairs_per_user: int = 12
    num_generations: int = 4
    learning_rate: float = 1e-3
    reward_learning_rate: float = 1e-3
    weight_decay: float = 0.05
    uniform: int = 2
    borrow: float = 0.3
    share: float = 0.6


SETTINGS = {
    "polis": Settings(max_steps=400),
    "llmfao": Settings(max_steps=150, look_every=25, reward_learning_rate=3e-4),
    "ukpconvarg1": Settings(max_steps=200, look_every=50),
}
SEEDS = {"polis": 3, "llmfao": 3, "ukpconvarg1": 1}


class People:
    """All methods for one data set; `methods()` is what `benchmark.run` takes.

    Models that a later method reads with again (cross-reading) are kept for the fold and seed at hand.
    """

    def __init__(self, embeddings: Embeddings, settings: Settings, ks: Sequence[int] = (4, 8)) -> None:
        self.embeddings, self.settings, self.ks = embeddings, settings, tuple(ks)
        self.kept: dict[str, tuple[EventReader, Write]] = {}
        self.at: tuple[str, int] | None = None

    def methods(self) -> dict[str, Method]:
        """Name -> method, cheap ones first."""
        found: dict[str, Method] = {
            "constant": partial(self.counted, "constant", lambda fold: Constant()),
            "majority": partial(self.counted, "majority", _majority),
            "longer_wins": partial(self.counted, "longer_wins", lambda fold: LongerWins()),
            "dpl_mean_variance": partial(self.fitted, "dpl_mean_variance"),
            "dpl_categorical": partial(self.fitted, "dpl_categorical"),
            "vpl": partial(self.fitted, "vpl"),
            "low_rank": partial(self.fitted, "low_rank"),
            "bradley_terry": partial(self.read, "bradley_terry"),
            "in_context": partial(self.read, "in_context"),
            "oracle": partial(self.read, "oracle"),
        }
        for k in self.ks:
            for name in ("random", "last", "surprise", "untrained", "extractive"):
                found[f"{name}_{k}"] = partial(self.read, f"{name}_{k}")
        found[f"extractive_text_{self.ks[-1]}"] = partial(self.read, f"extractive_text_{self.ks[-1]}")
        return found

    def counted(self, name: str, scorer_of: Callable[[Fold], Scorer], fold: Fold, seed: int) -> list[Prediction]:
        """A scorer that is told nothing about the user."""
        scorer = scorer_of(fold)

        def margins(histories: Sequence[UserHistory], pairs: Sequence[Preference]) -> list[float]:
            return [margin(value) for value in scorer.log_likelihood([""] * len(pairs), pairs)]

        return judged(name, fold, seed, margins, shuffled=False)

    def fitted(self, name: str, fold: Fold, seed: int) -> list[Prediction]:
        """The baselines with a head of their own."""
        torch.manual_seed(seed)
        self._embed(fold)
        model, margins = head(name, self.embeddings, fold.population.users("train"), seed)
        best, settings = Best(model.parameters()), self.settings
        validation = fold.population.split("validation")
        past, pairs = [e.history for e in validation], [e.target for e in validation]

        def look(step: int, loss: float) -> None:
            if step % settings.look_every or not pairs:
                return
            values = torch.tensor(margins(past, pairs))
            best.look(step, -torch.nn.functional.logsigmoid(values).mean().item())

        fit(
            model.parameters(), model.loss, _training(fold), settings.max_steps, settings.users_per_step,
            settings.reward_learning_rate, settings.weight_decay, seed, self._redraw(fold, seed), look,
        )  # fmt: skip
        best.restore()
        return judged(name, fold, seed, margins, shuffled=not name.startswith("dpl"))

    def read(self, name: str, fold: Fold, seed: int) -> list[Prediction]:
        """A reward model that reads a text: the methods differ in who writes it."""
        reader, write = self.trained(name, fold, seed)
        found = judged(name, fold, seed, _margins(reader, write), shuffled=name != "bradley_terry")
        kind, _, k = name.rpartition("_")
        if kind == "extractive":  # Portability: readers never trained on these selections, and the other way round.
            for other in (f"random_{k}", "in_context"):
                stranger, _ = self.trained(other, fold, seed)
                found += judged(f"{name}, read by {other}", fold, seed, _margins(stranger, write), shuffled=False)
            _, uniform = self.trained(f"random_{k}", fold, seed)
            found += judged(f"random_{k}, read by {name}", fold, seed, _margins(reader, uniform), shuffled=False)
        return found

    def trained(self, name: str, fold: Fold, seed: int) -> tuple[EventReader, Write]:
        """The reward model of a method and the writer whose texts it reads, trained once."""
        if self.at != (fold.name, seed):
            self.at, self.kept = (fold.name, seed), {}
        if name not in self.kept:
            self._embed(fold)
            torch.manual_seed(seed)
            self.kept[name] = self._train(name, fold, seed)
        return self.kept[name]

    def _train(self, name: str, fold: Fold, seed: int) -> tuple[EventReader, Write]:
        settings, kind = self.settings, name.rpartition("_")[0]
        known = {text for past in fold.events.values() for event in past for text in answers(event)}
        borrow = settings.borrow if fold.group == "new answers" else 0.0
        reader = EventReader(self.embeddings, known, borrow, label_as_text=kind == "extractive_text")
        if reader.label_as_text:  # At once, before training meets the lines one by one.
            lines = {line for event in _events(fold) for line in event_lines(event).split("\n")}
            self.embeddings.ids(sorted(lines))
        optimizer = torch.optim.AdamW(
            reader.model.parameters(), lr=settings.reward_learning_rate, weight_decay=settings.weight_decay
        )
        coadaptation = CoAdaptation(reader, optimizer, pairs_per_user=settings.pairs_per_user, seed=seed)
        if kind in ("extractive", "extractive_text"):
            return reader, self._plus(int(name.rpartition("_")[2]), coadaptation, fold, seed)
        write = self._writer(name, fold, seed)
        best = Best(reader.model.parameters())
        train_reward_model(
            coadaptation, write, _training(fold), settings.max_steps, settings.users_per_step,
            lambda step, loss: self._look(best, step, reader, write, fold), self._redraw(fold, seed),
        )  # fmt: skip
        best.restore()
        return reader, write

    def _writer(self, name: str, fold: Fold, seed: int) -> Write:
        kind, _, k = name.rpartition("_")
        if name == "bradley_terry":
            return lambda histories: [""] * len(histories)
        if name == "in_context":
            return partial(once, in_context.texts)
        if name == "oracle":  # Raises for real people, and the report says so.
            personas = oracle.summaries(fold.population)
            return lambda histories: [personas[history.user_id] for history in histories]
        if kind == "random":  # A draw for every choice, so that a test user's accuracy is the mean over draws.
            return partial(random_k.texts, k=int(k), rng=random.Random(f"random-{seed}"))
        if kind == "last":
            return partial(once, partial(last_k.texts, k=int(k)))
        if kind == "surprise":
            return partial(once, partial(surprise_k.texts, k=int(k), majority=_majority(fold)))
        return partial(once, ExtractiveSummarizer(self.embeddings, int(k)).summarize)

    def _plus(self, k: int, coadaptation: CoAdaptation, fold: Fold, seed: int) -> Write:
        """The method itself: `train/loop.py`, with a summarizer that selects."""
        settings, reader = self.settings, coadaptation.reward_model
        summarizer = ExtractiveSummarizer(self.embeddings, k)
        optimizer = torch.optim.AdamW(
            summarizer.model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        write = partial(once, summarizer.summarize)
        best = Best([*reader.model.parameters(), *summarizer.model.parameters()])
        rng = random.Random(f"uniform-{seed}")

        def uniform(histories: Sequence[UserHistory]) -> list[str]:
            return [text for _ in range(settings.uniform) for text in random_k.texts(histories, k, rng)]

        loop.train(
            summarizer.sample, optimizer, coadaptation, _training(fold), settings.max_steps, settings.users_per_step,
            settings.num_generations, beta=0.0, seed=seed, redraw=self._redraw(fold, seed),
            on_step=lambda step, metrics: self._look(best, step, reader, write, fold),
            also_read=uniform if settings.uniform else None,
        )  # fmt: skip
        best.restore()
        return write

    def _look(self, best: Best, step: int, reader: Any, write: Write, fold: Fold) -> None:
        """A look at the validation users every so often."""
        if step % self.settings.look_every:
            return
        validation = fold.population.split("validation")
        if not validation:
            return
        texts = write([example.history for example in validation])
        best.look(step, -mean(reader.log_likelihood(texts, [example.target for example in validation])))

    def _redraw(self, fold: Fold, seed: int) -> Callable[[Context], Context]:
        rng, settings = random.Random(f"recut-{seed}"), self.settings

        def redraw(context: Context) -> Context:
            user = context.history.user_id
            if user not in fold.events:
                return context
            for _ in range(5):  # A cut may leave nothing to predict.
                past, pairs = recut(fold.events[user], rng, settings.share, settings.pairs_per_user)
                if pairs:
                    return Context(UserHistory(user, past), pairs)
            return context

        return redraw

    def _embed(self, fold: Fold) -> None:
        """Every answer at once, before training meets them one by one."""
        targets = [example.target for example in fold.population.examples]
        texts = {text for target in targets for text in (target.chosen, target.rejected)}
        texts |= {text for event in _events(fold) for text in answers(event)}
        self.embeddings.ids(sorted(texts))


def _margins(reader: EventReader, write: Write) -> Margins:
    def margins(histories: Sequence[UserHistory], pairs: Sequence[Preference]) -> list[float]:
        return [margin(value) for value in reader.log_likelihood(write(histories), pairs)]

    return margins


def _events(fold: Fold) -> set[Event]:
    """Everything that may be read: training events and the contexts of those who are tested."""
    contexts = {event for row in fold.population.rows for event in row.history.events}
    return contexts | {event for past in fold.events.values() for event in past}


def _training(fold: Fold) -> list[Context]:
    rows = fold.population.contexts("train")
    if not rows:
        raise SourceError(f"{fold.name} has no user to train on; give more data")
    return rows


def _majority(fold: Fold) -> Majority:
    return Majority((), [event for past in fold.events.values() for event in past])
