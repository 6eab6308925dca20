"""DPL's two likelihoods by hand, and what it cannot do."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
import torch
from support.words import embeddings

from plus.baselines.dpl import DPL, categorical, normal
from plus.models.embeddings import Embeddings, backbone
from plus.train.loop import shuffled
from plus.train.reward_only import fit
from plus.types import Context, Preference, UserHistory
from plus.worlds import pets


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def test_mean_variance_on_worked_numbers():
    """Means 1 and 0.2; spreads softplus(0.5) and softplus(-1)."""
    right, wrong = normal(torch.tensor([[1.0, 0.5]]), torch.tensor([[0.2, -1.0]]))
    z = 0.8 / math.sqrt(softplus(0.5) ** 2 + softplus(-1.0) ** 2)
    assert right.item() == pytest.approx(math.log(NormalDist().cdf(z)), abs=1e-5)
    assert wrong.item() == pytest.approx(math.log(NormalDist().cdf(-z)), abs=1e-5)


def test_categorical_on_worked_numbers():
    """Steps (0.2, 0.3, 0.5) against (0.6, 0.1, 0.3): wins .3*.6 + .5*.7 = .53, ties .12 + .03 + .15 = .30."""
    p, q = torch.tensor([[0.2, 0.3, 0.5]]), torch.tensor([[0.6, 0.1, 0.3]])
    right, wrong = categorical(p.log(), q.log())
    assert right.exp().item() == pytest.approx(0.53 + 0.15, abs=1e-5)
    assert wrong.exp().item() == pytest.approx(1 - 0.68, abs=1e-5)


@pytest.mark.parametrize("kind", ["mean_variance", "categorical"])
def test_it_learns_a_shared_taste_and_gives_the_swap_the_opposite_margin(kind):
    torch.manual_seed(0)
    model = DPL(embeddings(), kind)
    pairs = tuple(Preference("q", f"good {word}", f"bad {word}") for word in "abcdef")
    rows = [Context(UserHistory(f"u{n}"), pairs) for n in range(4)]
    fit(model.parameters(), model.loss, shuffled(rows, 4, seed=0), 60, learning_rate=3e-3)
    margins = model.margins([*pairs, *(pair.swapped() for pair in pairs)])
    assert min(margins[:6]) > 1.0
    assert margins[6:] == pytest.approx([-value for value in margins[:6]], rel=1e-2)


@pytest.mark.parametrize("kind", ["mean_variance", "categorical"])
def test_on_mirrored_tastes_it_is_at_chance_on_the_language_models_backbone(kind, reward_model):
    """pets: every test pair twice, for opposite users. Whatever it learned, half of them are wrong."""
    torch.manual_seed(0)
    population = pets.load(0, train_users=32, test_pairs=20)
    model = DPL(Embeddings(backbone(reward_model)), kind)
    fit(model.parameters(), model.loss, shuffled(population.contexts("train"), 16, seed=0), 20)
    margins = model.margins([example.target for example in population.split("test")])
    assert sum(0.5 if value == 0 else value > 0 for value in margins) / len(margins) == 0.5
