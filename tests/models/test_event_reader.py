"""What the reader reads, and what it borrows for answers it has never met."""

from __future__ import annotations

import math

import pytest
import torch
from support.words import embeddings

from plus.models.event_reader import EventReader
from plus.types import Preference

PAIR = Preference("q", "cats purr", "dogs bark")
TEXT = "Agreed: cats are fine\nDisagreed: dogs are fine"


@pytest.fixture
def reader():
    torch.manual_seed(0)
    return EventReader(embeddings(), ["cats purr", "dogs bark"])


def margin(reader, text, pair=PAIR) -> float:
    with torch.no_grad():
        ((_, margins),) = reader.margins([text], [pair])
    return margins.item()


def test_an_empty_text_leaves_the_answers_own_rewards(reader):
    b = [
        reader.model.answer(reader.embeddings.table[i])[0].item()
        for i in reader.embeddings.ids(["cats purr", "dogs bark"])
    ]
    assert margin(reader, "") == pytest.approx(b[0] - b[1], abs=1e-5)


def test_agreeing_and_disagreeing_are_read_apart_and_order_is_not_read(reader):
    assert margin(reader, TEXT) == pytest.approx(margin(reader, "\n".join(reversed(TEXT.split("\n")))), abs=1e-5)
    assert abs(margin(reader, TEXT) - margin(reader, "Disagreed: cats are fine\nAgreed: dogs are fine")) > 1e-3
    assert margin(reader, TEXT, PAIR.swapped()) == pytest.approx(-margin(reader, TEXT), abs=1e-5)


def test_a_choice_is_one_event_of_two_lines(reader):
    chose = "Chose: cats are fine\nOver: dogs are fine"
    assert abs(margin(reader, chose) - margin(reader, TEXT)) > 1e-4
    assert abs(margin(reader, chose) - margin(reader, "Chose: dogs are fine\nOver: cats are fine")) > 1e-3


def test_the_log_likelihood_is_the_log_sigmoid_of_the_margin(reader):
    (value,) = reader.log_likelihood([TEXT], [PAIR])
    assert value == pytest.approx(-math.log1p(math.exp(-margin(reader, TEXT))), abs=1e-5)
    assert reader.log_likelihood([], []) == []


def test_a_text_scored_alone_and_among_others_gets_the_same_number(reader):
    texts = [TEXT, "", "Agreed: fish swim", TEXT]
    together = reader.log_likelihood(texts, [PAIR] * 4)
    assert together == pytest.approx([reader.log_likelihood([text], [PAIR])[0] for text in texts], abs=1e-5)


def test_new_answers_borrow_the_mean_of_their_neighbours_by_cosine():
    torch.manual_seed(0)
    table = embeddings()
    reader = EventReader(table, ["cats purr", "dogs bark"], borrow=0.5)
    new, a, b = table.vectors(["cats sleep", "cats purr", "dogs bark"])
    cosines = torch.stack([torch.cosine_similarity(new, known, dim=0) for known in (a, b)])
    weights = (10.0 * cosines).softmax(0)
    rewards = [reader.model.answer(vector)[0] for vector in (a, b)]
    expected = weights[0] * rewards[0] + weights[1] * rewards[1] - rewards[1]
    assert margin(reader, "", Preference("q", "cats sleep", "dogs bark")) == pytest.approx(expected.item(), abs=1e-4)
    # Without borrowing the network speaks for itself, whatever it learned.
    reader.borrow = 0.0
    alone = reader.model.answer(new)[0] - rewards[1]
    assert margin(reader, "", Preference("q", "cats sleep", "dogs bark")) == pytest.approx(alone.item(), abs=1e-4)


def test_in_training_an_answer_that_borrows_leaves_itself_out():
    torch.manual_seed(0)
    reader = EventReader(embeddings(), ["cats purr", "dogs bark", "fish swim"], borrow=1.0)
    own = reader.model.answer
    ((_, margins),) = reader.margins([""], [PAIR])
    cats, dogs, fish = reader.embeddings.vectors(["cats purr", "dogs bark", "fish swim"])

    def from_others(answer, others):
        weights = (10.0 * torch.stack([torch.cosine_similarity(answer, other, dim=0) for other in others])).softmax(0)
        return sum(weight * own(other)[0] for weight, other in zip(weights, others, strict=True))

    expected = from_others(cats, [dogs, fish]) - from_others(dogs, [cats, fish])
    assert margins.item() == pytest.approx(expected.item(), abs=1e-4)


def test_with_the_label_as_text_a_line_is_what_its_words_say():
    torch.manual_seed(0)
    table = embeddings()
    reader = EventReader(table, ["cats purr", "dogs bark"], label_as_text=True)
    before = len(table.rows)
    margin(reader, "Agreed: cats are fine")
    assert "Agreed: cats are fine" in table.rows
    assert "cats are fine" not in table.rows
    assert len(table.rows) == before + 1
