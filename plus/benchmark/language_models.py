"""Methods of the benchmark with language models: tiny ones on synthetic users, a base for each seed, or one's own.

Every method that reads a text is the same reward model on the same rows, updates, batches and
optimizer; they differ in what writes the text. Heads on frozen states (DPL, VPL, low rank) are so cheap
that they get more updates than any other. A seed draws users, base, order and sampling anew, for all
methods alike, so that differences are paired.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from plus import datasets
from plus.baselines.methods import HeadRow, Language, ScorerRow, TextRow, find
from plus.baselines.vpl import past_pairs
from plus.benchmark.cells import Margins, Method, OnCell, Results, fold_predictions, run
from plus.errors import SourceError
from plus.evaluate.controls import learning_curve
from plus.evaluate.predictions import Prediction
from plus.measures import margin
from plus.models.embeddings import Embeddings, backbone
from plus.models.reward_model import RewardModel
from plus.sources.folds import Fold
from plus.train import run as training
from plus.train import settings as options
from plus.train.loop import shuffled
from plus.train.reward_only import fit
from plus.types import Population, Preference, Scorer, Summarizer, UserHistory
from plus.worlds import pets

CURVE = ", by past events"  # the rows of the learning curve, under their method's name
# Prompts that ask what the data are about, beside those that fit any data.
QUESTION = {"pets": pets.FAVOURITE_QUESTION, "styles": "Which topic, tone and length of answers does this user like?"}
HEAD_BATCH = 32  # users in an update of a head on frozen states
ANYTHING = "How does this user want to be answered?"


@dataclass(frozen=True)
class Budget:
    """Updates of every method that trains a language model, and of the heads on frozen states.

    Reading a whole history is learned more slowly than reading a sentence: with `long_steps` there is a
    row `in_context_long` of as many updates, so that a slower method is not taken for a worse one.
    """

    max_steps: int
    head_steps: int = 1500
    long_steps: int = 0

    def in_words(self, bases: str) -> str:
        """Describe the budget in a line of the report."""
        long = f", {self.long_steps} of in_context_long" if self.long_steps else ""
        return f"{self.max_steps} updates ({self.head_steps} of the heads on frozen states{long}), {bases}"


BUDGETS = {
    "pets": Budget(240),
    "pets_ood": Budget(80, long_steps=240),
    "pets_ood_k2": Budget(60),
    "styles": Budget(100, long_steps=300),
    "styles_unlabelled": Budget(100),
}
QUICK = Budget(40, 600)
SEEDS = 5


class LanguageModelMethods:
    """All methods for one data set; `methods()` and `folds` are what `cells.run` takes.

    They are the baselines' own rows (`plus.baselines.methods`) and PLUS. `folder` keeps the runs of PLUS;
    `base_of(seed)` is the base that everything starts from, and `load(seed)` the users, by default those
    of the data set. `given` are a run's resolved options, for models and data of one's own instead of
    tiny ones; then there is no `base_of`.
    """

    def __init__(
        self,
        dataset_name: str,
        folder: Path,
        budget: Budget,
        base_of: Callable[[int], Path],
        say: Callable[[str], None] = print,
        load: Callable[[int], Population] | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        self.dataset_name, self.folder, self.budget = dataset_name, folder, budget
        self.base_of, self.say, self.given = base_of, say, given
        data = {"data_dir": None, **(given or {}), "dataset_name": dataset_name}
        self.load = load or (lambda seed: datasets.from_settings({**data, "seed": seed}))
        self.rows = find("LANGUAGE_MODEL_METHODS")
        self.kept: dict[str, RewardModel] = {}
        self.at: int | None = None

    def folds(self, seed: int) -> list[Fold]:
        """Load the population of one seed as the only fold; its base is made now, outside any method's time."""
        if self.given is None:
            self.base_of(seed)
        return [Fold(self.dataset_name, "new users", self.load(seed))]

    def best_possible(self, seeds: Sequence[int]) -> dict[int, float]:
        """Map each seed to the accuracy of a perfect reader of the contexts, where it is known."""
        found = {seed: self.load(seed).best_possible for seed in seeds}
        return {seed: value for seed, value in found.items() if value is not None}

    def methods(self) -> dict[str, Method]:
        """Map each name to its method, cheap ones first."""
        found: dict[str, Method] = {}
        for name, row in self.rows.items():
            match row:
                case ScorerRow():
                    found[name] = partial(self.score, name, row)
                case HeadRow():
                    found[name] = partial(self.train_head, name, row)
                case TextRow() if self.budget.long_steps or not row.long:
                    found[name] = partial(self.read, name, row)
        # The method itself comes last; users of two seeds of a synthetic world are different people.
        found["plus"] = self.plus
        if self.dataset_name not in datasets.SYNTHETIC:
            return found
        return {name: partial(_new_users, method) for name, method in found.items()}

    def settings(self, seed: int) -> dict[str, Any]:
        """Resolve the options of a run."""
        name = self.folder.name if self.given else self.dataset_name
        run = {"seed": seed, "output_dir": str(self.folder / "runs" / f"{name}-{seed}")}
        # One's own models have options of their own; the tiny ones are trained alike on all data.
        if self.given is not None:
            return {**self.given, **run}
        return options.resolve(
            {
                "preset": "tiny", "dataset_name": self.dataset_name, "model_name_or_path": str(self.base_of(seed)),
                "max_steps": self.budget.max_steps, "reward_max_length": 512, "save_steps": 20, **run,
            }
        )  # fmt: skip

    def score(self, name: str, row: ScorerRow, fold: Fold, seed: int) -> list[Prediction]:
        """Predict with a scorer that learns nothing."""
        return fold_predictions(name, fold, seed, _margins(row.make(()), {}), shuffled=False)

    def train_head(self, name: str, row: HeadRow, fold: Fold, seed: int) -> list[Prediction]:
        """Train a baseline with a head of its own on the base's states of an answer's words, and predict."""
        if row.personal and not any(past_pairs(h) for h in fold.population.histories.values()):
            raise SourceError(f"{name} reads past choices, and the contexts of {fold.name} hold none")
        _, backbone_model = training.placed_models(self.settings(seed))
        torch.manual_seed(seed)
        model = row.make(Embeddings(backbone(backbone_model)), fold.population.users("train"), seed)
        batches = shuffled(fold.population.contexts("train"), HEAD_BATCH, seed)
        fit(model.parameters(), model.loss, batches, self.budget.head_steps)
        return fold_predictions(name, fold, seed, row.margins(model), shuffled=row.personal)

    def read(self, name: str, row: TextRow, fold: Fold, seed: int) -> list[Prediction]:
        """Train a reward model on texts that stay as they are, and predict."""
        texts = self.texts(name, fold.population, seed)
        model = self.reward_model(name, texts, fold.population, seed)
        found = fold_predictions(name, fold, seed, _margins(model, texts), shuffled=row.personal)
        if row.curve is not None:
            found += self.curve(name, row.curve(), model, fold, seed)
        return found

    def plus(self, fold: Fold, seed: int) -> list[Prediction]:
        """Train PLUS and predict; its run folder stays, for `plus audit` and the plots over training."""
        # A run that was stopped is continued at its last checkpoint.
        settings = self.settings(seed)
        begun = Path(settings["output_dir"], "config.json").exists()
        if not begun:  # Left by a run that was killed before it began.
            shutil.rmtree(settings["output_dir"], ignore_errors=True)
        trained = training.train({**settings, "resume_from_checkpoint": begun or None}, fold.population, self.say)
        # Judged by the summaries that are stored, and by those of shorter pasts.
        texts = training.write_summaries(trained.folder, trained.summarizer, fold.population)
        found = fold_predictions("plus", fold, seed, _margins(trained.reward_model, texts))
        return found + self.curve("plus", trained.summarizer, trained.reward_model, fold, seed)

    def texts(self, name: str, population: Population, seed: int) -> Mapping[str, str]:
        """Write a baseline's texts: user_id -> what is read about the user."""
        row = self.rows[name]
        assert isinstance(row, TextRow)
        given = Language(
            population,
            seed,
            base=lambda: training.placed_models(self.settings(seed))[0],
            reward_model=lambda other, texts: self.reward_model(other, texts, population, seed),
            question=QUESTION.get(self.dataset_name.split("_")[0], ANYTHING),
            say=self.say,
        )
        return row.texts(given)

    def reward_model(self, name: str, texts: Mapping[str, str], population: Population, seed: int) -> RewardModel:
        """Train a reward model on `texts`, once while the seed is at hand."""
        if self.at != seed:
            self.at, self.kept = seed, {}
        if name not in self.kept:
            row = self.rows[name]
            long = isinstance(row, TextRow) and row.long
            steps = {"max_steps": self.budget.long_steps} if long else {}
            self.kept[name] = training.train_baseline(self.settings(seed) | steps, population, texts)
        return self.kept[name]

    def curve(self, name: str, summarizer: Summarizer, model: RewardModel, fold: Fold, seed: int) -> list[Prediction]:
        """Predict the same choices from fewer past events."""
        rows = learning_curve(summarizer, model, fold.population.split("test"), name + CURVE, seed)
        return [replace(row, margin=round(row.margin, 4)) for row in rows]


def compute(
    subject: LanguageModelMethods,
    seeds: Sequence[int],
    methods: Sequence[str],
    bases: str,
    on_cell: OnCell = lambda name, done, total: None,
) -> Results:
    """Compute the cells of `methods` that the subject's folder does not hold yet.

    `bases` describes the bases that they start from; a folder with another description is refused.
    """
    everything = subject.methods()
    # What must be equal for a folder to be continued.
    settings = {"dataset_name": subject.dataset_name, **vars(subject.budget), "bases": bases}
    if subject.given is not None:
        settings["options"] = {key: value for key, value in subject.given.items() if key != "output_dir"}
    return run(subject.folder, {n: everything[n] for n in methods}, subject.folds, seeds, settings, on_cell)


def _margins(scorer: Scorer, texts: Mapping[str, str]) -> Margins:
    def margins(histories: Sequence[UserHistory], pairs: Sequence[Preference]) -> list[float]:
        return [margin(v) for v in scorer.log_likelihood([texts.get(h.user_id, "") for h in histories], pairs)]

    return margins


def _new_users(method: Method, fold: Fold, seed: int) -> list[Prediction]:
    """Give users a name of their seed: those of two seeds are different people, also with the same name."""
    return [replace(row, user_id=f"{seed}/{row.user_id}") for row in method(fold, seed)]
