"""Sentences: where they are, and which keep their id."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.counting import calls

from plus.profiles.sentences import carry, normalized, number_of, split
from plus.profiles.versions import joined

ANY = st.text(st.characters(exclude_categories=["Cs"]))


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in split(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Likes cats. Hates dogs!", ["Likes cats.", "Hates dogs!"]),
        ('She said "no." Then left.', ['She said "no."', "Then left."]),
        ("Likes e.g. cats, i.e. pets. Yes.", ["Likes e.g. cats, i.e. pets.", "Yes."]),
        ("Version 3.5 is fine.", ["Version 3.5 is fine."]),
        ("1. Short answers.\n2. No lists.", ["1. Short answers.", "2. No lists."]),
        ("- one\n- two\n\n\n- three", ["- one", "- two", "- three"]),
        ("猫が好き。犬は苦手！短い答え", ["猫が好き。", "犬は苦手！", "短い答え"]),
        ("يحب القطط؟ نعم.", ["يحب القطط؟", "نعم."]),
        ("वह चाय पीता है। वह रात में काम करता है।", ["वह चाय पीता है।", "वह रात में काम करता है।"]),
        ("وہ چائے پیتا ہے۔ وہ رات کو کام کرتا ہے۔", ["وہ چائے پیتا ہے۔", "وہ رات کو کام کرتا ہے۔"]),
        ("Lives in the U.S. Army base. Has a Ph.D. in law.", ["Lives in the U.S. Army base.", "Has a Ph.D. in law."]),
        (
            "Up at 5 a.m. on weekdays. In bed at 9 p.m. Reads.",
            ["Up at 5 a.m. on weekdays.", "In bed at 9 p.m.", "Reads."],
        ),
        ("one\u2028two\x85three\rfour\x0bfive", ["one", "two", "three", "four", "five"]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_where_sentences_end(text, expected):
    assert words(text) == expected


@given(ANY)
def test_spans_hold_all_but_white_space_in_order(text):
    spans = split(text)
    assert "".join("".join(words(text)).split()) == "".join(text.split())
    assert all(start < end for start, end in spans)
    assert all(one[1] <= two[0] for one, two in pairwise(spans))
    assert all(word == word.strip() for word in words(text))


@given(ANY)
def test_sentences_put_together_are_the_same_sentences(text):
    assert words(joined(words(text))) == words(text)


def test_a_megabyte_is_split_and_carried_in_work_that_grows_with_the_text():
    def twice(times: int):
        text = "Likes cats. " * 50 * times + "a. " * 100 * times
        one, number = carry(text, (), 1, "model", 1)
        return one, carry(f"New. {text}", one, number, "user", 2)[0]

    assert calls(twice, 200) <= 2.1 * calls(twice, 100), "twice the text, twice the calls"
    one, two = twice(1000)
    assert (len(one), len(two)) == (50_001, 50_002)
    assert two[0].id == "s50002"
    assert [s.id for s in two[1:]] == [s.id for s in one]


def ids(text: str, before=(), number: int = 1, origin="user", since: int = 1, **options):
    found, number = carry(text, before, number, origin, since, **options)
    return [(s.id, s.text, s.origin, s.since) for s in found], found, number


def test_an_id_stays_with_its_words_wherever_they_move():
    _, before, number = ids("One one. Two two. Three three.", origin="model")
    found, *_ = ids("Three three. One one. New words here.", before, number, since=2)
    assert found == [
        ("s3", "Three three.", "model", 1), ("s1", "One one.", "model", 1), ("s4", "New words here.", "user", 2),
    ]  # fmt: skip


def test_a_reworded_sentence_keeps_its_id_when_a_person_words_it():
    _, before, number = ids("Likes cats. Talks of music. Short answers.", origin="model")
    text = "Likes cats. Talks of music and films. Short answers."
    found, *_ = ids(text, before, number, since=2)
    assert found[1] == ("s2", "Talks of music and films.", "user", 2)
    found, *_ = ids("Likes cats. Zebra! Short answers.", before, number, since=2)
    assert found[1] == ("s2", "Zebra!", "user", 2), "it stands where s2 stood"
    found, *_ = ids(text, before, number, origin="model", since=2)
    assert found[1] == ("s4", "Talks of music and films.", "model", 2), "a model's other words are another sentence"


def test_explicit_ids_win_and_removed_ones_never_return():
    _, before, number = ids("Aaa bbb. Ccc ddd.", origin="model")
    found, *_ = ids("Zzz. Ccc ddd.", before, number, since=2, keep={"Zzz.": "s1"})
    assert found[0][0] == "s1"
    found, *_ = ids("Aaa bbb!", before, number, since=2, gone=["s1", "s2"])
    assert found[0][0] == "s3"


def test_the_same_words_twice_are_two_sentences():
    found, before, number = ids("Yes. Yes.")
    assert [name for name, *_ in found] == ["s1", "s2"]
    found, *_ = ids("Yes. Yes. Yes.", before, number, since=2)
    assert [name for name, *_ in found] == ["s1", "s2", "s3"]


def test_statements_are_compared_without_case_spacing_and_closing_mark():
    assert normalized("  The user\tLIKES cats. ") == normalized("the user likes cats!")
    assert normalized("likes cats") != normalized("dislikes cats")
    assert [number_of(name) for name in ("s3", "s0", "3", "s-1", "s01", "s1x")] == [3, 0, 0, 0, 0, 0]


def test_a_line_that_quotes_an_event_is_one_sentence_however_many_it_quotes():
    text = "Disagreed: Taxes are high. They should fall! No?\nAgreed: Tea. Is good.\nLikes tea. Likes cats."
    assert words(text) == [
        "Disagreed: Taxes are high. They should fall! No?", "Agreed: Tea. Is good.", "Likes tea.", "Likes cats.",
    ]  # fmt: skip
    # Of a choice, the second line alone would be read as a liking.
    text = "Chose: One. Two.\nOver: Three. Four.\nOver: five.\nChose: Six.\nLikes tea.\nOver: seven."
    assert words(text) == [
        "Chose: One. Two.\nOver: Three. Four.", "Over: five.", "Chose: Six.", "Likes tea.", "Over: seven.",
    ]  # fmt: skip
