"""SPI: people rate 135 short statements about themselves from 1 (very inaccurate) to 6 (very accurate).

4,000 people of the SAPA project, with scoring keys, so that what is said of a person can be checked. A rating is a
reaction (4 and more is agreement), a target is a choice between two statements that the person rated at least 2
apart, and nothing is missing. People who are not tested may be trained on with another part of their ratings known
each time (`cut`).
Source: psychTools on CRAN (spi, spi.dictionary, spi.keys; GPL >= 2), as CSV: ratings.csv.gz, statements.csv and
demographics.csv.gz. The statements are public-domain items of the IPIP, https://ipip.ori.org
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from random import Random
from statistics import mean, median

from plus.errors import SourceError
from plus.sources.splits import USER_SPLITS, UserSplit
from plus.sources.tables import read_csv
from plus.types import Context, Dropped, Event, Population, Preference, Reaction, UserHistory

PROMPT = "How well does this statement describe you?"
AGREES = 4  # a rating from here on is agreement
APART = 2  # ratings so far apart make a choice
KNOWN, PAIRS = 20, 40  # ratings that a context holds, and targets a person
TOP = 6  # the highest rating


@dataclass(frozen=True)
class Statement:
    """Statement with its key: the Big Five scale ("" for none) and the narrow scale that it marks, with signs."""

    id: str
    text: str
    big_five: str
    big_five_sign: int
    scale: str
    scale_sign: int


@dataclass(frozen=True)
class Spi:
    """Statements, and ratings[person] in the order of the statements."""

    statements: tuple[Statement, ...]
    ratings: Mapping[str, tuple[int, ...]]

    @cached_property
    def scales(self) -> tuple[str, ...]:
        """Names of the narrow scales, in the order of the statements."""
        return tuple(dict.fromkeys(statement.scale for statement in self.statements))

    def scores(self, person: str) -> dict[str, float]:
        """Score a person on every narrow scale: the mean of signed ratings, 1 to 6."""
        found: dict[str, list[int]] = {scale: [] for scale in self.scales}
        for statement, rating in zip(self.statements, self.ratings[person], strict=True):
            found[statement.scale].append(rating if statement.scale_sign > 0 else TOP + 1 - rating)
        return {scale: mean(values) for scale, values in found.items()}

    def medians(self, people: Collection[str]) -> dict[str, float]:
        """Compute the median score of some people on every narrow scale."""
        scores = [self.scores(person) for person in people]
        return {scale: median(of_person[scale] for of_person in scores) for scale in self.scales}

    def means(self, people: Collection[str]) -> tuple[float, ...]:
        """Compute the mean rating of every statement by some people."""
        columns = zip(*(self.ratings[person] for person in people), strict=True)
        return tuple(mean(column) for column in columns)


def read(data_dir: str | Path) -> Spi:
    """Read statements and ratings. Raises SourceError where a file or a column is missing or a rating is none."""
    folder = Path(data_dir)
    keys = ["id", "text", "big_five", "big_five_sign", "scale", "scale_sign"]
    statements = tuple(
        Statement(
            row["id"], row["text"].strip(), row["big_five"], _sign(row["big_five_sign"], where), row["scale"],
            _sign(row["scale_sign"], where),
        )
        for where, row in read_csv(folder / "statements.csv", keys)
    )  # fmt: skip
    columns = [statement.id for statement in statements]
    ratings: dict[str, tuple[int, ...]] = {}
    for where, row in read_csv(_plain_or_packed(folder / "ratings.csv.gz"), ["person", *columns]):
        ratings[row["person"]] = tuple(_rating(row[column], column, where) for column in columns)
    if not ratings:
        raise SourceError(f"{folder} holds no ratings; give --data_dir the folder with SPI's ratings.csv.gz")
    return Spi(statements, ratings)


def load(
    data_dir: str | Path,
    seed: int = 0,
    known: int = KNOWN,
    pairs_per_user: int = PAIRS,
    user_split: UserSplit = "hash",
) -> Population:
    """Load every person with `known` ratings in the context and choices between other statements as targets."""
    spi, dropped = read(data_dir), Dropped()
    splits = USER_SPLITS[user_split](spi.ratings, seed)
    rows, histories = [], {}
    for person in spi.ratings:
        history, pairs = cut(spi, person, Random(f"spi-{seed}-{person}"), known, pairs_per_user)
        histories[person] = history
        if pairs:
            rows.append(Context(history, pairs, splits[person]))
        else:
            dropped.add("people who rate no two other statements apart, which leaves nothing to predict", person)
    whole = {person: tuple(events(spi, person, range(len(spi.statements)))) for person in spi.ratings}
    return Population("spi", tuple(rows), histories, {}, dropped, events=whole)


def cut(
    spi: Spi, person: str, rng: Random, known: int = KNOWN, pairs: int = PAIRS, hidden: Collection[int] = (),
    only: Collection[int] | None = None,
) -> tuple[UserHistory, tuple[Preference, ...]]:  # fmt: skip
    """Draw `known` ratings as a context and at most `pairs` choices between other statements.

    hidden: places of statements that neither context nor targets hold. only: places that targets are drawn from.
    """
    places = [place for place in range(len(spi.statements)) if place not in set(hidden)]
    rng.shuffle(places)
    context = sorted(places[:known])
    left = places[known:] if only is None else sorted(set(only) - set(context))
    return UserHistory(person, tuple(events(spi, person, context))), choices(spi, person, left, rng, pairs)


def events(spi: Spi, person: str, places: Sequence[int]) -> list[Event]:
    """Write ratings as reactions."""
    ratings = spi.ratings[person]
    return [
        Event(
            f"{person}-{spi.statements[place].id}", "reaction",
            Reaction(PROMPT, spi.statements[place].text, ratings[place] >= AGREES), None, "spi",
        )
        for place in places
    ]  # fmt: skip


def choices(spi: Spi, person: str, places: Sequence[int], rng: Random, pairs: int) -> tuple[Preference, ...]:
    """Draw at most `pairs` choices between statements rated at least 2 apart; the higher rated is chosen."""
    ratings, texts = spi.ratings[person], [statement.text for statement in spi.statements]
    # A place and those rated far enough below it, in order: all pairs are numbered without writing them down.
    below = {rating: [b for b in places if ratings[b] <= rating - APART] for rating in range(1, TOP + 1)}
    ends = list(accumulate(len(below[ratings[a]]) for a in places))
    total = ends[-1] if ends else 0
    drawn = []
    for number in rng.sample(range(total), min(pairs, total)):
        row = bisect_right(ends, number)
        lower = below[ratings[places[row]]]
        drawn.append((places[row], lower[number - ends[row] + len(lower)]))
    return tuple(Preference(PROMPT, texts[a], texts[b]) for a, b in drawn)


def _plain_or_packed(path: Path) -> Path:
    """The file, or the same unpacked."""
    plain = path.with_suffix("")
    return plain if plain.exists() and not path.exists() else path


def _sign(value: str, where: str) -> int:
    if value not in ("1", "-1", ""):
        raise SourceError(f"{where}: a sign is {value!r}; give 1, -1 or nothing")
    return int(value or 0)


def _rating(value: str, column: str, where: str) -> int:
    if value not in ("1", "2", "3", "4", "5", "6"):
        raise SourceError(f"{where}: {column} is {value!r}; a rating is 1 to 6, so leave people with gaps out")
    return int(value)
