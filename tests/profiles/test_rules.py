"""What people fix, against what models write."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plus.profiles.rules import Rules, compose
from plus.profiles.sentences import carry, normalized, split

WORDS = st.sampled_from(["Likes cats.", "Likes dogs.", "Short answers!", "No lists", "E.g. music.", "likes CATS"])


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
