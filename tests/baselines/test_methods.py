"""A baseline is one file: a module in the folder adds its rows to both tables, and no second place is edited."""

from __future__ import annotations

import math
import sys

from support.words import embeddings

from plus import baselines
from plus.baselines.methods import find
from plus.benchmark.bases import shipped_base
from plus.benchmark.embedding_methods import SETTINGS, EmbeddingMethods
from plus.benchmark.language_models import Budget, LanguageModelMethods
from plus.benchmark.real_people import load_folds
from plus.resources import shipped
from plus.types import Dropped

PLANTED = """
from plus.baselines.methods import ScorerRow, WriterRow


class First:
    def log_likelihood(self, texts, pairs):
        return [-0.1 for pair in pairs]


EMBEDDING_METHODS = {
    "first": ScorerRow(13, lambda events: First()),
    "newest": WriterRow(44, lambda given, k: lambda histories: [""] * len(histories), of_k=True),
}
LANGUAGE_MODEL_METHODS = {"first": ScorerRow(13, lambda events: First())}
"""


def test_a_planted_file_adds_rows_in_their_place(tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text(PLANTED)
    monkeypatch.setattr(baselines, "__path__", [*baselines.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "plus.baselines.planted", raising=False)
    people = EmbeddingMethods(embeddings(), SETTINGS["polis"], ks=(2,)).methods()
    assert list(people)[:5] == ["constant", "majority", "longer_wins", "first", "dpl_mean_variance"]
    assert list(people)[-4:] == ["untrained_2", "newest_2", "extractive_2", "extractive_text_2"]
    synthetic = LanguageModelMethods("pets", tmp_path, Budget(1), shipped_base).methods()
    assert list(synthetic)[:3] == ["constant", "longer_wins", "first"]
    fold = load_folds("polis", shipped("polis_sample"), Dropped())[0]
    rows = people["first"](fold, 0)
    assert len(rows) == len(fold.population.split("test"))
    assert all(math.isclose(row.margin, 2.2522, abs_tol=1e-3) for row in rows)


def test_the_rows_of_both_tables_are_those_of_today():
    assert list(find("EMBEDDING_METHODS")) == [
        *("constant", "majority", "longer_wins", "dpl_mean_variance", "dpl_categorical", "vpl", "low_rank"),
        *("bradley_terry", "in_context", "oracle", "random", "last", "surprise", "untrained"),
    ]
    assert list(find("LANGUAGE_MODEL_METHODS")) == [
        *("constant", "longer_wins", "dpl_mean_variance", "dpl_categorical", "vpl", "low_rank", "bradley_terry"),
        *("in_context", "untrained", "untrained_best_of_5", "oracle", "in_context_long"),
    ]
