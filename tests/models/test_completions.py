"""A vocabulary held a few positions at a time: the same numbers, the same gradients, and no more logits than said."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from support.decoders import SHARING, VOCABULARY, batch, decoder, real_float64

from plus.models import completions as room
from plus.models.completions import chunked_head, completion_logprobs, output_layer
from plus.models.shared_prefix.attention import prepare, shared_logprobs

TOKENS = 6


def scored(model, temperature: float = 0.8):
    """Log-probabilities, entropies and gradients by the shared pass."""
    ids, mask = batch("left", tokens=TOKENS)
    trained = [p for p in model.parameters() if p.requires_grad]
    values, nats = shared_logprobs(model, ids, mask, TOKENS, temperature)
    weights = torch.linspace(-1, 1, values.numel(), dtype=values.dtype).view_as(values) * mask[:, -TOKENS:]
    return values.detach(), nats, torch.autograd.grad((values * weights).sum(), trained)


@pytest.mark.parametrize("lora", [False, True], ids=["", "lora"])
@pytest.mark.parametrize("family", SHARING)
def test_in_pieces_or_in_one_the_numbers_and_gradients_are_equal(monkeypatch, family, lora):
    """Pieces of five positions, which divide neither a prompt's nor all positions."""
    with real_float64():
        model = decoder(SHARING[family], torch.float64)
        prepare(model)
        if lora:
            model = get_peft_model(
                model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
            ).double()
        whole = scored(model)
        widest: list[int] = []
        real = room.token_logprobs

        def seen(logits, *rest):
            widest.append(logits.numel())
            return real(logits, *rest)

        monkeypatch.setattr(room, "token_logprobs", seen)
        monkeypatch.setattr(room, "CHUNK", 5 * VOCABULARY)
        pieces = scored(model)
    assert max(widest) == 5 * VOCABULARY and len(widest) > 10, "no more logits at once than asked for"
    for one, other in zip(whole[:2], pieces[:2], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
    for one, other in zip(whole[2], pieces[2], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
    assert "forward" not in vars(output_layer(model)), "the model gives logits again"


def test_capped_logits_go_through_the_models_own_head(monkeypatch):
    """A cap stands between the head and the logits: without it the numbers would be others."""
    model = decoder(SHARING["llama"])
    assert output_layer(model) is model.lm_head
    model.config.final_logit_softcapping = 30.0
    assert output_layer(model) is None
    monkeypatch.setattr(room, "CHUNK", 1)
    inputs = {"input_ids": torch.arange(3, 13).unsqueeze(0)}
    targets = torch.arange(4, 8).unsqueeze(0)
    with torch.no_grad():
        found, _ = chunked_head(model, inputs, targets, 1.0, False)
        own = model(**inputs).logits[:, -4:].log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(found, own)


def test_pieces_keep_no_logits_for_backward(monkeypatch):
    """What the graph keeps is counted: of the vocabulary's width there is nothing but one piece's."""
    model = decoder(SHARING["llama"])
    prepare(model)
    ids, mask = batch("left", tokens=TOKENS)

    def kept() -> int:
        sizes: list[int] = []

        def pack(tensor):
            sizes.append(tensor.numel() if tensor.shape[-1:] == (VOCABULARY,) else 0)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            shared_logprobs(model, ids, mask, TOKENS)
        return sum(sizes)

    whole = kept()
    monkeypatch.setattr(room, "CHUNK", 5 * VOCABULARY)
    assert whole > 2 * ids.shape[0] * TOKENS * VOCABULARY * 0.9
    assert kept() == 0


def test_the_plain_pass_projects_the_completions_alone():
    model = decoder(SHARING["llama"])
    seen: list[int] = []
    hook = model.lm_head.register_forward_hook(lambda module, inputs, out: seen.append(out.shape[1]))
    completion_logprobs(model, *batch("left", tokens=TOKENS), TOKENS)
    hook.remove()
    assert seen == [TOKENS + 1]
