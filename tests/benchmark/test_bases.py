"""A base of one's own: whole or not at all, in a vocabulary that holds what must be compared."""

from __future__ import annotations

import pytest
from transformers import AutoModelForCausalLM

from plus.benchmark import bases
from plus.models import tiny
from plus.worlds import pets_ood, styles


def test_a_base_is_made_once_and_the_same_each_time(tmp_path, monkeypatch):
    losses = []
    folder = bases.make(tmp_path / "a", "pets", 3, 2, lambda step, loss: losses.append(loss))
    assert len(losses) == 2
    weights = (folder / "model.safetensors").read_bytes()
    again = bases.make(tmp_path / "b", "pets", 3, 2)
    assert (again / "model.safetensors").read_bytes() == weights
    monkeypatch.setattr(tiny, "train_base", lambda *args, **kwargs: pytest.fail("it was there already"))
    assert bases.make(folder, "pets", 3, 2) == folder
    assert AutoModelForCausalLM.from_pretrained(folder).config.vocab_size == 1024
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(OSError, match="not empty"):
        bases.make(tmp_path / "mine", "pets", 0, 1)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("source", "words"), [("pets_ood", pets_ood.NOUNS), ("styles", [v for vs in styles.TRAITS.values() for v in vs])]
)
def test_what_must_be_compared_is_one_token(source, words):
    recipe = bases.RECIPES[source]
    tokenizer = tiny.train_tokenizer(bases.corpus(recipe.conversation), recipe.vocab_size)
    assert [word for word in words if len(tokenizer.tokenize(f" {word}")) > 1] == []


def test_where_each_data_sets_base_lies(tmp_path):
    assert bases.place("pets_ood_k2", tmp_path, 2) == (tmp_path / "pets_ood-2", "pets_ood")
    assert bases.place("styles_unlabelled", tmp_path, 0) == (tmp_path / "styles-0", "styles")
    assert bases.place("pets", tmp_path, 0)[0].name == "tiny_base"
    assert bases.place("pets", tmp_path, 1)[0] == tmp_path / "pets-1"
