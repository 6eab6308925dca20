"""Styles: pairs differ in one trait, test pairs are mirrored, and the best possible accuracy is exact."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from plus.types import Example, Message, Preference
from plus.worlds import pets, styles

SMALL = {"train_users": 30, "pairs_per_user": 3, "test_pairs": 60}


@pytest.fixture(params=[styles.load, styles.load_unlabelled])
def population(request):
    return request.param(seed=2, **SMALL)


def test_every_pair_differs_in_exactly_one_trait(population):
    parts = {part for values in styles.PARTS.values() for part in values}
    for example in population.examples:
        trait, value = styles.asked(example.target)
        assert value in styles.TRAITS[trait]
        texts = [{part for part in parts if part in text} for text in (example.target.chosen, example.target.rejected)]
        assert len(texts[0] & texts[1]) == 2 and len(texts[0] ^ texts[1]) == 2


def test_the_chosen_answer_is_what_the_persona_likes(population):
    for example in population.examples:
        claimed = styles.claims(population.personas[example.history.user_id])
        assert styles.asked(example.target) in claimed
        assert styles.traits(example.history) <= claimed


def test_contexts_reveal_one_to_three_traits_and_mirrored_twins_the_same_ones(population):
    revealed = Counter(len(styles.traits(example.history)) for example in population.split("test"))
    assert revealed.keys() == {1, 2, 3}
    pets.mirrored(population.split("test"))
    test = population.split("test")
    for one, two in zip(test[::2], test[1::2], strict=True):
        assert one.target == two.target.swapped()
        assert {t for t, _ in styles.traits(one.history)} == {t for t, _ in styles.traits(two.history)}


def test_best_possible_is_what_a_perfect_reader_reaches(population):
    """1 on a revealed trait, a coin on another; the property `known` must agree with the enumeration."""
    test = population.split("test")
    known = [styles.asked(e.target)[0] in {trait for trait, _ in styles.traits(e.history)} for e in test]
    assert population.best_possible == pytest.approx((sum(known) + 0.5 * (len(known) - sum(known))) / len(known))


def test_a_worked_enumeration():
    rng = random.Random(0)
    vector = ("music", "casual", "long")
    history = styles.user(rng, "u", vector, revealed=["topic", "tone"])
    assert styles.traits(history) == {("topic", "music"), ("tone", "casual")}
    assert styles.consistent(history) == [("music", "casual", "short"), ("music", "casual", "long")]
    topic, length = styles.comparison(rng, "topic", "music"), styles.comparison(rng, "length", "long")
    assert styles.best_possible([Example(history, topic)]) == 1.0
    assert styles.best_possible([Example(history, length)]) == 0.5
    assert styles.best_possible([Example(history, topic), Example(history, length)]) == 0.75


def test_both_variants_ask_the_same_and_can_reach_the_same():
    one, two = styles.load(4, **SMALL), styles.load_unlabelled(4, **SMALL)
    assert [e.target for e in one.examples] == [e.target for e in two.examples]
    assert one.best_possible == two.best_possible
    assert all(isinstance(e.content, Preference) for h in one.histories.values() for e in h.events)
    assert all(isinstance(e.content, tuple) for h in two.histories.values() for e in h.events)
    assert styles.load(4, **SMALL) == one != styles.load(5, **SMALL)


def test_what_is_asked_about_is_no_trait():
    prompts = [p for n in range(300) for p in [styles.comparison(random.Random(n), "tone", "formal").prompt]]
    assert not any(word in prompt for prompt in prompts for word in ("sports", "music"))


def test_claims_are_parsed_and_what_is_no_trait_is_false():
    assert styles.claims(styles.persona(("music", "casual", "long"))) == {
        ("topic", "music"),
        ("tone", "casual"),
        ("length", "long"),
    }
    assert styles.claims("The user likes blue and short answers.") == {("unknown", "blue"), ("length", "short")}
    assert styles.claims("The user talked about work.") == set()


def test_conversations_for_a_base_end_with_what_to_learn():
    said = [styles.conversation(random.Random(n)) for n in range(400)]
    assert {tuple(m["role"] for m in rows) for rows in said} == {("user", "assistant"), ("user", "assistant", "user")}
    likes: list[list[Message]] = [rows for rows in said if "likes" in rows[-1]["content"]]
    assert all("unknown" not in dict(styles.claims(rows[-1]["content"])) for rows in likes)


def test_a_complaint_follows_exactly_the_answers_that_do_not_suit():
    complaints = 0
    for n in range(600):
        asked, answer, *complaint = styles.conversation(random.Random(n))
        about = asked["content"].removeprefix("About this user: ").split("\n\n")[0]
        told = styles.claims(about) if asked["content"].startswith("About") else set()
        if told and any(part in answer["content"] for part in styles.PARTS["short"] + styles.PARTS["long"]):
            shown = {
                (t, v)
                for v, parts in styles.PARTS.items()
                for t in styles.TRAITS
                if v in styles.TRAITS[t]
                if any(p in answer["content"] for p in parts)
            }
            assert bool(complaint) == (not told <= shown), (asked, answer)
            complaints += bool(complaint)
        else:
            assert not complaint
    assert complaints > 20
