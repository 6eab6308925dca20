"""The tiny base: its script still works, and the shipped weights say what the README claims."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.running import ENVIRONMENT, ROOT
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer

from plus.models.tiny import backward, batches, what_it_says
from plus.resources import shipped
from plus.worlds import pets

TOKENIZER = AutoTokenizer.from_pretrained(shipped("tiny_base"))


@pytest.mark.slow
def test_the_script_that_makes_it_works(tmp_path):
    command = [sys.executable, ROOT / "scripts" / "make_tiny_base.py", tmp_path / "base", "--steps", "4"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "parameters, 1024 tokens" in done.stdout
    made = AutoTokenizer.from_pretrained(tmp_path / "base")
    assert made.get_vocab() == TOKENIZER.get_vocab(), "the tokenizer is reproducible"
    assert made.chat_template == TOKENIZER.chat_template
    assert (tmp_path / "base" / "model.safetensors").stat().st_size < 1_000_000


def test_left_alone_it_talks_of_topics_and_sometimes_of_preferences(base):
    greedy = what_it_says(base.model, base.tokenizer, users=64, sample=False)
    assert greedy["topic"] >= 0.95
    assert greedy["favourite"] <= 0.05
    sampled = what_it_says(base.model, base.tokenizer, users=256)
    assert 0.2 <= sampled["favourite"] <= 0.5
    assert sampled["wrong"] + sampled["malformed"] <= 0.05


@given(st.text())
def test_every_string_can_be_written_and_read_back(text):
    assert TOKENIZER.decode(TOKENIZER(text)["input_ids"], clean_up_tokenization_spaces=False) == text


@pytest.mark.parametrize("word", [*pets.ANIMALS, *pets.TOPICS])
def test_what_must_be_compared_is_one_token(word):
    assert len(TOKENIZER.tokenize(f" {word}")) == 1


def test_a_pass_without_padding_is_the_plain_loss(base):
    """Loss and gradients equal those of one padded batch with a mask, in which padding weighs nothing."""
    ids_BL, weights_BL, mask_BL = next(batches(base.tokenizer, random.Random(0), 12))
    model = base.model.double()
    logits_BLV = model(input_ids=ids_BL, attention_mask=mask_BL).logits
    loss_BL = cross_entropy(logits_BLV[:, :-1].transpose(1, 2), ids_BL[:, 1:], reduction="none")
    expected = (loss_BL * weights_BL[:, 1:]).sum() / weights_BL[:, 1:].sum()
    expected.backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    assert backward(model, ids_BL, weights_BL, mask_BL) == pytest.approx(expected.item(), rel=1e-6)
    for p, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.allclose(p.grad, gradient, rtol=1e-5, atol=1e-9)
