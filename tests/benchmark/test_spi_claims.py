"""Claims about people of SPI: what a sentence is read as, and when it is right."""

from __future__ import annotations

import pytest

from plus.benchmark.spi_claims import Lexicon, check, claims
from plus.sources.spi import Spi, Statement

DATA = Spi(
    (
        Statement("1", "Am a worrier.", "Neuro", 1, "Anxiety", 1),
        Statement("2", "Dont like crowded events.", "Extra", -1, "Sociability", -1),
        Statement("3", "Like going out a lot.", "Extra", 1, "Sociability", 1),
    ),
    {"calm": (1, 2, 5), "shy": (6, 6, 1), "middle": (3, 3, 4)},
)


@pytest.mark.parametrize(
    ("sentence", "claim"),
    [
        ("They are a worrier.", ("Anxiety", 1)),
        ("They are not a worrier.", ("Anxiety", -1)),
        ("They do not like crowded events.", ("Sociability", -1)),
        ("They like crowded events.", ("Sociability", 1)),
        ("They are always the worrier of the house.", ("Anxiety", 1)),
        ("They dislike going out with worriers.", None),  # Two scales.
        ("They love to sail.", None),
        ("", None),
    ],
)
def test_a_sentence_is_read_by_the_keys(sentence, claim):
    assert Lexicon(DATA).read(sentence) == claim


def test_a_claim_is_right_on_its_side_of_the_median():
    medians = DATA.medians(DATA.ratings)
    found = check(DATA, {
        "calm": "They are not a worrier. They like crowded events. They love to sail.",
        "shy": "They are not a worrier.",
        "middle": "They are a worrier.",
    }, medians)  # fmt: skip
    # "middle" has the median of Anxiety itself, and nobody knows of sailing.
    assert (found.right, found.wrong, found.unsure) == (2, 1, 2)
    assert found.precision == pytest.approx(2 / 3) and found.recall == pytest.approx(2 / 6)
    assert claims(Lexicon(DATA), "") == []
