"""The low-rank head: a new user's weights are the maximum of their posterior, and they carry a taste."""

from __future__ import annotations

import torch
from support.voters import LEFT, user
from support.words import embeddings

from plus.baselines.low_rank import LowRank
from plus.train.loop import shuffled
from plus.train.reward_only import fit
from plus.types import UserHistory


def test_a_new_users_weights_are_where_the_gradient_of_the_log_posterior_is_zero():
    torch.manual_seed(0)
    model = LowRank(embeddings(), ["a"], rank=3, prior=0.7)
    history = user("b", True).history
    w_R = model.weights_of(history).requires_grad_()
    with torch.no_grad():
        shared_B, directions_BR = model._differences([event.content for event in history.events])
    posterior = torch.nn.functional.logsigmoid(shared_B + directions_BR @ w_R).sum() - 0.7 * w_R.square().sum() / 2
    posterior.backward()
    assert w_R.detach().norm() > 0
    assert w_R.grad.abs().max() < 1e-4
    assert model.weights_of(UserHistory("nobody")).abs().sum() == 0


def test_opposite_tastes_are_told_apart_from_one_past_choice():
    torch.manual_seed(0)
    rows = [user(f"u{n}", n % 2 == 0) for n in range(40)]
    # Training pairs hold the past as well, since the weights are fitted to it later.
    rows = [
        type(row)(row.history, (*row.pairs, *(event.content for event in row.history.events))) for row in rows
    ]  # fmt: skip
    model = LowRank(embeddings(), [row.history.user_id for row in rows], rank=2)
    fit(model.parameters(), model.loss, shuffled(rows, 20, seed=0), 150, learning_rate=1e-2)
    test = [user(f"new{n}", n % 2 == 0) for n in range(10)]
    margins = model.margins([row.history for row in test], [row.pairs[0] for row in test])
    assert min(margins) > 0.5
    nobody = model.margins([UserHistory("nobody")] * 2, [LEFT, LEFT.swapped()])
    assert abs(nobody[0] + nobody[1]) < 1e-5
    assert abs(nobody[0]) < min(margins)
