"""What a summary is worth, on scorers whose answer is known and on the demo's own."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from support.stores import change

import plus
from plus.measures import bootstrap, wilson
from plus.profiles import attribution
from plus.profiles.saving import save_model
from plus.profiles.sentences import carry
from plus.profiles.store import Store
from plus.profiles.versions import Version, as_spans, edit
from plus.types import Entry, Event, Preference
from plus.worlds import pets


class LikesScorer:
    """Reads "likes X": sure of an answer that names X. `longest` words are all that it understands at once."""

    def __init__(self, longest: int = 1000) -> None:
        self.longest = longest

    def log_likelihood(self, texts, pairs):
        values = []
        for text, pair in zip(texts, pairs, strict=True):
            liked = set() if len(text.split()) > self.longest else {word for _, word in pets.claims(text)}
            hits = [bool(liked & set(answer.rstrip(".").split())) for answer in (pair.chosen, pair.rejected)]
            margin = 2.0 * (hits[0] - hits[1])
            values.append(-math.log1p(math.exp(-margin)))
        return values


def version(text: str) -> Version:
    return Version("ann", 1, text, as_spans(carry(text, (), 1, "model", 1)[0]))


def choices(*animals: str) -> list[Event]:
    return [
        Event(f"e{n}", "choice", Preference("Tell me.", f"I saw {a}.", "I saw snakes.")) for n, a in enumerate(animals)
    ]


SURE, COIN = -math.log1p(math.exp(-2.0)), math.log(0.5)


def test_worth_is_what_leaving_the_sentence_out_costs():
    text = version("The user talked about music. The user likes cats best. The user likes dogs best.")
    found = attribution.why(LikesScorer(), text, choices("cats", "cats", "dogs", "fish"))
    assert [(one.id, one.worth) for one in found.sentences] == [
        ("s2", pytest.approx(2 * (SURE - COIN) / 4)), ("s3", pytest.approx((SURE - COIN) / 4)), ("s1", 0.0),
    ]  # fmt: skip
    assert found.whole == pytest.approx((3 * SURE + COIN) / 4)
    assert found.empty == pytest.approx(COIN)
    assert found.reads_whole


def test_two_sentences_that_say_the_same_are_worth_nothing_left_out_and_much_alone():
    found = attribution.why(LikesScorer(), version("The user likes cats best. Yes, she likes cats."), choices("cats"))
    assert [one.worth for one in found.sentences] == [0.0, 0.0]
    assert [one.alone for one in found.sentences] == [pytest.approx(SURE - COIN)] * 2


def test_a_reader_of_short_texts_is_noticed_and_asked_sentence_by_sentence():
    text = version("The user talked about music. The user likes cats best. The user talked about food.")
    found = attribution.why(LikesScorer(longest=6), text, choices("cats"))
    assert not found.reads_whole
    assert found.sentences[0].id == "s2"


def test_a_sentence_comes_from_the_choices_that_it_explains():
    past = choices("dogs", "cats", "fish")
    found = attribution.why(LikesScorer(), version("The user likes cats best."), choices("cats"), {1: past})
    assert found.sentences[0].events[0] == ("e1", pytest.approx(SURE - COIN))
    assert [gain for _, gain in found.sentences[0].events[1:]] == [0.0, 0.0]


def test_scores_and_intervals_worked_by_hand():
    found = attribution.score([SURE, SURE, COIN, -2.0])
    assert found.accuracy == 2.5 / 4
    assert found.log_likelihood == pytest.approx((2 * SURE + COIN - 2.0) / 4)
    low, high = wilson(0.9, 10)
    assert (low, high) == (pytest.approx(0.5958, abs=1e-4), pytest.approx(0.9821, abs=1e-4))  # Wilson 1927, by hand
    assert wilson(1.0, 1)[1] == 1.0
    assert bootstrap([1.0, 1.0]) == (1.0, 1.0)
    low, high = bootstrap([0.0, 1.0] * 50)
    assert low == pytest.approx(0.4, abs=0.03)
    assert high == pytest.approx(0.6, abs=0.03)


def test_flips_name_the_choices_that_change_sides():
    events = choices("cats", "dogs", "fish")
    before = attribution.read(LikesScorer(), "The user likes cats best.", events)
    after = attribution.read(LikesScorer(), "The user likes dogs best.", events)
    assert [(flip.event_id, flip.after > flip.before) for flip in attribution.flips(events, before, after)] == [
        ("e0", False),
        ("e1", True),
    ]


def test_a_budget_keeps_the_sentences_worth_most_and_says_what_is_kept():
    text = version("The user talked about music. The user likes dogs best. The user likes cats best.")
    events, words = choices("cats", "cats", "dogs"), lambda text: len(text.split())
    assert attribution.choose(LikesScorer(), text, events, words, 100) == (text.text, None)
    kept, value = attribution.choose(LikesScorer(), text, events, words, 5)
    assert (kept, value.share) == ("The user likes cats best.", pytest.approx(2 / 3))
    assert (value.whole, value.empty) == (pytest.approx(SURE), pytest.approx(COIN))
    kept, value = attribution.choose(LikesScorer(), text, events, words, 10)
    assert (kept, value.share) == ("The user likes dogs best. The user likes cats best.", pytest.approx(1.0))
    kept, value = attribution.choose(LikesScorer(longest=6), text, events, words, 5)
    assert (kept, value.share) == ("The user likes cats best.", None), (
        "a whole text that is not read has no value to keep"
    )
    kept, _ = attribution.choose(LikesScorer(), text, events, words, 5, locked=["The user talked about music."])
    assert kept == "The user talked about music."
    assert attribution.choose(LikesScorer(), text, [], words, 5) == ("The user talked about music.", None)


def test_a_choice_that_a_summary_was_written_from_is_not_held_out(path):
    with Store(path) as store:
        store.add_events(
            [Entry("ann", event, "", n > 1) for n, event in enumerate(choices("cats", "dogs", "fish", "birds"))]
        )
        saved, _ = save_model(store, store.read("ann"), "Likes cats.")
        assert [event.id for event in attribution.held_out(store, "ann", saved)] == ["e2", "e3"]
        leaky = replace(saved, evidence=("e2",))
        number = store.user("ann").number
        change(store, "UPDATE versions SET evidence = ? WHERE user = ?", '["e2"]', number)
        assert [event.id for event in attribution.held_out(store, "ann", leaky)] == ["e3"]


def held_out(rng: random.Random, favourite: str, count: int) -> list[Event]:
    others = [rng.choice([a for a in pets.ANIMALS if a != favourite]) for _ in range(count)]
    return [Event(f"e{n}", "choice", pets.comparison(rng, favourite, other)) for n, other in enumerate(others)]


def test_on_the_demo_a_wrong_favourite_drops_the_score_and_the_right_one_restores_it(demo):
    edits_on_the_demo(demo["run"])


def edits_on_the_demo(run: str) -> None:
    """Sixty users never met, ten choices each: the summary, its edit to a wrong animal, and the edit back.

    The log-likelihood drops for everyone. Accuracy does for most: a wrong favourite says nothing of
    choices between two other animals, and ten undecided ones may all come out right.
    """
    scorer, rng = plus.load(run).reward_model, random.Random(0)
    right_before, right_spoilt, dropped = 0.0, 0.0, 0
    for example in pets.load(0).split("test")[:60]:
        ((_, right),) = pets.favourite_of(example.history)
        wrong = rng.choice([animal for animal in pets.ANIMALS if animal != right])
        events = held_out(rng, right, 10)
        own = version(pets.PERSONA.format(animal=right))
        spoilt = version(edit(own, {"s1": pets.PERSONA.format(animal=wrong)}, [], []).text)
        back = edit(spoilt, {"s1": pets.PERSONA.format(animal=right)}, [], []).text
        before, worse, after = (
            attribution.score(attribution.read(scorer, text, events)) for text in (own.text, spoilt.text, back)
        )
        assert worse.log_likelihood < before.log_likelihood, example.history.user_id
        assert after == before
        right_before, right_spoilt = right_before + before.accuracy / 60, right_spoilt + worse.accuracy / 60
        dropped += worse.accuracy < before.accuracy
    assert right_before >= 0.95
    assert right_spoilt <= 0.6
    assert dropped >= 54


def test_on_the_demo_why_names_the_sentence_that_matters(demo):
    assert share_first(demo["run"], users=40) >= 0.95


@pytest.mark.slow
def test_on_the_demo_why_names_it_for_hundreds(demo):
    for irrelevant in (3, 4, 5):
        assert share_first(demo["run"], 200, irrelevant) >= 0.95


def share_first(run: str, users: int, irrelevant: int = 3) -> float:
    """Summaries of which all sentences but one are true and say nothing of taste."""
    scorer, rng = plus.load(run).reward_model, random.Random(1)
    first = 0
    for _ in range(users):
        favourite = rng.choice(pets.ANIMALS)
        matters = pets.PERSONA.format(animal=favourite)
        sentences = [
            matters,
            *(pets.TOPIC_SUMMARY.format(topic=topic) for topic in rng.sample(pets.TOPICS, irrelevant)),
        ]
        rng.shuffle(sentences)
        found = attribution.why(scorer, version(" ".join(sentences)), held_out(rng, favourite, 4))
        first += found.sentences[0].text == matters
    return first / users
