"""Folds and true words of SPI: k of a new person's ratings are known; which of two other statements fits better?

One split by users. Training people come with several cuts of their ratings, so that no cut is learned by heart; the
users are the unit of every interval. Needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from statistics import mean, quantiles

from plus.sources import spi
from plus.sources.folds import Fold
from plus.sources.splits import hashed_split
from plus.sources.tables import read_csv
from plus.types import Context, Dropped, Population, UserHistory

KNOWN = (5, 10, 20)
NEW = "new statements"
CUTS = 4  # of each training person
TRAINED_ON, TESTED = 40, 20  # choices of a cut, and of a person who is tested
HIDDEN = 5  # one statement of so many is rated by nobody in training
# Population means within 0.3 make a choice controversial; `slice_of` takes shares that are within 0.15.
MEAN_TO_SHARE = 0.5
DEGREES = ("very low", "low", "high", "very high")
FEATURES = ("health", "education", "wellness", "exer", "smoke", "ER")
NAMES = {"exer": "exercise", "ER": "emergency room visits"}


def folds(data_dir: Path, dropped: Dropped, seed: int = 0) -> list[Fold]:
    """Make a fold for each number of known ratings, and one with new statements and the largest of them."""
    data = spi.read(data_dir)
    hidden = Random(f"hidden-{seed}").sample(range(len(data.statements)), len(data.statements) // HIDDEN)
    found = [_fold(data, f"{known} known ratings", known, (), seed, dropped) for known in KNOWN]
    return [*found, _fold(data, NEW, KNOWN[-1], hidden, seed, dropped)]


def _fold(data: spi.Spi, group: str, known: int, hidden: list[int] | tuple[()], seed: int, dropped: Dropped) -> Fold:
    splits = hashed_split(data.ratings, seed)
    rows: list[Context] = []
    histories: dict[str, UserHistory] = {}
    for person, split in splits.items():
        # People who are not trained on are asked about hidden statements alone, where there are some.
        train = split == "train"
        only = None if train or not hidden else hidden
        for number in range(CUTS if train else 1):
            rng = Random(f"{seed}-{known}-{person}-{number}")
            history, pairs = spi.cut(data, person, rng, known, TRAINED_ON if train else TESTED, hidden, only)
            histories[person] = history
            if pairs:
                rows.append(Context(history, pairs, split))
            else:
                dropped.add("cuts that leave no two statements rated at least 2 apart", f"{person}, {group}")
    trained = [person for person, split in splits.items() if split == "train"]
    means = zip(data.statements, data.means(trained), strict=True)
    agreement = {statement.text: value * MEAN_TO_SHARE for statement, value in means}
    return Fold(f"spi/{group}/0", group, Population("spi", tuple(rows), histories), {}, agreement)


def oracle_words(data: spi.Spi, scores_of: Callable[[spi.Spi, str], Mapping[str, float]]) -> dict[str, str]:
    """Write each person's scale scores in plain words, a line a scale: quarters of all people's scores."""
    scores = {person: scores_of(data, person) for person in data.ratings}
    scales = list(next(iter(scores.values())))
    cuts = {scale: quantiles([of[scale] for of in scores.values()], n=len(DEGREES)) for scale in scales}
    return {
        person: "\n".join(
            f"They are {DEGREES[sum(value > cut for cut in cuts[scale])]} in {_plain(scale)}."
            for scale, value in of.items()
        )
        for person, of in scores.items()
    }


def big_five(data: spi.Spi, person: str) -> dict[str, float]:
    """Score a person on the five broad scales: the mean of signed ratings, 1 to 6."""
    found: dict[str, list[int]] = {}
    for statement, rating in zip(data.statements, data.ratings[person], strict=True):
        if statement.big_five:
            signed = rating if statement.big_five_sign > 0 else spi.TOP + 1 - rating
            found.setdefault(statement.big_five, []).append(signed)
    return {scale: mean(values) for scale, values in found.items()}


def demographic_words(data: spi.Spi, data_dir: Path) -> dict[str, str]:
    """Write what demographics.csv.gz says of each person, a line a fact; codes stay numbers."""
    found = dict.fromkeys(data.ratings, "")
    for _, row in read_csv(data_dir / "demographics.csv.gz", ["person", "age", "sex", *FEATURES]):
        lines = [f"They are {row['age']} years old."] if row["age"] else []
        lines += [f"They are {'male' if row['sex'] == '1' else 'female'}."] if row["sex"] else []
        lines += [f"Their {NAMES.get(name, name)} is {row[name]}." for name in FEATURES if row[name]]
        found[row["person"]] = "\n".join(lines)
    return found


# Arms that read words which are true of the person: name -> person -> text.
WORDS: dict[str, Callable[[spi.Spi, Path], dict[str, str]]] = {
    "oracle_5": lambda data, folder: oracle_words(data, big_five),
    "oracle_27": lambda data, folder: oracle_words(data, spi.Spi.scores),
    "demographics": demographic_words,
}
BROAD = {"Agree": "agreeableness", "Consc": "conscientiousness", "Extra": "extraversion", "Neuro": "neuroticism"}


def _plain(scale: str) -> str:
    """A scale's name in plain words: "WellBeing" is "well being"."""
    return BROAD.get(scale) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", scale).lower()
