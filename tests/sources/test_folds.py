"""Folds on real samples: everyone is tested once, and what is tested is nowhere in training."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from plus.resources import shipped
from plus.sources import llmfao, polis
from plus.sources.contexts import resample
from plus.sources.folds import (
    Fold,
    agreement,
    answers,
    by_topics,
    by_users,
    by_users_and_answers,
    slice_of,
    within_users,
)
from plus.sources.splits import pair_key
from plus.types import Dropped, Event, Preference, Reaction


@pytest.fixture(scope="module")
def votes():
    return polis.votes_of(shipped("polis_sample"), Dropped())


@pytest.fixture(scope="module")
def judgments():
    return llmfao.judgments_of(shipped("llmfao_sample"), Dropped())


def faults(fold: Fold, new_users: bool, new_answers: bool, new_prompts: bool = False) -> list[str]:
    """What of the test rows training has seen although the fold says that it is new."""
    found, test = [], fold.population.split("test")
    trained = {user for user in fold.events} | set(fold.population.users("train"))
    seen = {text for past in fold.events.values() for event in past for text in answers(event)}
    seen |= {text for e in fold.population.split("train") for text in (e.target.chosen, e.target.rejected)}
    prompts = {event.content.prompt for past in fold.events.values() for event in past}
    for example in test:
        read = {text for event in example.history.events for text in answers(event)}
        if new_users and example.history.user_id in trained:
            found.append("user")
        if new_answers and {example.target.chosen, example.target.rejected} & (seen | read):
            found.append("answer")
        if new_prompts and example.target.prompt in prompts:
            found.append("prompt")
        if any(event.content in (example.target, example.target.swapped()) for event in example.history.events):
            found.append("target in its own context")
    return found


def test_new_users_are_each_tested_in_one_fold(votes):
    folds = by_users("polis", votes, 3)
    tested = [user for fold in folds for user in fold.population.users("test")]
    assert len(tested) == len(set(tested)) > 0.5 * len(votes)
    for fold in folds:
        assert faults(fold, new_users=True, new_answers=False) == []
        assert not set(fold.population.users("validation")) & (set(fold.events) | set(fold.population.users("test")))


def test_new_answers_stand_in_no_training_row_and_no_context(votes):
    for fold in by_users_and_answers("polis", votes, 2):
        assert fold.population.split("test")
        assert faults(fold, new_users=True, new_answers=True) == []
        validated = {t for e in fold.population.split("validation") for t in (e.target.chosen, e.target.rejected)}
        tested = {t for e in fold.population.split("test") for t in (e.target.chosen, e.target.rejected)}
        assert not validated & tested


def test_a_planted_leak_of_an_answer_is_found(votes):
    fold = by_users_and_answers("polis", votes, 2)[0]
    leak = Event("x", "reaction", Reaction("p", fold.population.split("test")[0].target.chosen, True))
    leaky = Fold(fold.name, fold.group, fold.population, {**fold.events, "spy": (leak,)})
    assert "answer" in faults(leaky, new_users=True, new_answers=True)


def test_the_same_users_are_predicted_from_all_their_other_choices(judgments):
    folds = within_users("llmfao", judgments, 3, least=4)
    total = 0
    for fold in folds:
        assert faults(fold, new_users=False, new_answers=False) == []
        for example in fold.population.split("test"):
            trained = {event.content for event in fold.events[example.history.user_id]}
            assert not {example.target, example.target.swapped()} & trained
        total += len(fold.population.split("test"))
    # All but those that a worker judged twice: such a target would stand in its own context.
    once = [
        pair
        for past in judgments.values()
        if len(past) >= 4
        for pair, times in Counter(pair_key(event.content) for event in past).items()
        if times == 1
    ]
    assert total >= len(once) > 50


def test_a_new_prompt_is_in_no_training_choice(judgments):
    folds = by_topics("llmfao", judgments, 3)
    assert sum(len(fold.population.split("test")) for fold in folds) > 0
    for fold in folds:
        assert faults(fold, new_users=False, new_answers=False, new_prompts=True) == []


def test_training_events_can_be_cut_anew(votes):
    fold = by_users("polis", votes, 3)[0]
    targets = [resample(past, Random(0))[1] for past in fold.events.values()]
    assert sum(map(len, targets)) > 0


def test_pairs_that_training_users_like_about_as_often_are_controversial():
    fold = Fold("f", "new users", by_users("none", {}, 1)[0].population, {}, {"a": 0.5, "b": 0.64, "c": 0.9})
    assert slice_of(fold, Preference("p", "a", "b")) == "new users, controversial"
    assert slice_of(fold, Preference("p", "a", "c")) == "new users"
    assert slice_of(fold, Preference("p", "a", "unknown")) == "new users"


def test_a_choice_says_how_popular_its_answers_are_where_that_is_asked_for():
    def chose(better: str, worse: str) -> Event:
        return Event(f"{better} {worse}", "choice", Preference("p", better, worse))

    liked = Event("l", "reaction", Reaction("p", "good", True))
    events = {"a": [chose("good", "bad"), chose("good", "odd"), liked], "b": [chose("bad", "good")], "c": [liked]}
    assert agreement(events, "ab") == {"good": 1.0}, "reactions alone"
    # Chosen twice and liked once of four times; "odd" is seen once, and nobody asks user c.
    assert agreement(events, "ab", choices_of=2) == {"good": 0.75, "bad": 0.5}
