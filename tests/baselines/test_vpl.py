"""VPL: its KL and annealing by hand, users without pairs, and that the latent carries a taste."""

from __future__ import annotations

import pytest
import torch
from support.voters import user
from support.words import embeddings

from plus.baselines.vpl import VPL, annealing, past_pairs
from plus.models.embeddings import Embeddings, backbone
from plus.train.loop import shuffled
from plus.train.reward_only import fit
from plus.types import Event, Reaction, UserHistory
from plus.worlds import pets


def test_the_kl_weight_rises_in_cycles_from_a_tenth():
    assert annealing(0, 100) == annealing(100, 100) == annealing(10, 100) == 0.1
    assert annealing(50, 100) == pytest.approx(0.5)
    assert annealing(99, 100) == pytest.approx(1.0, abs=1e-3)


def test_the_loss_is_bradley_terry_plus_the_weighted_kl_of_two_normals():
    torch.manual_seed(0)
    model = VPL(embeddings(), kl_weight=0.0)
    rows = [user("a", True), user("b", False)]
    mean_PZ, logvar_PZ = model.posterior([row.history for row in rows])
    posterior = torch.distributions.Normal(mean_PZ, (logvar_PZ / 2).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    state = model.random.get_state()
    without = model.loss(rows, 100)
    model.kl_weight = 2.0
    model.random.set_state(state)
    assert (model.loss(rows, 100) - without).item() == pytest.approx(2.0 * 0.5 * expected.item(), rel=1e-4)


def test_users_with_opposite_pasts_are_told_apart_and_one_without_a_past_has_the_priors_mean():
    torch.manual_seed(0)
    model = VPL(embeddings())
    rows = [user(f"u{n}", n % 2 == 0) for n in range(40)]
    fit(model.parameters(), model.loss, shuffled(rows, 20, seed=0), 80, learning_rate=3e-3)
    test = [user(f"new{n}", n % 2 == 0) for n in range(10)]
    margins = model.margins([row.history for row in test], [row.pairs[0] for row in test])
    assert min(margins) > 1.0
    swapped = model.margins([row.history for row in [*test[1:], test[0]]], [row.pairs[0] for row in test])
    assert max(swapped) < -1.0
    assert model.posterior([UserHistory("nobody")])[0].abs().sum() == 0
    mixed = model.posterior([UserHistory("nobody"), test[0].history])[0]
    assert torch.isfinite(mixed).all()
    assert mixed[0].abs().sum() == 0


def test_reactions_become_pairs_and_the_same_ones_each_time():
    events = [Event(str(n), "reaction", Reaction("q", f"text {n}", n < 5)) for n in range(10)]
    history = UserHistory("u", tuple(events))
    pairs = past_pairs(history, 7)
    assert len(pairs) == 7 == len(set(pairs))
    assert pairs == past_pairs(history, 7)
    assert all(int(p.chosen[-1]) < 5 <= int(p.rejected[-1]) for p in pairs)


def test_it_learns_pets_on_the_backbone_of_the_shipped_language_model(reward_model):
    """Favourites of users never met, from three past pairs, where one taste for all is right in half."""
    torch.manual_seed(0)
    population = pets.load(0, train_users=1024, test_pairs=100)
    table = Embeddings(backbone(reward_model))
    model = VPL(table, kl_weight=1e-4)
    batches = shuffled(population.contexts("train"), 64, seed=0)
    fit(model.parameters(), model.loss, batches, 500, weight_decay=0.0)
    test = population.split("test")
    margins = model.margins([e.history for e in test], [e.target for e in test])
    assert sum(value > 0 for value in margins) / len(test) >= 0.95
    others = [e.history for e in [*test[1:], test[0]]]  # In a mirrored pair the next user wants the opposite.
    wrong = model.margins(others, [e.target for e in test])
    assert sum(value > 0 for value in wrong) / len(test) <= 0.6
