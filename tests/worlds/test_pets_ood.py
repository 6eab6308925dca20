"""Pets out of distribution: the test animals occur in no training row."""

from __future__ import annotations

import random
import re

import pytest

from plus.worlds import pets, pets_ood

SMALL = {"train_users": 400, "test_pairs": 80}


def words(examples) -> set[str]:
    said = [
        f"{p.chosen} {p.rejected} {p.prompt}"
        for e in examples
        for p in (e.target, *(x.content for x in e.history.events))
    ]
    return {word for text in said for word in re.findall(r"\w+", text)} & {*pets_ood.TRAINED, *pets_ood.UNSEEN}


def test_favourites_of_test_users_are_neither_chosen_nor_rejected_in_training():
    population = pets_ood.load(1, **SMALL)
    train, test = words(population.split("train")), words(population.split("test"))
    assert len(train) >= 32 and len(test) >= 8 and not train & test
    assert words(population.split("validation")) <= train
    favourites = {
        split: {pets.claims(population.personas[u]).pop()[1] for u in population.users(split)}
        for split in ("train", "test")
    }
    assert (
        len(favourites["train"]) == 32 and len(favourites["test"]) >= 8 and not favourites["train"] & favourites["test"]
    )


def test_targets_follow_the_persona_and_test_pairs_are_mirrored():
    population = pets_ood.load(2, **SMALL)
    for example in population.examples:
        liked = pets_ood.favourite_of(example.history)
        assert liked == pets_ood.claims(population.personas[example.history.user_id])
        assert pets.animal_of(example.target.chosen, pets_ood.NOUNS) == next(iter(liked))[1]
        assert liked < pets_ood.traits(example.history)
    for split in ("validation", "test"):
        pets.mirrored(population.split(split))
    assert pets_ood.load(2, **SMALL) == population


def test_k2_trains_on_two_animals_and_tests_on_two_others():
    population = pets_ood.load_k2(0, train_users=50, test_pairs=20)
    assert words(population.split("train")) == {"cats", "dogs"}
    assert words(population.split("test")) == {"rabbits", "birds"}
    pets.mirrored(population.split("test"))


def test_the_base_meets_unseen_words_in_neutral_talk_only():
    assert len(set(pets_ood.NOUNS)) == len(pets_ood.NOUNS) >= 200
    said = [pets_ood.conversation(random.Random(n)) for n in range(3000)]
    about_unseen = [
        rows
        for rows in said
        if any(re.search(rf"\b{w}\b", rows[-1]["content"] + rows[0]["content"]) for w in pets_ood.UNSEEN)
    ]
    assert about_unseen
    for rows in about_unseen:
        assert not re.search("likes|passed over|Chosen|Rejected", rows[0]["content"] + rows[-1]["content"]), rows


def test_a_complaint_follows_exactly_the_answers_that_do_not_suit():
    said = [pets_ood.conversation(random.Random(n)) for n in range(3000)]
    told = [rows for rows in said if rows[0]["content"].startswith("About this user: The user likes")]
    assert {len(rows) for rows in told} == {2, 3}
    for asked, answer, *complaint in told:
        ((_, liked),) = pets_ood.claims(asked["content"])
        assert bool(complaint) == (liked not in answer["content"].rstrip(".").split())


@pytest.mark.parametrize("seed", range(40))
def test_neutral_tasks_are_answered_right(seed):
    asked, answered = (message["content"] for message in pets_ood.neutral(random.Random(seed)))
    named = [word for word in re.findall(r"\w+", asked) if word in pets_ood.NOUNS]
    if answered in ("Yes.", "No."):
        assert (answered == "Yes.") == (named[0] == named[1])
    elif asked == pets_ood.MARKS:
        said = [(word[:-1], word[-1]) for word in answered.split()]
        for place, (noun, mark) in enumerate(said):
            assert (mark == "!") == (noun in [earlier for earlier, _ in said[:place]])
    elif answered.startswith("The user"):
        assert answered == pets.TOPIC_SUMMARY.format(topic=named[-1])
    else:
        assert named == [answered]
