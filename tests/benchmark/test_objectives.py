"""Leave-one-out and PPO: worked numbers, and that they learn where they should."""

from __future__ import annotations

import pytest
import torch

from plus.benchmark.objectives import ValueBaseline, generalized_advantages, last_token, rloo, scaled_advantages
from plus.worlds import pets


def test_scales_of_the_group_baseline_on_worked_numbers():
    """Groups (-1, -3) and (-2, -2): means -2; the first group's standard deviation is sqrt 2."""
    rewards = torch.tensor([-1.0, -3.0, -2.0, -2.0])
    assert scaled_advantages(rewards, 2, "none").tolist() == [1.0, -1.0, 0.0, 0.0]
    assert scaled_advantages(rewards, 2, "group").tolist() == pytest.approx(
        [1 / (2**0.5 + 1e-4), -1 / (2**0.5 + 1e-4), 0, 0]
    )


def test_leave_one_out_on_worked_numbers():
    """Rewards -1 and -3: each is 2 from the other. The second text's KL of log 2 costs beta."""
    logprobs = torch.tensor([[-1.0, -9.0], [-1.0, -2.0]], requires_grad=True)
    reference = logprobs.detach() - torch.tensor([[0.0, 0.0], [0.0, 0.5]])
    mask = torch.tensor([[1, 0], [1, 1]])
    loss = rloo(2, beta=0.4)(torch.tensor([-1.0, -3.0]), logprobs, reference, mask)
    ahead = -1.0 - (-3.0 - 0.4 * 0.5)  # 2.2
    assert loss.item() == pytest.approx(-(ahead * -1.0 + -ahead * -3.0) / 2)
    loss.backward()
    assert logprobs.grad.flatten().tolist() == pytest.approx([-ahead / 2, 0.0, ahead / 2, ahead / 2])


def test_generalized_advantages_on_worked_numbers():
    """One text of two tokens, reward 1 at its end, values 0.5 and 0.25, lambda 0.8: the last error is
    1 - 0.25, the first 0.25 - 0.5 plus 0.8 of it. What stands behind the end counts for nothing."""
    mask = torch.tensor([[1, 1, 0]])
    assert last_token(mask).tolist() == [[0, 1, 0]]
    rewards, values = torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[0.5, 0.25, 9.0]])
    found = generalized_advantages(rewards, values, mask, 0.8)
    assert found[0].tolist() == pytest.approx([-0.25 + 0.8 * 0.75, 0.75, 0.0])


def test_lambda_one_is_reward_minus_value():
    rewards, mask = torch.tensor([[0.0, 0.0, 2.0]]), torch.ones(1, 3)
    values = torch.tensor([[0.3, 0.7, 1.1]])
    assert generalized_advantages(rewards, values, mask, 1.0)[0].tolist() == pytest.approx([1.7, 1.3, 0.9])


@pytest.mark.slow
def test_a_value_network_learns_what_a_text_earns_and_the_policy_follows(base):
    """A reward for naming what was passed over: the value's error falls and the texts earn more."""
    torch.manual_seed(0)
    histories = [e.history for e in pets.load(0, 64, 1, 1).split("train")]
    objective, reference = ValueBaseline(base, beta=0.0), base.reference()
    optimizer = torch.optim.AdamW(
        [{"params": base.model.parameters(), "lr": 1e-3}, {"params": objective.parameters(), "lr": 3e-3}]
    )
    earned, errors = [], []
    for _ in range(14):
        texts, logprobs, reference_logprobs, mask = base.sample(histories[:32], 2, reference)
        rewards = torch.tensor([float("passed over" in text) for text in texts])
        loss = objective(rewards, logprobs, reference_logprobs, mask)
        with torch.no_grad():
            errors.append(
                (((objective.values(mask.shape[1]) - rewards[:, None]) ** 2 * mask).sum() / mask.sum()).item()
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        earned.append(rewards.mean().item())
    assert sum(earned[-3:]) / 3 > sum(earned[:3]) / 3 + 0.3
    assert errors[-1] < 0.12


def test_a_value_of_nothing_sampled_is_refused(base):
    with pytest.raises(ValueError, match="nothing was sampled yet"):
        ValueBaseline(base, beta=0.0).values(1)
