"""The select engine in training: a summarizer that selects past events, and the reward model that reads them.

The method of `loop.py` with no language model: choices, reactions and remarks of real people, on a laptop's CPU. In
each update a training user's events are cut anew into context and targets; the reward model also reads random
selections, so that it can read any text and the pair invents no code. With few users a learned selection can be
worse than a random one: the validation users decide whether it is used (`trusted`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle
from typing import Any

import torch

from plus.measures import mean
from plus.models.embedding_reward_model import EmbeddingRewardModel
from plus.models.embeddings import Embeddings
from plus.models.extractive import ExtractiveSummarizer, random_selection
from plus.models.shorten import EventLines
from plus.prompts import read_event_lines
from plus.sources.contexts import resample
from plus.sources.folds import answers
from plus.train import loop
from plus.train.coadapt import CoAdaptation, Row
from plus.train.loop import shuffled
from plus.train.reward_only import Best, one_thread, train_reward_model
from plus.types import Context, Event, Population, Preference, UserHistory

Write = Callable[[Sequence[UserHistory]], Sequence[str]]
OnStep = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class SelectSettings:
    """Budget and rates, chosen on validation users (notebooks/LOG.md).

    events_per_summary: events that a summary holds. uniform: random selections per user and update that the reward
    model also reads. borrow: share of training pairs read as if their answers were new; 0 where all answers are known.
    share: of a training user's events that becomes context at each cut. eval_steps: updates between two looks at the
    validation users. max_completion_length: tokens of a summary (`estimate_tokens`), of which every event has an equal
    share; long answers are cut to it. None writes them out.
    """

    events_per_summary: int = 8
    max_completion_length: int | None = None
    max_steps: int = 400
    eval_steps: int = 50
    users_per_step: int = 32
    pairs_per_user: int = 12
    num_generations: int = 4
    learning_rate: float = 1e-3
    reward_learning_rate: float = 1e-3
    weight_decay: float = 0.05
    uniform: int = 2
    borrow: float = 0.0
    share: float = 0.6


@dataclass
class Selected:
    """A trained summarizer and reward model, with what the validation users said of them.

    learned and random are the mean log-likelihood of the validation users' choices, read by the same reward model
    from the learned and from a random selection; None without validation users. trusted: whether the learned
    selection is used.
    """

    summarizer: ExtractiveSummarizer
    reward_model: EmbeddingRewardModel
    step: int
    learned: float | None = None
    random: float | None = None
    trusted: bool = True


@dataclass(frozen=True)
class SelectData:
    """Rows of one training: training contexts, whole logs of the training users, and validation contexts."""

    training: Sequence[Context]
    events: Mapping[str, Sequence[Event]]
    validation: Sequence[Context] = field(default=())

    @classmethod
    def of(cls, population: Population) -> SelectData:
        """Take the rows of a population; users without a whole log are read as they were cut."""
        training = population.contexts("train")
        users = {row.history.user_id for row in training}
        mixed = {row.history.user_id for row in population.rows if row.split != "train"}
        # A user who is tested too (by topics, by later choices) must not be cut anew: the log holds the tested choices.
        whole = {user: past for user, past in population.events.items() if user in users - mixed}
        return cls(training, whole, population.contexts("validation"))

    def known_answers(self) -> set[str]:
        """Collect the answers that the training rows hold."""
        found = {text for past in self.events.values() for event in past for text in answers(event)}
        found |= {text for row in self.training for pair in row.pairs for text in (pair.chosen, pair.rejected)}
        return found | {text for row in self.training for event in row.history.events for text in answers(event)}


@one_thread()
def train_select(
    data: SelectData,
    embeddings: Embeddings,
    settings: SelectSettings,
    seed: int = 0,
    on_step: OnStep = lambda step, metrics: None,
    label_as_text: bool = False,
) -> Selected:
    """Train summarizer and reward model together and keep the weights of the best look at the validation users.

    label_as_text: the reward model embeds every line as it stands (an ablation).
    """
    torch.manual_seed(seed)
    reward_model, reward_optimizer = new_reward_model(data, embeddings, settings, label_as_text)
    k = settings.events_per_summary
    summarizer = ExtractiveSummarizer(embeddings, k, tokens=settings.max_completion_length)
    optimizer = torch.optim.AdamW(
        summarizer.model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    best = Best([*reward_model.model.parameters(), *summarizer.model.parameters()])
    write = partial(once, summarizer.summarize)
    # Random selections that the reward model reads too, so that it can read any.
    rng = random.Random(f"uniform-{seed}")

    def uniform(histories: Sequence[UserHistory]) -> list[str]:
        draws = (random_selection(histories, k, rng, summarizer.lines) for _ in range(settings.uniform))
        return [text for texts in draws for text in texts]

    both = TwoWriters(
        summarizer.sample, uniform, reward_model, reward_optimizer, pairs_per_user=settings.pairs_per_user, seed=seed
    )

    def look(step: int, metrics: dict[str, float]) -> None:
        if step % settings.eval_steps == 0 and (loss := validation_loss(data, reward_model, write)):
            best.look(step, loss)
            metrics = metrics | {"validation_loss": loss}
        on_step(step, metrics)

    loop.train(
        both.sample, optimizer, both, batches(data, settings, seed), settings.max_steps, settings.num_generations,
        beta=0.0, on_step=look,
    )  # fmt: skip
    best.restore()
    return _judged(data, Selected(summarizer, reward_model, best.step or settings.max_steps), settings, seed)


@one_thread()
def train_on_texts(
    data: SelectData,
    embeddings: Embeddings,
    settings: SelectSettings,
    write: Write,
    seed: int = 0,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> EmbeddingRewardModel:
    """Train a baseline: the same reward model, rows, budget and optimizer, on the texts that `write` gives."""
    torch.manual_seed(seed)
    reward_model, optimizer = new_reward_model(data, embeddings, settings)
    best = Best(reward_model.model.parameters())

    def look(step: int, loss: float) -> None:
        if step % settings.eval_steps == 0 and (value := validation_loss(data, reward_model, write)):
            best.look(step, value)
        on_step(step, loss)

    coadaptation = CoAdaptation(reward_model, optimizer, pairs_per_user=settings.pairs_per_user, seed=seed)
    train_reward_model(coadaptation, write, batches(data, settings, seed), settings.max_steps, look)
    best.restore()
    return reward_model


def new_reward_model(
    data: SelectData, embeddings: Embeddings, settings: SelectSettings, label_as_text: bool = False
) -> tuple[EmbeddingRewardModel, torch.optim.Optimizer]:
    """Make an untrained reward model that knows the training answers, and its optimizer."""
    reward_model = EmbeddingRewardModel(embeddings, data.known_answers(), settings.borrow, label_as_text)
    optimizer = torch.optim.AdamW(
        reward_model.model.parameters(), lr=settings.reward_learning_rate, weight_decay=settings.weight_decay
    )
    return reward_model, optimizer


def batches(data: SelectData, settings: SelectSettings, seed: int) -> Iterator[list[Context]]:
    """Yield batches of training users, each user's events cut into context and targets anew."""
    rng = random.Random(f"recut-{seed}")

    def cut_anew(row: Context) -> Context:
        user = row.history.user_id
        if user not in data.events:
            return row
        for _ in range(5):  # A cut may leave nothing to predict.
            past, pairs = resample(data.events[user], rng, settings.share, settings.pairs_per_user)
            if pairs:
                return replace(row, history=UserHistory(user, past), pairs=pairs)
        return row

    for batch in shuffled(data.training, settings.users_per_step, seed):
        yield [cut_anew(row) for row in batch]


def validation_loss(data: SelectData, reward_model: EmbeddingRewardModel, write: Write) -> float | None:
    """Compute the mean negative log-likelihood of the validation users' choices; None where there are none."""
    if not data.validation:
        return None
    flat = [(row.history, pair) for row in data.validation for pair in row.pairs]
    texts = write([history for history, _ in flat])  # A text for each choice: a random writer draws for each.
    return -mean(reward_model.log_likelihood(texts, [pair for _, pair in flat]))


def lines_of(settings: SelectSettings) -> EventLines:
    """Make the renderer of events that summaries within these settings are written with."""
    tokens = settings.max_completion_length
    return EventLines(None if tokens is None else tokens // settings.events_per_summary)


def once(write: Callable[[Sequence[UserHistory]], Sequence[str]], histories: Sequence[UserHistory]) -> list[str]:
    """Write a text for each history, but each of them only once, and repeat it."""
    distinct = {id(history): history for history in histories}
    texts = dict(zip(distinct, write(list(distinct.values())), strict=True))
    return [texts[id(history)] for history in histories]


def _judged(data: SelectData, found: Selected, settings: SelectSettings, seed: int) -> Selected:
    """Let the validation users say whether the learned selection beats a random one of as many events."""
    rng = random.Random(f"trust-{seed}")

    def at_random(histories: Sequence[UserHistory]) -> list[str]:
        return random_selection(histories, settings.events_per_summary, rng, found.summarizer.lines)

    learned = validation_loss(data, found.reward_model, partial(once, found.summarizer.summarize))
    draws = [validation_loss(data, found.reward_model, at_random) for _ in range(8)]
    if learned is None:
        return found
    found.learned, found.random = -learned, -mean(draw for draw in draws if draw is not None)
    found.trusted = found.summarizer.trusted = found.learned >= found.random
    return found


class TwoWriters(CoAdaptation):
    """Co-adaptation with a second writer: the reward model learns to read its texts too, and they earn no reward.

    A reward model that reads two writers leaves less room for a private code. `sample` is the sampler to train with;
    `other` writes further texts, the same number for each history.
    """

    def __init__(self, sampler: loop.Sampler, other: Write, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sampler, self.other = sampler, other
        self.histories: Sequence[UserHistory] = ()

    def sample(
        self, histories: Sequence[UserHistory], num_generations: int
    ) -> tuple[list[str], torch.Tensor, torch.Tensor, torch.Tensor]:
        """Sample as the summarizer does, and remember the histories for `update`."""
        self.histories = histories
        return self.sampler(histories, num_generations)

    def update(self, rows: Sequence[Row]) -> tuple[list[float], dict[str, float]]:
        """Score the summaries and the other writer's texts, step once on both, and return the summaries' rewards."""
        first_of_user = rows[:: len(rows) // len(self.histories)]
        texts = self.other(self.histories)
        read_too = [Row(text, row.user_id, row.pairs) for text, row in zip(texts, cycle(first_of_user))]
        rewards, metrics = super().update([*rows, *read_too])
        return rewards[: len(rows)], metrics


def embed(data: SelectData, population: Population, embeddings: Embeddings, settings: SelectSettings) -> list[str]:
    """Embed every answer and every line of the data at once, before training meets them one by one; returns them."""
    targets: list[Preference] = [pair for row in population.rows for pair in row.pairs]
    texts = {text for pair in targets for text in (pair.chosen, pair.rejected)} | data.known_answers()
    # What summaries say: answers too, and long ones as they are cut.
    lines = lines_of(settings)
    events = {event for history in population.histories.values() for event in history.events}
    events |= {event for past in data.events.values() for event in past}
    texts |= {side for event in events for sides in read_event_lines(lines(event)) for side in sides}
    found = sorted(texts)
    embeddings.ids(found)
    return found
