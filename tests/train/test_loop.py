"""The page to read: its arithmetic on worked numbers, and that it learns."""

from __future__ import annotations

import math

import pytest
import torch
from support.controls import accuracies

from plus.audit.text_checks import faithfulness
from plus.models.reward_model import RewardModel
from plus.resources import shipped
from plus.train import loop
from plus.train.coadapt import CoAdaptation
from plus.types import Context
from plus.worlds import pets


def test_advantages_on_worked_numbers():
    rewards = torch.tensor([-1.0, -3.0, -2.0, -2.0])
    spread = rewards.std().item()  # sqrt(2/3)
    assert spread == pytest.approx(math.sqrt(2 / 3))
    expected = [1 / (spread + 1e-4), -1 / (spread + 1e-4), 0.0, 0.0]
    assert loop.advantages(rewards, 2).tolist() == pytest.approx(expected)


def test_policy_loss_on_worked_numbers():
    """Two summaries of one and two tokens; log-ratios to the reference 0, log 2 and 0."""
    logprobs = torch.tensor([[-1.0, -9.0], [-1.0, -2.0]], requires_grad=True)
    reference = torch.tensor([[-1.0, -9.0], [-1.0 + math.log(2), -2.0]])
    mask = torch.tensor([[1, 0], [1, 1]])
    loss = loop.policy_loss(logprobs, reference, mask, torch.tensor([1.0, -0.5]), beta=0.1)
    kl = 2 - math.log(2) - 1
    assert loss.item() == pytest.approx((-1.0 + 0.5 + 0.1 * kl + 0.5) / 3)
    loss.backward()
    # d/dlogp of -A*ratio is -A; of exp(d) - d - 1 it is 1 - exp(d); all over the three tokens.
    assert logprobs.grad.flatten().tolist() == pytest.approx([-1 / 3, 0.0, (0.5 + 0.1 * (1 - 2)) / 3, 0.5 / 3])


def test_batches_use_every_context_before_any_comes_again():
    rows = [Context(example.history, ()) for example in pets.load(0, 5, 1, 1).split("train")]
    batches = loop.shuffled(rows, 2, seed=0)
    seen = [context.history.user_id for _ in range(5) for context in next(batches)]
    assert sorted(seen[:5]) == sorted(seen[5:]) == sorted(row.history.user_id for row in rows)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_the_plain_loop_learns_what_users_prefer(base, seed):
    """From topics to favourites in 25 updates; judged on users never met, with the controls."""
    torch.manual_seed(seed)
    users = pets.load(seed, train_users=400, test_pairs=60)
    reward_model = RewardModel.from_pretrained(shipped("tiny_base"), 256)
    coadaptation = CoAdaptation(
        reward_model, torch.optim.AdamW(reward_model.model.parameters(), lr=1e-3, weight_decay=0.0), seed=seed
    )
    optimizer = torch.optim.AdamW(base.model.parameters(), lr=3e-4, weight_decay=0.0)
    reference = base.reference()
    test = users.split("test")
    histories = {example.history.user_id: example.history for example in test}
    before = dict(zip(histories, base.summarize(list(histories.values())), strict=True))
    assert faithfulness(before, histories.values(), pets.claims, pets.traits, pets.favourite_of).recall == 0.0

    def sampler(batch, num_generations):
        return base.sample(batch, num_generations, reference)

    batches = loop.shuffled(users.contexts("train"), 32, seed)
    loop.train(sampler, optimizer, coadaptation, batches, max_steps=25)
    summaries = dict(zip(histories, base.summarize(list(histories.values())), strict=True))
    said = faithfulness(summaries, histories.values(), pets.claims, pets.traits, pets.favourite_of)
    controls, _ = accuracies(reward_model, test, summaries)
    assert said.recall >= 0.95
    assert controls["own"] >= 0.9
    assert controls["shuffled"] <= 0.65
    assert controls["empty"] == 0.5
    assert controls["opposite"] <= 0.1
