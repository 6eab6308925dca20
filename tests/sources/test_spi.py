"""SPI ratings: keyed scores on worked numbers, contexts and choices that never share a statement, one-line refusals."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from random import Random

import pytest

from plus.errors import SourceError
from plus.sources import spi

STATEMENTS = [
    ("q_1", "Worry about things.", "Neuro", "1", "Anxiety", "1"),
    ("q_2", "Am relaxed most of the time.", "Neuro", "-1", "Anxiety", "-1"),
    ("q_3", "Like parties.", "Extra", "1", "Sociability", "1"),
    ("q_4", "Rarely go out.", "", "", "Sociability", "-1"),
]
RATINGS = {"p0": (6, 2, 5, 1), "p1": (1, 6, 4, 3), "p2": (3, 3, 3, 3)}


def write_spi(folder: Path, ratings=RATINGS, header=("person", "q_1", "q_2", "q_3", "q_4")) -> Path:
    folder.mkdir()
    with (folder / "statements.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "big_five", "big_five_sign", "scale", "scale_sign"])
        writer.writerows(STATEMENTS)
    with gzip.open(folder / "ratings.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([person, *row] for person, row in ratings.items())
    return folder


def test_scores_are_the_means_of_signed_ratings(tmp_path):
    """p0: Anxiety of 6 and 7 - 2, Sociability of 5 and 7 - 1."""
    found = spi.read(write_spi(tmp_path / "spi"))
    assert found.scores("p0") == {"Anxiety": 5.5, "Sociability": 5.5}
    assert found.scores("p1") == {"Anxiety": 1.0, "Sociability": 4.0}
    assert found.medians(["p0", "p1", "p2"]) == {"Anxiety": 3.5, "Sociability": 4.0}
    assert found.means(["p0", "p1"]) == (3.5, 4.0, 4.5, 2.0)


def test_choices_are_between_statements_rated_at_least_two_apart(tmp_path):
    found = spi.read(write_spi(tmp_path / "spi"))
    pairs = spi.choices(found, "p1", range(4), Random(0), 99)
    assert {(pair.chosen, pair.rejected) for pair in pairs} == {
        ("Am relaxed most of the time.", "Worry about things."),
        ("Am relaxed most of the time.", "Like parties."),
        ("Am relaxed most of the time.", "Rarely go out."),
        ("Like parties.", "Worry about things."),
        ("Rarely go out.", "Worry about things."),
    }
    assert spi.choices(found, "p2", range(4), Random(0), 99) == ()


@pytest.mark.parametrize("seed", range(5))
def test_a_context_and_its_choices_share_no_statement(tmp_path, seed):
    found = spi.read(write_spi(tmp_path / "spi"))
    history, pairs = spi.cut(found, "p0", Random(seed), known=2, pairs=9)
    known = {event.content.completion for event in history.events}
    assert len(known) == 2 and not known & {text for pair in pairs for text in (pair.chosen, pair.rejected)}
    assert all(event.content.label == (event.content.completion in ("Worry about things.", "Like parties."))
               for event in history.events)  # fmt: skip
    # Hidden statements stand nowhere, and targets are drawn from `only`.
    history, pairs = spi.cut(found, "p0", Random(seed), known=1, pairs=9, hidden=[1, 3], only=[1, 3])
    assert {e.content.completion for e in history.events} <= {"Worry about things.", "Like parties."}
    assert pairs == ()  # 2 and 1: not apart


def test_the_population_holds_everybody_and_counts_who_has_nothing_to_predict(tmp_path):
    people = spi.load(write_spi(tmp_path / "spi"), known=2)
    assert set(people.histories) == set(RATINGS) and len(people.events["p1"]) == 4
    assert "p2" not in {row.history.user_id for row in people.rows}
    assert people.dropped["people who rate no two other statements apart, which leaves nothing to predict"] >= 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ratings": {"p0": (7, 1, 1, 1)}}, "ratings.csv.gz row 2: q_1 is '7'; a rating is 1 to 6"),
        ({"header": ("person", "q_1", "q_2", "q_3", "q_9")}, "has no column 'q_4'; found person, q_1"),
        (
            {"header": ("person", "q_1", "q_2", "q_3", *(f"x_{n}" for n in range(130)))},
            "has no column 'q_4'; found person, q_1, q_2, q_3, x_0, x_1, x_2, x_3, x_4, x_5, x_6, x_7 and 122 more",
        ),
        ({"ratings": {}}, "holds no ratings; give --data_dir the folder with SPI's ratings.csv.gz"),
    ],
)
def test_files_that_are_no_spi_are_refused_in_one_line(tmp_path, change, said):
    with pytest.raises(SourceError, match=r"^[^\n]*$") as caught:
        spi.load(write_spi(tmp_path / "spi", **change))
    assert said in str(caught.value)


def test_a_packed_file_that_was_cut_is_refused_in_one_line(tmp_path):
    folder = write_spi(tmp_path / "spi", {f"p{n}": (n % 6 + 1, n % 5 + 1, n % 4 + 1, n % 3 + 1) for n in range(2000)})
    packed = (folder / "ratings.csv.gz").read_bytes()
    (folder / "ratings.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(SourceError, match=r"is cut short or no gzip file .* copy it again$"):
        spi.read(folder)
