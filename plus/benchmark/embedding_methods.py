"""Methods of the benchmark on real people: frozen sentence embeddings, a CPU, English.

Every method sees the same rows, batches, budget and optimizer, and is judged with the user's own
history and with another user's. `SETTINGS` were chosen on validation users (notebooks/LOG.md); each
run keeps the weights of its best look at its own validation users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch

from plus.baselines import in_context
from plus.baselines.methods import Given, HeadRow, ScorerRow, Write, WriterRow, find
from plus.benchmark.cells import Method, Read, fold_predictions
from plus.errors import SourceError
from plus.evaluate.predictions import Prediction
from plus.measures import estimate_tokens, margin
from plus.models.embedding_reward_model import EmbeddingRewardModel
from plus.models.embeddings import Embeddings
from plus.prompts import event_lines
from plus.sources.folds import Fold, answers
from plus.train.reward_only import Best, fit
from plus.train.select import SelectData, SelectSettings, batches, once, train_on_texts, train_select
from plus.types import Context, Event, Preference, UserHistory

# Budget and rates; `borrow` holds where the answers of a fold are new.
Settings = SelectSettings


def stored(settings: SelectSettings) -> dict[str, Any]:
    """Turn settings into what benchmark.json holds: the names of before, without the events of a summary, which the
    methods' names say."""
    kept = {"look_every" if name == "eval_steps" else name: value for name, value in asdict(settings).items()}
    del kept["events_per_summary"]
    if kept["max_completion_length"] is None:  # As before there was a budget.
        del kept["max_completion_length"]
    return kept


KS = (4, 8)  # events in a text of the tables of named data sets
SETTINGS = {
    "polis": Settings(max_steps=400, borrow=0.3),
    "llmfao": Settings(max_steps=150, eval_steps=25, reward_learning_rate=3e-4, borrow=0.3),
    "spi": Settings(borrow=0.3),
    "ukpconvarg1": Settings(max_steps=200, eval_steps=50, borrow=0.3),
}
OWN_ROWS = Settings(borrow=0.3)  # the select engine's defaults
MOST_KNOWN = 3000  # training answers that a new one borrows from: every update compares with all of them
SEEDS = {"polis": 3, "llmfao": 3, "spi": 1, "ukpconvarg1": 1}


@dataclass(frozen=True)
class Reading:
    """A trained reward model, what writes the texts it reads, and whether those are about the user."""

    reward_model: EmbeddingRewardModel
    write: Write
    personal: bool = True

    def margins(self, histories: Sequence[UserHistory], pairs: Sequence[Preference]) -> Read:
        """Compute each pair's margin given the text about its history, and count the tokens of that."""
        texts = self.write(histories)
        tokens = {text: estimate_tokens(text) for text in set(texts)}
        margins = [margin(value) for value in self.reward_model.log_likelihood(texts, pairs)]
        return Read(margins, [tokens[text] for text in texts])


class EmbeddingMethods:
    """All methods for one data set; `methods()` is what `cells.run` takes.

    They are the baselines' own rows (`plus.baselines.methods`) and the method itself: `extractive_K` and
    `extractive_text_K`. On rows of one's own (`own_rows`) there is also `in_context_cut_K`, the newest events that fit
    in as many tokens as the text of `extractive_K` has, and the answers of a fold say whether they borrow. Models that
    a later method reads with again (cross-reading) are kept for the fold and seed at hand.
    """

    def __init__(
        self, embeddings: Embeddings, settings: Settings, ks: Sequence[int] = KS, own_rows: bool = False
    ) -> None:
        self.embeddings, self.settings, self.ks, self.own_rows = embeddings, settings, tuple(ks), own_rows
        self.rows = find("EMBEDDING_METHODS")
        self.kept: dict[str, Reading] = {}
        self.at: tuple[str, int] | None = None

    def methods(self) -> dict[str, Method]:
        """Map each name to its method, cheap ones first."""
        found: dict[str, Method] = {}
        of_k = [name for name, row in self.rows.items() if isinstance(row, WriterRow) and row.of_k]
        for name, row in self.rows.items():
            match row:
                case ScorerRow():
                    found[name] = partial(self.score, name, row)
                case HeadRow():
                    found[name] = partial(self.train_head, name, row)
                case WriterRow(of_k=False):
                    found[name] = partial(self.read, name)
        # Rows of k events, for each k; the method itself comes last.
        for k in self.ks:
            for name in (*of_k, "extractive"):
                found[f"{name}_{k}"] = partial(self.read, f"{name}_{k}")
        if self.own_rows:
            found[f"in_context_cut_{self.ks[-1]}"] = partial(self.read, f"in_context_cut_{self.ks[-1]}")
        found[f"extractive_text_{self.ks[-1]}"] = partial(self.read, f"extractive_text_{self.ks[-1]}")
        return found

    def score(self, name: str, row: ScorerRow, fold: Fold, seed: int) -> list[Prediction]:
        """Predict with a scorer that is told nothing about the user."""
        scorer = row.make(_training_events(fold))

        def margins(histories: Sequence[UserHistory], pairs: Sequence[Preference]) -> list[float]:
            return [margin(value) for value in scorer.log_likelihood([""] * len(pairs), pairs)]

        return fold_predictions(name, fold, seed, margins, shuffled=False)

    def train_head(self, name: str, row: HeadRow, fold: Fold, seed: int) -> list[Prediction]:
        """Train a baseline with a head of its own, keep its best look, and predict."""
        torch.manual_seed(seed)
        self._embed(fold)
        model = row.make(self.embeddings, fold.population.users("train"), seed)
        margins, settings = row.margins(model), self.settings
        # Every look measures the log-likelihood of the validation users' choices.
        best = Best(model.parameters())
        validation = fold.population.split("validation")
        past, pairs = [e.history for e in validation], [e.target for e in validation]

        def look(step: int, loss: float) -> None:
            if step % settings.eval_steps or not pairs:
                return
            values = torch.tensor(margins(past, pairs))
            best.look(step, -torch.nn.functional.logsigmoid(values).mean().item())

        fit(
            model.parameters(), model.loss, batches(data_of(fold), settings, seed), settings.max_steps,
            settings.reward_learning_rate, settings.weight_decay, look,
        )  # fmt: skip
        best.restore()
        return fold_predictions(name, fold, seed, margins, shuffled=row.personal)

    def read(self, name: str, fold: Fold, seed: int) -> list[Prediction]:
        """Predict with a reward model that reads a text: the methods differ in what writes it."""
        own = self.trained(name, fold, seed)
        found = fold_predictions(name, fold, seed, own.margins, shuffled=own.personal)
        kind, _, k = name.rpartition("_")
        if kind == "extractive":  # Portability: readers never trained on these selections, and the other way round.
            for other in (f"random_{k}", "in_context"):
                crossed = Reading(self.trained(other, fold, seed).reward_model, own.write)
                found += fold_predictions(f"{name}, read by {other}", fold, seed, crossed.margins, shuffled=False)
            crossed = Reading(own.reward_model, self.trained(f"random_{k}", fold, seed).write)
            found += fold_predictions(f"random_{k}, read by {name}", fold, seed, crossed.margins, shuffled=False)
        return found

    def trained(self, name: str, fold: Fold, seed: int) -> Reading:
        """Train the reward model of a method on its texts, once for the fold and seed at hand."""
        if self.at != (fold.name, seed):
            self.at, self.kept = (fold.name, seed), {}
        if name not in self.kept:
            self._embed(fold)
            torch.manual_seed(seed)
            self.kept[name] = self._train(name, fold, seed)
        return self.kept[name]

    def _train(self, name: str, fold: Fold, seed: int) -> Reading:
        kind, _, k = name.rpartition("_")
        data, settings = data_of(fold), self._settings(fold)
        # The method trains what writes the texts too; the baselines' texts are given.
        if kind in ("extractive", "extractive_text"):
            as_text = kind == "extractive_text"
            if as_text:  # At once, before training meets the lines one by one.
                lines = {line for event in _events(fold) for line in event_lines(event).split("\n")}
                self.embeddings.ids(sorted(lines))
            chosen = replace(settings, events_per_summary=int(k))
            found = train_select(data, self.embeddings, chosen, seed, label_as_text=as_text)
            found.summarizer.trusted = True  # The table shows the learned selection, also where it is worse.
            return Reading(found.reward_model, partial(once, found.summarizer.summarize))
        if kind == "in_context_cut":
            plus = self.trained(f"extractive_{k}", fold, seed)

            def newest(histories: Sequence[UserHistory]) -> list[str]:
                return in_context.newest_within(histories, [estimate_tokens(text) for text in plus.write(histories)])

            cut = partial(once, newest)
            return Reading(train_on_texts(data, self.embeddings, settings, cut, seed), cut)
        row = self.rows.get(name) or self.rows[kind]
        assert isinstance(row, WriterRow)
        given = Given(fold.population, _training_events(fold), self.embeddings, seed)
        write = row.make(given, int(k) if row.of_k else 0)
        return Reading(train_on_texts(data, self.embeddings, settings, write, seed), write, row.personal)

    def _settings(self, fold: Fold) -> SelectSettings:
        """Settings of a fold: answers borrow only where they are new."""
        new = fold.group == "new answers" or (self.own_rows and _are_new(fold))
        return self.settings if new else replace(self.settings, borrow=0.0)

    def _embed(self, fold: Fold) -> None:
        """Embed every answer at once, before training meets them one by one."""
        targets = [example.target for example in fold.population.examples]
        texts = {text for target in targets for text in (target.chosen, target.rejected)}
        texts |= {text for event in _events(fold) for text in answers(event)}
        self.embeddings.ids(sorted(texts))


def data_of(fold: Fold) -> SelectData:
    """Take what training reads of a fold. Raises SourceError where no user can be trained on."""
    return SelectData(_training(fold), fold.events, fold.population.contexts("validation"))


def _are_new(fold: Fold) -> bool:
    """Tell whether most test answers stand in no training row, and these are few enough to borrow from."""
    known = data_of(fold).known_answers()
    held = [text for e in fold.population.split("test") for text in (e.target.chosen, e.target.rejected)]
    return len(known) <= MOST_KNOWN and 2 * sum(text not in known for text in held) > len(held)


def _events(fold: Fold) -> set[Event]:
    """Collect what may be read: training events and the contexts of the users who are tested."""
    # An event of several contexts is read once.
    contexts = {event for row in fold.population.rows for event in row.history.events}
    return contexts | {event for past in fold.events.values() for event in past}


def _training_events(fold: Fold) -> list[Event]:
    return [event for past in fold.events.values() for event in past]


def _training(fold: Fold) -> list[Context]:
    rows = fold.population.contexts("train")
    if not rows:
        raise SourceError(f"{fold.name} has no user to train on; give more data")
    return rows
