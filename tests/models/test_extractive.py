"""The draw's arithmetic, what the reward model reads and borrows; the plain loop learns which events to pick."""

from __future__ import annotations

import math
from itertools import permutations
from random import Random

import pytest
import torch
from support.words import embeddings

from plus.models import extractive
from plus.models.extractive import EmbeddingRewardModel, ExtractiveSummarizer, draw, log_probability
from plus.train import loop
from plus.train.coadapt import CoAdaptation
from plus.types import Context, Event, Preference, Reaction, UserHistory

TOPIC = "What do you think?"
SCORES = torch.tensor([[math.log(1.0), math.log(2.0), math.log(5.0)]])


def vote(text: str, label: bool = True) -> Event:
    return Event(text, "reaction", Reaction(TOPIC, text, label))


def test_the_log_probability_of_a_draw_on_worked_numbers():
    """5 of 8, then 1 of the remaining 3."""
    value = log_probability(SCORES, torch.tensor([[2, 0]]))
    assert value.item() == pytest.approx(math.log(5 / 8 * 1 / 3))


def test_the_probabilities_of_all_draws_add_up_to_one():
    scores = torch.randn(1, 5, generator=torch.Generator().manual_seed(0))
    for k in (1, 2, 3, 5):
        drawn = torch.tensor(list(permutations(range(5), k)))
        total = log_probability(scores.expand(len(drawn), -1), drawn).exp().sum()
        assert total.item() == pytest.approx(1.0, abs=1e-5)


def test_draws_come_as_often_as_their_probability_says():
    torch.manual_seed(0)
    drawn = draw(SCORES.expand(20_000, -1), 2)
    for order in permutations(range(3), 2):
        expected = log_probability(SCORES, torch.tensor([order])).exp().item()
        seen = (drawn == torch.tensor(order)).all(1).float().mean().item()
        assert seen == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 20_000))


def test_a_short_history_is_drawn_whole_and_its_padding_costs_nothing():
    scores = torch.tensor([[0.3, -torch.inf, -torch.inf], [0.3, 0.3, 0.3]], requires_grad=True)
    drawn = torch.tensor([[0, 1], [0, 1]])
    value = log_probability(scores, drawn)
    assert value.tolist() == pytest.approx([0.0, math.log(1 / 6)])
    value.sum().backward()
    assert torch.isfinite(scores.grad).all()


def test_the_gradient_of_the_log_probability_is_that_of_the_formula():
    """d/ds of log 5/8 + log 1/3: the first draw counts all three, the second the two left."""
    scores = SCORES.clone().requires_grad_()
    log_probability(scores, torch.tensor([[2, 0]])).sum().backward()
    assert scores.grad[0].tolist() == pytest.approx([-1 / 8 + 1 - 1 / 3, -2 / 8 - 2 / 3, 1 - 5 / 8])


def test_a_text_holds_the_events_in_their_own_order():
    history = UserHistory("u", (vote("first"), vote("second", False), vote("third")))
    assert extractive.write(history, [2, 1]) == "Disagreed: second\nAgreed: third"


def test_a_sample_knows_its_own_probability_and_that_of_chance():
    torch.manual_seed(0)
    summarizer = ExtractiveSummarizer(embeddings(), k=2)
    history = UserHistory("u", (vote("cats purr"), vote("dogs bark"), vote("fish swim")))
    texts, logprobs_NT, reference_NT, mask_NT = summarizer.sample([history, UserHistory("v")], 4)
    assert mask_NT.shape == logprobs_NT.shape == (8, 1)
    assert reference_NT[:4, 0].exp().tolist() == pytest.approx([1 / 6] * 4)
    assert texts[4:] == [""] * 4
    assert logprobs_NT[4:].abs().sum() == 0
    assert all(len(text.split("\n")) == 2 for text in texts[:4])


def test_in_use_the_best_scored_events_are_written():
    summarizer = ExtractiveSummarizer(embeddings(), k=1)
    history = UserHistory("u", (vote("cats purr"), vote("dogs bark"), vote("fish swim")))
    best = summarizer.scores([history]).argmax().item()
    assert summarizer.summarize([history, UserHistory("v")]) == [extractive.write(history, [best]), ""]
    assert summarizer.summarize([]) == []


def population(seed: int, users: int) -> list[Context]:
    """Each user is of one of two parties; one of six past votes tells which, and it decides the targets."""
    rng, rows = Random(seed), []
    for number in range(users):
        left = rng.random() < 0.5
        votes = [vote(f"noise {word} {rng.randrange(3)}", rng.random() < 0.5) for word in "abcde"]
        events = rng.sample([*votes, vote("the party is right", left)], 6)
        pair = Preference(TOPIC, "build the bridge", "keep the ferry")
        history = UserHistory(f"{seed}-{number}", tuple(events))
        rows.append(Context(history, (pair if left else pair.swapped(),)))
    return rows


@pytest.mark.parametrize("seed", [0, 1])
def test_the_plain_loop_learns_which_event_to_pick(seed):
    """k = 1 of 6 events: 1/6 of random picks tell something. With mirrored tastes nothing else helps."""
    torch.manual_seed(seed)
    table = embeddings()
    reader = EmbeddingRewardModel(table, ["build the bridge", "keep the ferry"])
    coadaptation = CoAdaptation(reader, torch.optim.AdamW(reader.model.parameters(), lr=3e-3), seed=seed)
    summarizer = ExtractiveSummarizer(table, k=1)
    optimizer = torch.optim.AdamW(summarizer.model.parameters(), lr=3e-3)
    test = population(100 + seed, 200)
    histories, pairs = [c.history for c in test], [c.pairs[0] for c in test]

    def right(texts):
        return sum(value > math.log(0.5) for value in reader.log_likelihood(texts, pairs)) / len(pairs)

    loop.train(
        summarizer.sample,
        optimizer,
        coadaptation,
        loop.shuffled(population(seed, 300), 32, seed),
        max_steps=80,
        num_generations=8,
    )
    picked = summarizer.summarize(histories)
    assert sum("the party" in text for text in picked) / len(picked) >= 0.95
    assert right(picked) >= 0.95
    assert right(extractive.random_selection(histories, 1, Random(0))) <= 0.75
    assert right(picked[1:] + picked[:1]) <= 0.65
    assert right([""] * len(pairs)) <= 0.65


def test_a_language_model_reads_the_selected_text_too(reward_model):
    """The text is all that the two share: the shipped tiny reward model takes a step on selections."""
    torch.manual_seed(0)
    before = [p.detach().clone() for p in reward_model.model.parameters()]
    coadaptation = CoAdaptation(reward_model, torch.optim.AdamW(reward_model.model.parameters(), lr=1e-3))
    summarizer = ExtractiveSummarizer(embeddings(), k=2)
    optimizer = torch.optim.SGD(summarizer.model.parameters(), lr=0.1)
    scorer = [p.detach().clone() for p in summarizer.model.parameters()]
    loop.train(summarizer.sample, optimizer, coadaptation, loop.shuffled(population(0, 8), 8, seed=0), 1)
    assert any(not torch.equal(a, b) for a, b in zip(before, reward_model.model.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(scorer, summarizer.model.parameters(), strict=True))


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
