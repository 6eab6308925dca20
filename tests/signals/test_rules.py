"""The rules' labels: plain cases of every rubric, and how they do on turns that were written apart from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.talks import LABELS, macro_f1, turns

from plus.signals.rubrics import DISSATISFIED, RULES, SATISFIED
from plus.signals.rules import Signal, last_act, signals_by_rules
from plus.types import Turn

PLAIN = {
    "gratitude": "Thank you!", "learning": "Oh, I see.", "compliance": "That worked.", "praise": "Great job!",
    "personal details": "My daughter loves it", "humour": "hahaha", "acknowledgement": "OK.",
    "positive closure": "That's all for today.", "getting there": "Much better now.",
    "negative feedback": "This is not helpful.", "revision request": "Try again.", "factual error": "That is wrong.",
    "unrealistic expectation": "Why can't you just open the link?", "no engagement": "Never mind.",
    "ignored": "You forgot the second part.", "lower quality": "The first version was better.",
    "insufficient detail": "Too vague.", "style": "Too long.",
}  # fmt: skip

# Written before the rules had met them, and the rules not changed since: (turn, label).
APART = [
    ("wow that helped me a ton", "satisfied"), ("appreciate the help man", "satisfied"), ("Thx a lot :)", "satisfied"),
    ("beautiful, sending it to my boss right away", "satisfied"), ("yes!! this is it", "satisfied"),
    ("Never knew that about octopuses, interesting", "satisfied"),
    ("Brilliant idea, let's go with the second name.", "satisfied"),
    ("it compiled, you saved my evening", "satisfied"), ("Good, we are closer to what I had in mind", "satisfied"),
    ("ok great, bye", "satisfied"), ("LOL the last line got me", "satisfied"),
    ("Now I understand why the loop never ended.", "satisfied"),
    ("Thank you so much for explaining", "satisfied"), ("nice one!", "satisfied"), ("That makes sense", "satisfied"),
    ("it works now", "satisfied"), ("I will use the third one", "satisfied"),
    ("perfect, can you also do it for May?", "satisfied"),
    ("no, I said a table, not a list", "dissatisfied"),
    ("The capital of Australia is Canberra, you got it wrong", "dissatisfied"),
    ("this is nothing like what I wanted", "dissatisfied"), ("still getting the same error", "dissatisfied"),
    ("way too many words, cut it in half", "dissatisfied"), ("You did not mention the budget at all.", "dissatisfied"),
    ("stop apologising and give me the code", "dissatisfied"),
    ("can you make it sound less like a robot", "dissatisfied"),
    ("that link does not exist", "dissatisfied"), ("come on, you can do better than that", "dissatisfied"),
    ("I need much more detail on step 3.", "dissatisfied"), ("whatever, I'll do it myself", "dissatisfied"),
    ("You keep repeating the same sentence", "dissatisfied"), ("wrong. try again", "dissatisfied"),
    ("It doesn't work, same exception as before", "dissatisfied"), ("boring", "dissatisfied"),
    ("The previous draft was clearer.", "dissatisfied"), ("Thanks, but this isn't correct", "dissatisfied"),
    ("Translate this into Spanish: I love my dog", "none"), ("What about Norway?", "none"), ("next", "none"),
    ("Write an email to thank you for the gift from my aunt", "none"), ("And how long does it take by train?", "none"),
    ("Give me ten more names for the shop", "none"), ("continue", "none"), ("My budget is 500 euros.", "none"),
    ("Explain the difference between a list and a tuple", "none"), ("def f(x): return x + 1", "none"),
    ("Is it true that bees can see colours?", "none"), ("Make a quiz about the Romans", "none"),
    ("Which of these is cheaper?", "none"), ("Write a review that says the food was terrible", "none"),
    ("A second paragraph about the wrong turn they took", "none"), ("Add a character named Joy", "none"),
    ("How do I say goodbye in Welsh?", "none"), ("summarize chapter 4", "none"),
]  # fmt: skip


def label(text: str) -> Signal:
    first, found = signals_by_rules(turns("Write something about rivers in Peru.", "Here it is.", text))
    assert (first.label, first.probability) == ("none", 1.0)
    return found


def test_there_is_a_rule_for_each_of_the_18_rubrics():
    assert sorted(rule.rubric for rule in RULES) == sorted(SATISFIED + DISSATISFIED) and len(RULES) == 18


@pytest.mark.parametrize("rubric", PLAIN)
def test_a_plain_turn_shows_its_rubric_with_its_words(rubric):
    found = label(PLAIN[rubric])
    assert found.label == ("satisfied" if rubric in SATISFIED else "dissatisfied")
    assert rubric in [name for _, _, name in found.evidence] and 0.5 < found.probability < 1


def test_turns_written_apart_from_the_rules(capsys):
    """Macro-F1 of satisfied / dissatisfied / none, with the table; `unsure` counts as a miss."""
    table = {(true, got): 0 for true in LABELS for got in (*LABELS, "unsure")}
    for text, true in APART:
        table[true, label(text).label] += 1
    score = macro_f1(table)
    with capsys.disabled():
        print(f"\nrules, {len(APART)} turns: macro-F1 {score:.3f}")
        for true in LABELS:
            print(f"  {true:<13}", {got: table[true, got] for got in (*LABELS, "unsure")})
    assert score > 1 / 3 + 0.2


def test_the_measure_on_numbers_done_by_hand():
    table = {(true, got): 0 for true in LABELS for got in (*LABELS, "unsure")}
    table |= {
        ("satisfied", "satisfied"): 3,
        ("satisfied", "none"): 1,
        ("dissatisfied", "unsure"): 2,
        ("none", "none"): 2,
    }
    assert macro_f1(table) == pytest.approx((2 * 3 / 7 + 0 + 2 * 2 / 5) / 3)


def test_not_right_now_is_about_the_time_and_not_right_about_the_answer():
    talk = [("user", "A film?"), ("assistant", "Shall I buy the ticket?"), ("user", "Not right now."),
            ("assistant", "Okay."), ("user", "That date is not right.")]  # fmt: skip
    labels = [signal.label for signal in signals_by_rules([Turn(role, text) for role, text in talk])]
    assert labels == ["none", "none", "dissatisfied"]


def test_thanks_but_is_no_thanks_and_both_without_a_but_is_unsure():
    assert label("Thanks, but you forgot the dates.").label == "dissatisfied"
    assert label("Thank you. That is wrong.").label == "unsure"


def test_asking_again_is_a_signal_and_the_first_question_never_is():
    asked = "What is the tallest mountain of Peru?"
    found = signals_by_rules(
        turns("Thanks!", "?", asked, "Lima.", asked, "Lima.", "What is the very tallest mountain in Peru?")
    )
    assert [one.label for one in found] == ["none", "none", "dissatisfied", "unsure"]
    assert [one.turn for one in found] == [0, 2, 4, 6] and found[2].evidence == ((0, len(asked), "revision request"),)
    assert found[2].probability > found[3].probability


def test_pasted_material_and_quotes_are_no_feedback():
    assert label("Correct this:\n```\nthanks, this is terrible\n```").label == "none"
    assert label('He said "thank you so much" to her. Write on.').label == "none"
    assert label("Here is a story. " * 30 + "This is terrible, she said. " + "They went on. " * 30).label == "none"


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text(max_size=80)), max_size=8))
def test_any_conversation_gets_one_signal_for_each_turn_and_none_before_an_answer(said):
    turns = [Turn(*one) for one in said]
    found = signals_by_rules(turns)
    first = next((n for n, turn in enumerate(turns) if turn.role == "assistant"), len(turns))
    assert [one.turn for one in found] == [n for n, turn in enumerate(turns) if turn.role == "user"]
    assert {one.label for one in found if one.turn < first} <= {"none"}
    assert all(0 <= start < end <= len(turns[one.turn].content) for one in found for start, end, _ in one.evidence)


@pytest.mark.parametrize(
    ("said", "act"),
    [
        ("Which colour do you want?", "question"),
        ("OK. Have you been to Lima", "question"),
        ("What did you dislike about it? Please give me 2 reasons.", "question"),
        ("Shall I book it?", "offer"),
        ("Lima is the capital of Peru. " * 6 + "Is that what you were after?", "offer"),
        ("It is the capital of Peru.", "answer"),
        ("Why rivers bend is a question of friction.", "answer"),
        ("", "answer"),
    ],
)
def test_the_last_act_of_an_answer(said, act):
    assert last_act(said) == act


@pytest.mark.parametrize(
    ("answer", "reply", "label"),
    [
        # Of the topic, in a reply to a question.
        ("Do you like horror?", "No, I don't like horror.", "none"),
        ("Have you seen it?", "No.", "none"),
        ("What did you think of the ending?", "It was terrible, too long.", "none"),
        ("What did you like about it?", "The end, where he says that life is amazing.", "none"),
        ("Have you seen Alien?", "No, I have not seen it.", "none"),
        # Declined.
        ("Here is a poem about the sea. " * 5 + "Would you like another one?", "No.", "none"),
        ("Shall I buy the ticket?", "Never mind.", "none"),
        ("Two tickets. Is there anything else?", "No, that's all.", "none"),
        ("Two tickets. Is there anything else?", "No, that's all, thank you.", "satisfied"),
        ("Two tickets.", "That's all for today.", "satisfied"),
        # Of the answer, whatever was asked at its end.
        ("Here is a poem about the sea. " * 5 + "Would you like another one?", "Too long.", "dissatisfied"),
        ("Two tickets for Monday, is that right?", "No, that's wrong.", "dissatisfied"),
        ("Do you like horror?", "You didn't read my question.", "dissatisfied"),
        ("Is this what you need?", "Perfect!", "satisfied"),
        ("The Nile.", "No.", "dissatisfied"),
    ],
)
def test_a_reply_to_a_question_is_no_opinion_of_the_answer(answer, reply, label):
    before = [Turn("user", "Find me something."), Turn("assistant", "Have you heard of Alien?")]
    talk = [*before, Turn("user", "No, I have not seen it."), Turn("assistant", answer), Turn("user", reply)]
    assert signals_by_rules(talk)[-1].label == label


def test_no_rule_alone_is_surer_of_dissatisfaction_than_it_was_right_on_rated_dialogues():
    assert max(rule.probability for rule in RULES if rule.rubric in DISSATISFIED) < 0.9
