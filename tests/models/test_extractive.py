"""The draw's arithmetic, and the plain loop learns which events to pick."""

from __future__ import annotations

import math
from itertools import permutations
from random import Random

import pytest
import torch
from support.words import embeddings

from plus.models import extractive
from plus.models.embedding_reward_model import EmbeddingRewardModel
from plus.models.extractive import ExtractiveSummarizer, draw, log_probability
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
