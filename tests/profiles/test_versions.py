"""Versions: edits that keep every other character, and rules of people against what models write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plus.errors import ProfileError
from plus.profiles.sentences import carry, normalized, split
from plus.profiles.versions import Rules, Version, as_spans, compose, edit, find, without

ANY = st.text(st.characters(exclude_categories=["Cs"]))
WORDS = st.sampled_from(["Likes cats.", "Likes dogs.", "Short answers!", "No lists", "E.g. music.", "likes CATS"])


def version(text: str) -> Version:
    return Version("ann", 1, text, as_spans(carry(text, (), 1, "model", 1)[0]))


def test_lines_and_spaces_around_a_reworded_sentence_stay():
    before = version("  # About me\n\n- One.  Two.\n- Three\n")
    assert edit(before, {"s3": "Deux."}, [], []).text == "  # About me\n\n- One.  Deux.\n- Three\n"
    assert edit(before, {}, [], ["s2"]).text == "  # About me\n\nTwo.\n- Three\n"
    assert edit(before, {}, ["- Four"], []).text == "  # About me\n\n- One.  Two.\n- Three\n- Four"


def test_what_is_added_becomes_a_sentence_of_its_own():
    assert edit(version("No mark here"), {}, ["New."], []).text == "No mark here\nNew."
    assert edit(version("One."), {}, ["Two.", "Three."], []).text == "One. Two. Three."
    assert edit(None, {}, ["First."], []).text == "First."


@given(ANY, st.integers(0, 20))
def test_leaving_a_sentence_out_takes_nothing_else(text, number):
    before = version(text)
    if number < len(before.sentences):
        left = without(before, [before.sentences[number].id])
        others = [s.text for n, s in enumerate(before.sentences) if n != number]
        assert "".join("".join(others).split()) == "".join(left.split())


def test_an_unknown_id_names_the_known_ones():
    with pytest.raises(ProfileError, match="no sentence 's9'; the summary has s1, s2"):
        edit(version("One. Two."), {"s9": "x"}, [], [])
    assert find(version("One. Two."), "s2").text == "Two."


def current(text: str, origin="model"):
    return carry(text, (), 1, origin, 1)[0]


def test_without_rules_the_models_text_stays_to_the_last_character():
    written = "  Likes cats.\n\n Likes dogs. "
    assert compose(written, current("Old."), Rules()).text == written


def test_the_models_older_sentences_give_way_and_a_persons_stay():
    before = (*current("Likes cats."), *carry("Short answers.", (), 2, "user", 2)[0])
    assert compose("Likes dogs.", before, Rules()).text == "Short answers. Likes dogs."


def test_a_locked_sentence_survives_word_for_word_and_once():
    rules = Rules(lock=("Likes CATS best.",))
    assert (
        compose("likes cats best. Likes dogs.", current("Likes CATS best."), rules).text
        == "Likes CATS best. Likes dogs."
    )
    assert compose("Likes dogs.", (), rules).text == "Likes CATS best. Likes dogs.", "also when the version lost it"


def test_what_is_forbidden_or_was_removed_does_not_come_back():
    rules = Rules(forbid=("Likes fish.",), removed=("Likes dogs.",))
    found = compose("likes FISH! Likes dogs. Likes cats.", (), rules)
    assert (found.text, found.blocked) == ("Likes cats.", ("likes FISH!", "Likes dogs."))


def test_alike_in_meaning_is_kept_out_for_bans_only():
    def similar(sentence: str, forbidden: str) -> bool:
        return "fish" in sentence and "fish" in forbidden

    rules = Rules(forbid=("Likes fish.",))
    assert compose("Is fond of fish. Likes cats.", (), rules, similar).text == "Likes cats."
    assert compose("Is fond of fish.", (), Rules(removed=("Likes fish.",)), similar).text == "Is fond of fish."


@given(st.lists(WORDS), st.lists(WORDS, max_size=3), st.lists(WORDS, max_size=2), st.lists(WORDS, max_size=2))
def test_rules_hold_whatever_is_written(written, before, locked, banned):
    banned = [ban for ban in banned if normalized(ban) not in {normalized(text) for text in locked}]
    rules = Rules(lock=tuple(dict.fromkeys(locked)), forbid=tuple(banned))
    found = compose(" ".join(written), current(" ".join(before)), rules)
    words = [found.text[start:end] for start, end in split(found.text)]
    assert all(text in words for text in locked), found
    assert not {normalized(word) for word in words} & {normalized(ban) for ban in banned}


def test_new_words_without_a_mark_do_not_swallow_the_next_sentence():
    before = version("Likes cats. Is brief.")
    assert edit(before, {"s1": "Likes dogs"}, [], []).text == "Likes dogs\nIs brief."
    assert edit(before, {"s1": "Likes dogs!"}, [], []).text == "Likes dogs! Is brief."
    assert edit(before, {"s2": "Is wordy"}, [], []).text == "Likes cats. Is wordy"
