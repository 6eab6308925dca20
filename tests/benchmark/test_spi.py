"""SPI in the benchmark: nothing hidden is trained on, worked factors, true words, and what numbers can say."""

from __future__ import annotations

import csv
import gzip
import random

import numpy as np
import pytest
from support.words import embeddings

from plus.benchmark import embedding_methods, spi_people
from plus.benchmark.embedding_tables import by_slice
from plus.benchmark.spi_methods import Factors, SpiMethods, fit_factors
from plus.evaluate.intervals import user_interval
from plus.sources import spi
from plus.sources.folds import Fold
from plus.types import Dropped, Event, Preference, Reaction, UserHistory

THEMES = ("party", "worry", "work", "poem")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eighty people with a trait for each of four themes, and 40 statements, half of them keyed the other way."""
    place = tmp_path_factory.mktemp("spi")
    rng = random.Random(0)
    columns = ["id", "text", "big_five", "big_five_sign", "scale", "scale_sign"]
    keys = [
        [f"q{n}", f"{THEMES[n % 4]} {'like' if n % 8 < 4 else 'never'} {n}", "Extra" if n % 4 == 0 else "", 1,
         THEMES[n % 4].title() + "Going", 1 if n % 8 < 4 else -1]
        for n in range(40)
    ]  # fmt: skip
    with (place / "statements.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *keys])
    with gzip.open(place / "ratings.csv.gz", "wt", newline="") as file:
        out = csv.writer(file)
        out.writerow(["person", *(key[0] for key in keys)])
        for person in range(80):
            traits = [rng.choice((-2, 2)) for _ in THEMES]
            noisy = [3.5 + traits[n % 4] * key[5] + rng.choice((-0.5, 0.5)) for n, key in enumerate(keys)]
            out.writerow([f"p{person}", *(round(min(6, max(1, value))) for value in noisy)])
    with gzip.open(place / "demographics.csv.gz", "wt", newline="") as file:
        csv.writer(file).writerows([["person", "age", "sex", *spi_people.FEATURES], ["p0", 39, 2, *[""] * 5, 1]])
    return place


@pytest.fixture(scope="module")
def folds(folder) -> list[Fold]:
    dropped = Dropped()
    found = spi_people.folds(folder, dropped)
    assert not dropped
    return found


def test_folds_hide_people_and_the_new_statements_hide_statements(folds):
    assert [fold.group for fold in folds] == [
        "5 known ratings", "10 known ratings", "20 known ratings", "new statements"
    ]  # fmt: skip
    for fold, known in zip(folds, (5, 10, 20, 20), strict=True):
        contexts = fold.population.contexts("test")
        assert {len(context.history.events) for context in contexts} == {known}
        assert not set(fold.population.users("test")) & set(fold.population.users("train"))
        assert len(fold.population.contexts("train")) == 4 * len(fold.population.users("train"))
    seen = {e.content.completion for row in folds[3].population.rows for e in row.history.events}
    seen |= {text for e in folds[3].population.split("train") for text in (e.target.chosen, e.target.rejected)}
    asked = {text for e in folds[3].population.split("test") for text in (e.target.chosen, e.target.rejected)}
    assert len(seen) == 32
    assert 0 < len(asked) <= 8
    assert not seen & asked


def test_a_choice_is_controversial_within_a_third_of_a_rating(folds):
    fold = folds[0]
    data = {"a": 3.0, "b": 3.29, "c": 3.32}
    own = Fold("f", "g", fold.population, {}, {text: value * spi_people.MEAN_TO_SHARE for text, value in data.items()})
    from plus.sources.folds import slice_of

    assert slice_of(own, Preference("", "a", "b")) == "g, controversial"
    assert slice_of(own, Preference("", "a", "c")) == "g"


def test_words_are_true_by_the_keys(folder):
    data = spi.read(folder)
    words = spi_people.WORDS["oracle_27"](data, folder)
    by_score = sorted(data.ratings, key=lambda person: data.scores(person)["PartyGoing"])
    assert "They are very low in party going." in words[by_score[0]].split("\n")
    assert "They are very high in party going." in words[by_score[-1]].split("\n")
    assert len(words["p0"].split("\n")) == 4
    assert spi_people.WORDS["oracle_5"](data, folder)["p0"].endswith("in extraversion.")
    said = spi_people.WORDS["demographics"](data, folder)
    assert said["p0"] == "They are 39 years old.\nThey are female.\nTheir emergency room visits is 1."
    assert said["p1"] == ""


def test_a_person_is_placed_by_hand():
    """One factor, loadings 1, 1 and 2, noise 1, two ratings 2 above their mean: w = 4 / (2 + 1)."""
    model = Factors({"a": 0, "b": 1, "c": 2}, np.array([3.0, 3.0, 3.0]), np.array([[1.0], [1.0], [2.0]]), 1.0)
    assert model.expected([0, 1], [5, 5]) == pytest.approx([3 + 4 / 3, 3 + 4 / 3, 3 + 8 / 3])
    history = UserHistory("u", (Event("1", "reaction", Reaction("", "a", True)),))
    (margin,) = model.margins(lambda _: ([0], [5]), [history], [Preference("", "c", "b")])
    assert margin == pytest.approx(2 / 2 * (2 - 1)), "w = 2 / (1 + 1)"


def test_planted_factors_are_found():
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(12, 2))
    ratings = 3 + rng.normal(size=(5000, 2)) @ loadings.T + 0.5 * rng.normal(size=(5000, 12))
    mean, found, noise = fit_factors(ratings, 2)
    assert mean == pytest.approx(np.full(12, 3.0), abs=0.12)
    assert found @ found.T == pytest.approx(loadings @ loadings.T, abs=0.25)
    assert noise == pytest.approx(0.25, abs=0.02)


def test_numbers_know_the_person_and_new_statements_through_their_words(folder, folds):
    methods = SpiMethods(folder, embeddings(), embedding_methods.SETTINGS["spi"])

    def accuracy(name: str, fold: Fold) -> dict[str, float]:
        made = methods.methods()[name](fold, 0)
        return {own: user_interval([p for p in made if p.method == own]).mean for own in {p.method for p in made}}

    own = accuracy("ratings_low_rank", folds[2])
    assert own["ratings_low_rank"] > 0.85
    assert own["ratings_low_rank, shuffled"] < 0.65
    assert accuracy("population_mean", folds[2])["population_mean"] < 0.65
    # Nobody rated the hidden statements: without their words they are all alike.
    assert accuracy("ratings_low_rank", folds[3])["ratings_low_rank"] == 0.5
    assert accuracy("ratings_kernel", folds[3])["ratings_kernel"] > 0.7


def test_every_arm_reads_its_text_and_judges_every_choice(folder, folds):
    import dataclasses

    quick = dataclasses.replace(embedding_methods.SETTINGS["spi"], max_steps=2, eval_steps=1, users_per_step=4)
    subject = SpiMethods(folder, embeddings(), quick)
    fold = folds[3]
    for name, method in subject.methods().items():
        rows = by_slice([p for p in method(fold, 0) if p.method == name])
        assert len(rows["new statements"]) == len(fold.population.split("test")), name
    oracle = subject.kept["oracle_27"]
    (text,) = oracle.write([UserHistory("p3")])
    assert text == subject.texts["oracle_27"]["p3"]


def test_other_columns_are_one_line_with_the_remedy(plus_here, tmp_path):
    (tmp_path / "statements.csv").write_text("item,words\n1,Like it.\n")
    status, out, err = plus_here("benchmark", "--dataset_name", "spi", "--data_dir", tmp_path)
    assert (status, out) == (2, "")
    assert "statements.csv has no column 'id'; found item, words; add it or give another --data_dir" in err
    assert len(err.strip().splitlines()) == 1
