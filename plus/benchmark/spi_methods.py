"""Arms on SPI that need no language model: ratings themselves, their lines, and words that are true of the person.

*On ratings*, as numbers: the population's mean, and a Gaussian factor model (probabilistic PCA, the linear kin of item
response theory): with factors w ~ N(0, I) and noise s^2 the ratings of the training people are r = m + L w + noise, and
a person's w is its posterior mean given the k known ratings. The loadings and mean of a statement that nobody rated in
training come from its neighbours by kernel ridge regression over sentence embeddings.

*On texts*, read by the same embedding reward model: the known ratings as lines, a selection of them, nothing, and words
about the person: oracle (all their scale scores, also those of the choices to predict) and demographics.

Shapes: P people, I statements, K known ratings, R factors, D numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from plus.benchmark.cells import Method, fold_predictions
from plus.benchmark.embedding_methods import EmbeddingMethods, Reading, Settings, data_of
from plus.benchmark.spi_people import WORDS
from plus.evaluate.predictions import Prediction
from plus.models.embeddings import Embeddings
from plus.sources import spi
from plus.sources.folds import Fold
from plus.train.select import train_on_texts
from plus.types import Preference, UserHistory

FACTORS = 20
SCALE, RIDGE = 3.0, 0.3  # of the kernel between statements, as the reward model's prior has them
SELECTED = 8
Array = np.ndarray


@dataclass(frozen=True)
class Factors:
    """Factor model of ratings: mean_I, loadings_IR and the noise's variance; statements are named by their texts."""

    place: Mapping[str, int]
    mean_I: Array
    loadings_IR: Array
    noise: float

    def margins(
        self, known: Callable[[UserHistory], tuple[Sequence[int], Sequence[int]]],
        histories: Sequence[UserHistory], pairs: Sequence[Preference],
    ) -> list[float]:  # fmt: skip
        """Compute each pair's difference of expected ratings, given what `known` tells of its history."""
        of_history = {id(history): history for history in histories}
        scores = {key: self.expected(*known(history)) for key, history in of_history.items()}
        return [
            float(scores[id(history)][self.place[pair.chosen]] - scores[id(history)][self.place[pair.rejected]])
            for history, pair in zip(histories, pairs, strict=True)
        ]

    def expected(self, places: Sequence[int], ratings: Sequence[int]) -> Array:
        """Compute the expected rating of every statement (I,) given those at `places`."""
        known_KR = self.loadings_IR[list(places)]
        above_K = np.asarray(ratings, dtype=float) - self.mean_I[list(places)]
        precision_RR = known_KR.T @ known_KR + self.noise * np.eye(known_KR.shape[1])
        return np.asarray(self.mean_I + self.loadings_IR @ np.linalg.solve(precision_RR, known_KR.T @ above_K))


def fit_factors(ratings_PI: Array, factors: int = FACTORS) -> tuple[Array, Array, float]:
    """Fit mean, loadings and noise in closed form (Tipping and Bishop, 1999)."""
    mean_I = ratings_PI.mean(0)
    values_I, vectors_II = np.linalg.eigh(np.cov(ratings_PI.T))
    noise = float(values_I[:-factors].mean())
    loadings_IR = vectors_II[:, -factors:] * np.sqrt(np.maximum(values_I[-factors:] - noise, 0))
    return mean_I, loadings_IR, noise


class SpiMethods(EmbeddingMethods):
    """All arms; `methods()` is what `cells.run` takes."""

    def __init__(self, data_dir: str | Path, embeddings: Embeddings, settings: Settings) -> None:
        super().__init__(embeddings, settings, (SELECTED,), own_rows=True)
        self.spi = spi.read(data_dir)
        self.texts = {name: write(self.spi, Path(data_dir)) for name, write in WORDS.items()}
        self.place = {statement.text: place for place, statement in enumerate(self.spi.statements)}

    def methods(self) -> dict[str, Method]:
        """Map each arm to its method, cheap ones first."""
        read = ["bradley_terry", "in_context", f"random_{SELECTED}", f"extractive_{SELECTED}"]
        read += [f"in_context_cut_{SELECTED}", *self.texts]
        found: dict[str, Method] = {
            "population_mean": partial(self.on_ratings, "population_mean", 0, False),
            "ratings_low_rank": partial(self.on_ratings, "ratings_low_rank", FACTORS, False),
            "ratings_kernel": partial(self.on_ratings, "ratings_kernel", FACTORS, True),
        }
        return found | {name: partial(self.read, name) for name in read}

    def on_ratings(self, name: str, factors: int, kernel: bool, fold: Fold, seed: int) -> list[Prediction]:
        """Predict from the known ratings as numbers; with `kernel` a statement is like those that read alike."""
        model = self.factors(fold, factors, kernel)
        margins = partial(model.margins, self.known)
        return fold_predictions(name, fold, seed, margins, shuffled=factors > 0)

    def factors(self, fold: Fold, factors: int, kernel: bool) -> Factors:
        """Fit the factor model on the training people's ratings of the statements that the fold does not hide."""
        rated = sorted({self.place[text] for text in data_of(fold).known_answers()})
        people = fold.population.users("train")
        ratings_PI = np.array([[self.spi.ratings[person][place] for place in rated] for person in people], dtype=float)
        mean_I, loadings_IR, noise = fit_factors(ratings_PI, max(factors, 1))
        # Statements that nobody rated: the mean of all, without loadings, or what their neighbours have.
        parts_IC = np.column_stack([mean_I, loadings_IR if factors else 0 * loadings_IR])
        centre_C = parts_IC.mean(0) * np.eye(parts_IC.shape[1])[0]
        all_IC = np.tile(centre_C, (len(self.place), 1))
        if kernel:
            near_IK = self._kernel()[:, rated]
            all_IC = centre_C + near_IK @ np.linalg.solve(
                near_IK[rated] + RIDGE * np.eye(len(rated)), parts_IC - centre_C
            )
        all_IC[rated] = parts_IC
        return Factors(self.place, all_IC[:, 0], all_IC[:, 1:], noise)

    def known(self, history: UserHistory) -> tuple[list[int], list[int]]:
        """Look up the statements of a history and the person's ratings of them."""
        places = [self.place[event.content.completion] for event in history.events]  # type: ignore[union-attr]
        return places, [self.spi.ratings[history.user_id][place] for place in places]

    def _kernel(self) -> Array:
        vectors_ID = self.embeddings.vectors(list(self.place)).numpy().astype(float)
        unit_ID = vectors_ID / np.linalg.norm(vectors_ID, axis=1, keepdims=True)
        return np.asarray(np.exp(SCALE * (unit_ID @ unit_ID.T - 1)))

    def _train(self, name: str, fold: Fold, seed: int) -> Reading:
        if name not in self.texts:
            return super()._train(name, fold, seed)
        words = self.texts[name]

        def write(histories: Sequence[UserHistory]) -> list[str]:
            return [words[history.user_id] for history in histories]

        settings = self._settings(fold)
        return Reading(train_on_texts(data_of(fold), self.embeddings, settings, write, seed), write)
