"""Evaluation of models beside baselines, on a scorer that reads perfectly."""

from __future__ import annotations

import math

import pytest
from support.populations import rows as rows_of

from plus.audit.report import evaluate_models, write_card
from plus.errors import EvidenceError
from plus.types import Population
from plus.worlds import pets


class Reader:
    """A scorer that reads perfectly: prefers the answer with the animal that the text says is liked."""

    def log_likelihood(self, texts, pairs):
        return [self.one(text, pair) for text, pair in zip(texts, pairs, strict=True)]

    def one(self, text, pair):
        liked = {animal for _, animal in pets.claims(text)}
        right, wrong = pets.animal_of(pair.chosen) in liked, pets.animal_of(pair.rejected) in liked
        return math.log(0.9 if right and not wrong else 0.1 if wrong and not right else 0.5)


@pytest.fixture
def users() -> Population:
    return pets.load(0, train_users=4, test_pairs=200)


def test_a_report_needs_two_test_users(users):
    lonely = Population("lonely", rows_of(users.split("test")[:1]), {})
    with pytest.raises(EvidenceError, match="has 1 test users with a choice to predict; 2 are needed"):
        evaluate_models(lonely, Reader(), users.personas)


def test_an_evaluation_holds_baselines_controls_and_every_prediction(users):
    found = evaluate_models(users, Reader(), users.personas, bradley_terry=Reader())
    report = found.to_json()
    assert list(report) == ["dataset", "accuracy", "controls", "test", "verdict", "dropped", "audit"]
    assert report["accuracy"] == {"plus": 1.0, "bradley_terry": 0.5, "majority": 0.5}
    assert report["controls"]["empty"] == 0.5 and report["controls"]["opposite"] == 0.0
    assert report["test"] == {"users": 400, "targets": 400, "opposites": 400}
    assert {"own", "bradley_terry", "majority"} <= {p.method for p in found.predictions}


def test_the_card_shows_accuracies_options_and_what_was_left_out(users, tmp_path):
    report = evaluate_models(users, Reader(), users.personas).to_json() | {"dropped": {"a reason": 1200}}
    write_card(tmp_path, {"model_name_or_path": "tiny", "beta": 0.02, "seed": None}, report)
    text = (tmp_path / "README.md").read_text()
    header = "---\nlibrary_name: transformers\ntags: [plus, preference, reward-model, personalization, trl]\n"
    assert text.startswith(header + "base_model: tiny\n---\n\n# Summarizer and reward model for pets\n")
    assert "| plus | 1.000 |" in text and "- beta: 0.02\n" in text and "seed" not in text
    assert "Left out of the data: 1,200 a reason." in text
