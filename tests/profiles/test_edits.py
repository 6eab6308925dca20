"""Sentence by sentence; everything else keeps every character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plus.errors import ProfileError
from plus.profiles.edits import edit, find, without
from plus.profiles.sentences import carry
from plus.profiles.versions import Version, as_spans

ANY = st.text(st.characters(exclude_categories=["Cs"]))


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
