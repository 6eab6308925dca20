"""The arithmetic of the method, on the real reward model and on worked numbers."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from plus.measures import UNDECIDED, accuracy, margin
from plus.train.coadapt import CoAdaptation, Row
from plus.types import Preference

CATS_OVER_DOGS = Preference("Tell me about home.", "I saw some cats.", "I saw some dogs.")
FISH_OVER_BIRDS = Preference("Tell me about food.", "I saw some fish.", "I saw some birds.")
HORSES_OVER_CATS = Preference("Tell me about work.", "I saw some horses.", "I saw some cats.")
PAIRS = (CATS_OVER_DOGS, FISH_OVER_BIRDS, HORSES_OVER_CATS)


def made(reward_model, learning_rate=1e-3, **options) -> CoAdaptation:
    optimizer = torch.optim.SGD(reward_model.model.parameters(), lr=learning_rate)
    return CoAdaptation(reward_model, optimizer, **{"summary_dropout": 0.0, "max_grad_norm": 0.0, **options})


def weights(reward_model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in reward_model.model.named_parameters()}


def test_the_reward_is_the_mean_log_sigmoid_of_the_margins(reward_model):
    """Worked from the six scores themselves."""
    expected = []
    for pair in PAIRS:
        good, bad = reward_model.rewards([("z", pair.prompt, pair.chosen), ("z", pair.prompt, pair.rejected)])
        expected.append(math.log(1 / (1 + math.exp(-(good - bad)))))
    rewards, metrics = made(reward_model, pairs_per_user=3).update([Row("z", "u", PAIRS)])
    assert rewards[0] == pytest.approx(sum(expected) / 3, abs=1e-6)
    assert metrics["reward_model_loss"] == pytest.approx(-rewards[0], abs=1e-6)


def test_the_step_is_gradient_descent_on_the_mean_of_all_rows(reward_model):
    """The summed, de-duplicated, micro-batched gradient equals plain autograd on one padded batch."""
    twin = copy.deepcopy(reward_model)
    rows = [Row("likes cats", "a", PAIRS), Row("likes cats", "a", PAIRS), Row("talked about food", "a", PAIRS)]
    reward_model.tokens_per_batch = 128  # several micro-batches
    made(reward_model, learning_rate=0.1, pairs_per_user=3).update(rows)
    triples = [(row.text, pair) for row in rows for pair in PAIRS]
    chosen = twin.encode([(text, pair.prompt, pair.chosen) for text, pair in triples])
    rejected = twin.encode([(text, pair.prompt, pair.rejected) for text, pair in triples])
    scores = twin.forward(chosen + rejected)
    (-torch.nn.functional.logsigmoid(scores[:9] - scores[9:]).mean()).backward()
    for (name, moved), parameter in zip(reward_model.model.named_parameters(), twin.model.parameters(), strict=True):
        torch.testing.assert_close(moved, parameter - 0.1 * parameter.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_rows_that_are_not_for_training_move_nothing(reward_model):
    before = weights(reward_model)
    coadaptation = made(reward_model)
    rewards, metrics = coadaptation.update([Row("z", "u", PAIRS, train=False), Row("y", "v", PAIRS, train=False)])
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(reward_model).items())
    assert coadaptation.updates == 0
    assert "reward_model_loss" not in metrics
    assert all(reward < 0 for reward in rewards)
    coadaptation.update([Row("z", "u", PAIRS)])
    assert not all(torch.equal(tensor, before[name]) for name, tensor in weights(reward_model).items())


def test_all_summaries_of_a_user_are_tested_by_the_same_pairs_and_updates_by_others(reward_model):
    pairs = tuple(Preference(f"p{n}", "a", "b") for n in range(50))
    coadaptation = made(reward_model, pairs_per_user=4)
    first = [[item.pair for item in coadaptation.items(n, Row(text, "u", pairs))] for n, text in enumerate("xyz")]
    assert first[0] == first[1] == first[2]
    coadaptation.updates = 1
    assert [item.pair for item in coadaptation.items(0, Row("x", "u", pairs))] != first[0]
    assert [item.pair for item in coadaptation.items(0, Row("x", "v", pairs))] != first[0]


def test_separate_pairs_share_nothing_between_reward_and_loss(reward_model):
    pairs = tuple(Preference(f"p{n}", "a", "b") for n in range(9))
    items = made(reward_model, pairs_per_user=2, separate_pairs=True).items(0, Row("z", "u", pairs))
    rewarded, learned = ({i.pair for i in items if getattr(i, which)} for which in ("reward", "loss"))
    assert len(rewarded) == len(learned) == 2
    assert not rewarded & learned
    # A user with a single pair is used for both rather than for neither.
    only = made(reward_model, separate_pairs=True).items(0, Row("z", "u", pairs[:1]))
    assert [(i.reward, i.loss) for i in only] == [(True, True)]


def test_a_dropped_summary_counts_in_the_loss_and_never_in_the_reward(reward_model):
    items = made(reward_model, summary_dropout=1.0).items(0, Row("z", "u", PAIRS))
    assert {(i.text, i.reward, i.loss) for i in items} == {("z", True, False), ("", False, True)}


def test_the_reward_model_learns_to_read_what_predicts(reward_model):
    """Summaries that name the taste: 25 steps later the right one is worth more than another's."""
    texts = {"a": "The user likes cats best.", "b": "The user likes dogs best."}
    pairs = {"a": (CATS_OVER_DOGS,), "b": (CATS_OVER_DOGS.swapped(),)}
    optimizer = torch.optim.AdamW(reward_model.model.parameters(), lr=1e-3)
    coadaptation = CoAdaptation(reward_model, optimizer, pairs_per_user=1, summary_dropout=0.0)
    for _ in range(25):
        _, metrics = coadaptation.update([Row(texts[user], user, pairs[user]) for user in "ab"])
    assert metrics["accuracy"] == 1.0
    assert metrics["accuracy_other"] == 0.0
    assert metrics["accuracy_empty"] == 0.5
    assert metrics["summary_gain"] == 1.0


def test_state_continues_where_it_was_taken(reward_model):
    def fresh(model):
        return CoAdaptation(model, torch.optim.AdamW(model.model.parameters(), lr=1e-3), seed=3)

    rows = [Row("likes cats", "a", PAIRS), Row("likes fish", "b", PAIRS)]
    one = fresh(reward_model)
    one.update(rows)
    two = fresh(copy.deepcopy(reward_model))
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    assert one.update(rows) == two.update(rows)
    assert two.updates == 2


def test_accuracy_counts_a_tie_one_half():
    assert accuracy([UNDECIDED, -0.1, -2.0]) == pytest.approx(0.5)
    assert accuracy([UNDECIDED, UNDECIDED]) == 0.5
    assert accuracy([-0.6931471, -0.6931472]) == 0.5  # just above and just below
    assert margin(math.log(1 / (1 + math.exp(-2.5)))) == pytest.approx(2.5)


def test_two_users_with_the_same_answers_get_exactly_opposite_margins(reward_model):
    texts = [""] * 6
    values = reward_model.log_likelihood(texts, [*PAIRS, *(pair.swapped() for pair in PAIRS)])
    assert accuracy(values) == 0.5
