"""What counts as a leak, on worked pairs."""

from __future__ import annotations

from support.populations import rows as rows_of

from plus.audit.leak_check import equal_pairs, leak_check, similar, similar_pairs
from plus.types import Event, Example, Population, Preference, UserHistory
from plus.worlds import pets, styles


def test_near_duplicates_share_four_fifths_of_their_pieces():
    long = "The council should plant more trees along the main street this spring."
    assert similar(long, long.upper() + " ")
    assert similar(long, long.replace("spring", "sprint"))
    assert not similar(long, "The council should plant fewer trees, and build a car park instead.")
    assert similar("", "")
    assert not similar("", "something")


def test_both_answers_must_be_near_duplicates_in_either_order():
    one = Preference("p", "The train was late again this morning.", "The bus was on time this morning.")
    other = Preference("q", "The bus was on time this morning!", "The train was late again this morning!")
    assert similar_pairs(one, other)
    assert not equal_pairs(one, other)
    assert equal_pairs(one, Preference("p ", *reversed((one.chosen, one.rejected))))
    assert not similar_pairs(one, Preference("p", one.chosen, "Nobody came to the station at all."))


def test_each_way_to_leak_is_counted_apart():
    pair, other = Preference("p", "a long answer", "another answer"), Preference("p", "this one", "that one")
    past = (Event("1", "choice", other),)
    rows = (
        Example(UserHistory("ann", past), pair, "train"),
        Example(UserHistory("ann", past), pair, "test"),  # trained on for the same user, and the same past
        Example(UserHistory("bob", (Event("2", "choice", pair.swapped()),)), pair, "test"),  # in its own context
        Example(UserHistory("cem", (Event("3", "message", "hello"),)), pair, "test"),  # a different past: no leak
    )
    found = leak_check(Population("rows", rows_of(rows), {}))
    assert (found.in_context, found.trained_on, found.same_past, found.targets) == (1, 1, 1, 3)
    assert found.first == "test choice 1", "a report is published, so it names nobody"


def test_synthetic_users_share_templates_and_not_comparisons():
    for population in (pets.load(1, 200, 2, 100), styles.load(1, 100, 2, 60)):
        assert leak_check(population).total == 0
