"""What the embedding reward model reads, what new answers borrow, and the prior of a user's own choices."""

from __future__ import annotations

import math

import pytest
import torch
from support.words import embeddings

from plus.models.embedding_reward_model import EmbeddingRewardModel, ridge_regression
from plus.types import Preference

PAIR = Preference("q", "cats purr", "dogs bark")
TEXT = "Agreed: cats are fine\nDisagreed: dogs are fine"


@pytest.fixture
def reader():
    torch.manual_seed(0)
    return EmbeddingRewardModel(embeddings(), ["cats purr", "dogs bark"])


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


def test_free_prose_is_read_a_sentence_at_a_time(reader):
    """z is the mean over sentences, each embedded alone, without its subject: from the network's own numbers."""
    prose = "They like cats.  They fear dogs! Cats are fine"
    table = reader.embeddings
    rows = table.ids(["Like cats.", "Fear dogs!", "Cats are fine"])
    sides = torch.tensor([[row, 0] for row in rows])
    with torch.no_grad():
        z = reader.model.people(table.table, [sides])[0]
        cats, dogs = (reader.model.answer(table.vectors([text])[0]) for text in (PAIR.chosen, PAIR.rejected))
    expected = (cats[0] - dogs[0] + (cats[1:] - dogs[1:]) @ z).item()
    assert margin(reader, prose) == pytest.approx(expected, abs=1e-5)
    assert margin(reader, "They fear dogs!\nThey like cats.\nCats are fine") == pytest.approx(expected, abs=1e-5)
    assert abs(margin(reader, prose.replace("! ", ", and ")) - expected) > 1e-4, "two sentences are not one"


def test_a_quoted_event_stays_one_text_and_a_person_may_add_sentences(reader):
    """An answer of two sentences that was agreed to is one event; free words beside it are read by the sentence."""
    lines = "Agreed: cats are fine. dogs too.\nI like fish. I like birds."
    apart = "I like birds.\nAgreed: cats are fine. dogs too.\nI like fish."
    assert margin(reader, lines) == pytest.approx(margin(reader, apart), abs=1e-5)
    assert {"cats are fine. dogs too.", "I like fish.", "I like birds."} <= reader.embeddings.rows.keys()
    assert not {"cats are fine.", "dogs too."} & reader.embeddings.rows.keys()
    chose = "Chose: cats are fine. Really.\nOver: dogs are fine.\nI like fish. I like birds."
    assert len(reader._events([chose])[0]) == 3


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
    reader = EmbeddingRewardModel(table, ["cats purr", "dogs bark"], borrow=0.5)
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
    reader = EmbeddingRewardModel(embeddings(), ["cats purr", "dogs bark", "fish swim"], borrow=1.0)
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
    reader = EmbeddingRewardModel(table, ["cats purr", "dogs bark"], label_as_text=True)
    before = len(table.rows)
    margin(reader, "Agreed: cats are fine")
    assert "Agreed: cats are fine" in table.rows
    assert "cats are fine" not in table.rows
    assert len(table.rows) == before + 1


# Unit vectors times sqrt(2), as the table of `Embeddings` has them; row 0 is nothing.
EAST, NORTH, NORTH_EAST, WEST = 1, 2, 3, 4
TABLE = torch.tensor([[0.0, 0.0], [2**0.5, 0.0], [0.0, 2**0.5], [1.0, 1.0], [-(2**0.5), 0.0]])


def test_the_prior_of_one_line_on_worked_numbers():
    """One line for EAST: (k(E, E) + 0.3)^-1 = 1 / 1.3, and k of each answer is exp(3 (cos - 1))."""
    lines = [torch.tensor([[EAST, 0]])]
    found = ridge_regression(TABLE, lines, torch.tensor([0]), torch.tensor([[EAST, NORTH, NORTH_EAST, WEST]]))
    cosines = [1.0, 0.0, 0.5**0.5, -1.0]
    assert found[0].tolist() == pytest.approx([math.exp(3 * (c - 1)) / 1.3 for c in cosines], abs=1e-6)


def test_the_prior_of_a_line_against_is_that_of_a_line_for_turned_round():
    answers = torch.tensor([[EAST, NORTH_EAST]])
    liked = ridge_regression(TABLE, [torch.tensor([[EAST, 0]])], torch.tensor([0]), answers)
    disliked = ridge_regression(TABLE, [torch.tensor([[0, EAST]])], torch.tensor([0]), answers)
    assert disliked[0].tolist() == pytest.approx((-liked[0]).tolist(), abs=1e-6)


def test_the_prior_of_a_text_does_not_depend_on_the_texts_beside_it():
    """Padding has no say: two lines by hand, k = exp(-3) between EAST and NORTH."""
    events = [torch.tensor([[EAST, 0], [0, NORTH]]), torch.tensor([[EAST, NORTH]] * 3), torch.zeros(0, 2).long()]
    found = ridge_regression(TABLE, events, torch.tensor([0, 2]), torch.tensor([[EAST], [EAST]]))
    k = math.exp(-3)
    inverse = torch.tensor([[1.3, k], [k, 1.3]]).inverse() @ torch.tensor([1.0, -1.0])
    assert found[0].item() == pytest.approx((inverse @ torch.tensor([1.0, k])).item(), abs=1e-6)
    assert found[1].item() == 0.0


def test_new_answers_have_the_prior_and_known_ones_do_not():
    torch.manual_seed(0)
    table = embeddings()
    reader = EmbeddingRewardModel(table, ["cats purr", "dogs bark"], borrow=0.5)
    text, new, known = "Agreed: horses run", "horses jump", "cats purr"
    before = reader.rewards([(text, "q", new), (text, "q", known)])
    with torch.no_grad():
        reader.model.prior += 1.0
    after = reader.rewards([(text, "q", new), (text, "q", known)])
    (line, answer) = table.ids(["horses run", new])
    alone = ridge_regression(table.table, [torch.tensor([[line, 0]])], torch.tensor([0]), torch.tensor([[answer]]))
    assert after[0] - before[0] == pytest.approx(alone.item(), abs=1e-5) and alone.item() > 0.1
    assert after[1] == before[1]
    pair = Preference("q", new, known)
    assert margin(reader, text, pair) == pytest.approx(after[0] - after[1], abs=1e-5)


def test_the_weight_of_the_prior_is_learned_where_answers_borrow_and_absent_elsewhere():
    torch.manual_seed(0)
    reader = EmbeddingRewardModel(embeddings(), ["cats purr", "dogs bark", "fish swim"], borrow=1.0)
    ((_, margins),) = reader.margins(["Agreed: cats purr"], [PAIR])
    margins.sum().backward()
    assert reader.model.prior.grad.item() > 0
    assert EmbeddingRewardModel(embeddings(), ["cats purr"]).model.prior is None
    assert EmbeddingRewardModel(embeddings(), ["cats purr"], borrow=0.5, label_as_text=True).model.prior is None
