"""The best look is what is left."""

from __future__ import annotations

import torch

from plus.train.reward_only import Best


def test_the_weights_of_the_lowest_loss_come_back():
    weight = torch.nn.Parameter(torch.zeros(2))
    best = Best([weight])
    for step, loss in enumerate([0.9, 0.5, 0.7, 0.4, 0.6, 0.8]):
        with torch.no_grad():
            weight.fill_(step)
        best.look(step, loss)
    best.restore()
    assert weight.tolist() == [3.0, 3.0]
    assert (best.step, best.loss) == (3, 0.4)


def test_without_a_look_the_weights_stay():
    weight = torch.nn.Parameter(torch.ones(1))
    Best([weight]).restore()
    assert weight.item() == 1.0
