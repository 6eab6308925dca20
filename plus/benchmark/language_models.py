"""The methods of the benchmark with language models: tiny ones on synthetic users, a base for each seed, or one's own.

Every method that reads a text is the same reward model on the same rows, updates, batches and
optimizer; they differ in who writes the text. Heads on frozen states (DPL, VPL, low rank) are so cheap
that they get more updates than anybody. A seed draws users, base, order and sampling anew, for all
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
from plus.baselines import bradley_terry, oracle, untrained
from plus.baselines.constant import Constant
from plus.baselines.fit import fit
from plus.baselines.longer_wins import LongerWins
from plus.baselines.vpl import past_pairs
from plus.benchmark import bases, head_baselines
from plus.benchmark.cells import Method, Results, run, timed
from plus.benchmark.fold_predictions import Margins, judged
from plus.errors import SourceError
from plus.evaluate.controls import PastedHistory
from plus.evaluate.counterfactuals import learning_curve
from plus.evaluate.predictions import Prediction
from plus.measures import margin
from plus.models.embeddings import Embeddings, backbone
from plus.models.reward_model import RewardModel
from plus.resources import shipped
from plus.sources.folds import Fold
from plus.train import run as training
from plus.train import settings as options
from plus.types import Population, Preference, Scorer, Summarizer, UserHistory
from plus.worlds import pets_talk

LONG = "in_context_long"
CURVE = ", by past events"  # the rows of the learning curve, under their method's name
EVERYTHING = 1000  # past events: all that there are
# What someone would ask who knows what the data are about, beside the prompts that fit any data.
QUESTION = {"pets": pets_talk.FAVOURITE, "styles": "Which topic, tone and length of answers does this user like?"}
ANYTHING = "How does this user want to be answered?"


@dataclass(frozen=True)
class Budget:
    """Updates of every method that trains a language model, and of the heads on frozen states.

    Reading a whole history is learned more slowly than reading a sentence: with `long_steps` there is a row
    `in_context_long` of as many updates, so that what is only slower is not taken for worse."""

    max_steps: int
    head_steps: int = 1500
    long_steps: int = 0

    def in_words(self, bases: str) -> str:
        """A line for the report."""
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
OWN_BASES, SHIPPED_BASE = "a base for each seed", "the base that comes with plus"


class Synthetic:
    """All methods for one data set; `methods()` and `folds` are what `benchmark.run` takes.

    `folder` keeps the runs of PLUS; `base_of(seed)` is the base that everything starts from, and
    `load(seed)` the users, by default those of the data set. `given` are a run's resolved options, for models
    and data of one's own instead of tiny ones; then there is no `base_of`.
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
        self.load = load or (lambda seed: datasets.from_settings({"data_dir": None, **(given or {}), "dataset_name": dataset_name, "seed": seed}))  # fmt: skip
        self.kept: dict[str, RewardModel] = {}
        self.at: int | None = None

    def folds(self, seed: int) -> list[Fold]:
        """The population of one seed, as the only fold; its base is made now, at nobody's expense."""
        if self.given is None:
            self.base_of(seed)
        return [Fold(self.dataset_name, "new users", self.load(seed))]

    def best_possible(self, seeds: Sequence[int]) -> dict[int, float]:
        """Seed -> the accuracy of whoever reads the contexts perfectly, where it is known."""
        found = {seed: self.load(seed).best_possible for seed in seeds}
        return {seed: value for seed, value in found.items() if value is not None}

    def methods(self) -> dict[str, Method]:
        """Name -> method, cheap ones first."""
        found: dict[str, Method] = {
            "constant": partial(self.counted, "constant", Constant()),
            "longer_wins": partial(self.counted, "longer_wins", LongerWins()),
            **{name: partial(self.fitted, name) for name in head_baselines.NAMES},
            **{
                name: partial(self.read, name)
                for name in ("bradley_terry", "in_context", "untrained", "untrained_best_of_5", "oracle")
            },
            **({LONG: partial(self.read, LONG)} if self.budget.long_steps else {}),
            "plus": self.plus,
        }
        if self.dataset_name not in datasets.SYNTHETIC:
            return found
        return {name: partial(_new_users, method) for name, method in found.items()}

    def settings(self, seed: int) -> dict[str, Any]:
        """A run's resolved options."""
        run = {"seed": seed, "output_dir": str(self.folder / "runs" / f"{self.folder.name if self.given else self.dataset_name}-{seed}")}  # fmt: skip
        if self.given is not None:
            return {**self.given, **run}
        return options.resolve(
            {
                "preset": "tiny", "dataset_name": self.dataset_name, "model_name_or_path": str(self.base_of(seed)),
                "max_steps": self.budget.max_steps, "reward_max_length": 512, "save_steps": 20, **run,
            }
        )  # fmt: skip

    def counted(self, name: str, scorer: Scorer, fold: Fold, seed: int) -> list[Prediction]:
        """A scorer that learns nothing."""
        return judged(name, fold, seed, _reading(scorer, {}), shuffled=False)

    def fitted(self, name: str, fold: Fold, seed: int) -> list[Prediction]:
        """The baselines with a head of their own, on the base's states of an answer's words."""
        if name not in head_baselines.IMPERSONAL and not any(past_pairs(h) for h in fold.population.histories.values()):
            raise SourceError(f"{name} reads past choices, and the contexts of {fold.name} hold none")
        _, backbone_model = training.placed_models(self.settings(seed))
        torch.manual_seed(seed)
        model, margins = head_baselines.head(
            name, Embeddings(backbone(backbone_model)), fold.population.users("train"), seed
        )
        rows = fold.population.contexts("train")
        fit(model.parameters(), model.loss, rows, self.budget.head_steps, seed=seed)
        return judged(name, fold, seed, margins, shuffled=name not in head_baselines.IMPERSONAL)

    def read(self, name: str, fold: Fold, seed: int) -> list[Prediction]:
        """A reward model trained on texts that stay as they are."""
        texts = self.texts(name, fold.population, seed)
        model = self.reader(name, texts, fold.population, seed)
        found = judged(name, fold, seed, _reading(model, texts), shuffled=name != "bradley_terry")
        if name == "in_context":
            found += self.curve(name, PastedHistory(EVERYTHING), model, fold, seed)
        return found

    def plus(self, fold: Fold, seed: int) -> list[Prediction]:
        """The method itself; its run folder stays, for `plus audit` and the plots over training."""
        settings = self.settings(seed)
        begun = Path(settings["output_dir"], "config.json").exists()
        if not begun:  # Left by a run that was killed before it began.
            shutil.rmtree(settings["output_dir"], ignore_errors=True)
        trained = training.train({**settings, "resume_from_checkpoint": begun or None}, fold.population, self.say)
        texts = training.write_summaries(trained.folder, trained.summarizer, fold.population)
        found = judged("plus", fold, seed, _reading(trained.reward_model, texts))
        return found + self.curve("plus", trained.summarizer, trained.reward_model, fold, seed)

    def texts(self, name: str, population: Population, seed: int) -> Mapping[str, str]:
        """user_id -> what is read about the user."""
        if name == "bradley_terry":
            return bradley_terry.summaries(population.histories)
        if name in ("in_context", LONG):  # In the words in which the base has read histories before.
            histories = population.histories.values()
            return dict(zip(population.histories, PastedHistory(EVERYTHING).summarize(list(histories)), strict=True))
        if name == "oracle":
            return oracle.summaries(population)
        base, _ = training.placed_models(self.settings(seed))
        if name == "untrained":
            return untrained.summaries(population, base, seed)
        first = self.reader("untrained", self.texts("untrained", population, seed), population, seed)
        prompts = (*untrained.PROMPTS, QUESTION.get(self.dataset_name.split("_")[0], ANYTHING))
        ranked = untrained.rank_prompts(prompts, population, base, first, seed)
        self.say("; ".join(f"{prompt!r} {value:.3f}" for prompt, value in ranked.items()))
        return untrained.summaries(population, base, seed, next(iter(ranked)))

    def reader(self, name: str, texts: Mapping[str, str], population: Population, seed: int) -> RewardModel:
        """The reward model trained on `texts`, kept while the seed is at hand."""
        if self.at != seed:
            self.at, self.kept = seed, {}
        if name not in self.kept:
            steps = {"max_steps": self.budget.long_steps} if name == LONG else {}
            self.kept[name] = training.train_baseline(self.settings(seed) | steps, population, texts)
        return self.kept[name]

    def curve(self, name: str, summarizer: Summarizer, model: RewardModel, fold: Fold, seed: int) -> list[Prediction]:
        """The same choices from fewer past events."""
        rows = learning_curve(summarizer, model, fold.population.split("test"), name + CURVE, seed)
        return [replace(row, margin=round(row.margin, 4)) for row in rows]


def shipped_base(seed: int) -> Path:
    """The base that comes with plus, whatever the seed: for a quick look."""
    return shipped("tiny_base")


def own_base(dataset_name: str, folder: Path, say: Callable[[str], None]) -> Callable[[int], Path]:
    """A base for each seed, made in `folder` where there is none yet; its seconds.jsonl says at what cost."""

    def on_step(step: int, loss: float) -> None:
        if (step + 1) % 400 == 0:
            say(f"base: {step + 1:,} steps, loss {loss:.3f}")

    def base_of(seed: int) -> Path:
        path, source = bases.place(dataset_name, folder, seed)
        if not (path / "config.json").exists():
            with timed(folder, f"{source}, seed {seed}"):
                bases.make(path, source, seed, on_step=on_step)
        return path

    return base_of


def _reading(scorer: Scorer, texts: Mapping[str, str]) -> Margins:
    def margins(histories: Sequence[UserHistory], pairs: Sequence[Preference]) -> list[float]:
        return [margin(v) for v in scorer.log_likelihood([texts.get(h.user_id, "") for h in histories], pairs)]

    return margins


def _new_users(method: Method, fold: Fold, seed: int) -> list[Prediction]:
    """Users of two seeds are different people, also where they have the same name."""
    return [replace(row, user_id=f"{seed}/{row.user_id}") for row in method(fold, seed)]


def compute(
    subject: Synthetic,
    seeds: Sequence[int],
    methods: Sequence[str],
    bases: str,
    on_cell: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> Results:
    """Every cell of `methods` that the subject's folder does not hold yet; `bases` says in words which
    bases they start from."""
    everything = subject.methods()
    settings = {"dataset_name": subject.dataset_name, **vars(subject.budget), "bases": bases}
    if subject.given is not None:
        settings["options"] = {key: value for key, value in subject.given.items() if key != "output_dir"}
    return run(subject.folder, {n: everything[n] for n in methods}, subject.folds, seeds, settings, on_cell)
