"""Contexts read once against contexts read once per completion: every number and every gradient."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from support.decoders import NOT_SHARING, SHARING, batch, decoder, real_float64

from plus.models.completions import completion_logprobs
from plus.models.shared_prefix.attention import fold, obstacle, pack, prepare, shared_logprobs

TOKENS = 6


def both_ways(model, side: str, checkpointing: bool, temperature: float = 1.0):
    """Log-probabilities (masked), entropies (masked) and gradients, plain and shared."""
    ids, mask = batch(side, tokens=TOKENS)
    weights = torch.randn(ids.shape[0], TOKENS, dtype=torch.float64).to(model.dtype) * mask[:, -TOKENS:]
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def run(way):
        logprobs, entropy = way(model, ids, mask, TOKENS, temperature)
        gradients = torch.autograd.grad((logprobs * weights).sum(), list(trained.values()), allow_unused=True)
        written = mask[:, -TOKENS:]
        return logprobs.detach() * written, entropy * written, dict(zip(trained, gradients, strict=True))

    plain = run(completion_logprobs)
    prepare(model.get_base_model() if hasattr(model, "get_base_model") else model)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
    return plain, run(shared_logprobs)


def with_lora(model):
    model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    return model.eval()


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "checkpointing"])
@pytest.mark.parametrize("lora", [False, True], ids=["", "lora"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", SHARING)
def test_float64_equals_the_plain_pass_to_1e_9(family, side, lora, checkpointing):
    with real_float64():
        model = decoder(SHARING[family], torch.float64)
        model = with_lora(model).double() if lora else model
        plain, shared = both_ways(model, side, checkpointing)
    torch.testing.assert_close(shared[0], plain[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(shared[1], plain[1], rtol=0, atol=1e-9)
    assert plain[2].keys() == shared[2].keys()
    for name, gradient in plain[2].items():
        torch.testing.assert_close(shared[2][name], gradient, rtol=0, atol=1e-9, msg=name)
    assert sum(g.abs().max() > 1e-3 for g in plain[2].values()) > len(plain[2]) / 2, "gradients worth comparing"


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("lora", [False, True], ids=["", "lora"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", SHARING)
def test_float32_equals_the_plain_pass_to_a_ten_thousandth(family, side, lora, attention):
    model = decoder(SHARING[family], attention=attention)
    plain, shared = both_ways(with_lora(model) if lora else model, side, checkpointing=lora, temperature=0.8)
    assert (shared[0] - plain[0]).norm() <= 1e-4 * plain[0].norm()
    assert (shared[1] - plain[1]).norm() <= 1e-4 * plain[1].norm()
    total = torch.stack([g.norm() for g in plain[2].values()]).norm()
    for name, gradient in plain[2].items():
        # A key's bias has no gradient but rounding: the softmax does not see it.
        assert (shared[2][name] - gradient).norm() <= 1e-4 * gradient.norm() + 1e-6 * total, name


def test_the_plain_pass_is_that_of_each_row_alone():
    """No padding at all: the oracle of the oracle, on either side and with absolute positions."""
    for family in ("llama", "gpt2"):
        model = decoder(SHARING[family], torch.float64)
        for side in ("left", "right"):
            ids, mask = batch(side, tokens=TOKENS)
            with real_float64(), torch.no_grad():
                logprobs, entropy = completion_logprobs(model, ids, mask, TOKENS)
                for row in range(len(ids)):
                    kept = ids[row][mask[row].bool()].unsqueeze(0)
                    count = int(mask[row, -TOKENS:].sum())
                    alone = model(kept).logits[0, -count - 1 : -1].log_softmax(-1)
                    expected = alone.gather(-1, kept[0, -count:].unsqueeze(-1)).squeeze(-1)
                    torch.testing.assert_close(logprobs[row, :count], expected, rtol=0, atol=1e-9)
                    nats = -(alone.exp() * alone).sum(-1)
                    torch.testing.assert_close(entropy[row, :count], nats, rtol=0, atol=1e-9)


def test_prompts_are_packed_and_folded_as_drawn():
    """Worked by hand: two prompts, of three tokens and of two, with two completions and one."""
    ids = torch.tensor([[7, 8, 9], [0, 4, 5], [7, 8, 9]])
    mask = torch.tensor([[1, 1, 1], [0, 1, 1], [1, 1, 1]])
    prompts = pack(ids, mask)
    assert prompts.ids_PM.tolist() == [[7, 8, 9], [4, 5, 0]]
    assert prompts.group_N.tolist() == [0, 1, 0] and prompts.slot_N.tolist() == [0, 2, 1]
    folded = fold(prompts, torch.tensor([[11, 12], [21, 22], [31, 32]]))
    assert folded["input_ids"].tolist() == [[7, 8, 9, 11, 9, 31], [4, 5, 5, 21, 0, 0]]
    assert folded["position_ids"].tolist() == [[0, 1, 2, 3, 2, 3], [0, 1, 1, 2, 1, 2]]
    sees = folded["attention_mask"][:, 0].int().tolist()
    own = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]
    assert sees == [[[1, 1, *row] for row in own], [[1, 0, *row] for row in own]]


@pytest.mark.parametrize("name", NOT_SHARING)
def test_windows_and_recurrent_states_are_named(name):
    config, reason = NOT_SHARING[name]
    assert reason in obstacle(decoder(config))


def test_every_family_that_shares_has_no_obstacle_and_the_kernel_leaves_the_model_as_it_was(tmp_path):
    ids, mask = batch("left", tokens=TOKENS)
    for name, config in SHARING.items():
        model = decoder(config)
        assert obstacle(model) is None, name
        before = model(input_ids=ids, attention_mask=mask).logits
        prepare(model)
        assert torch.equal(before, model(input_ids=ids, attention_mask=mask).logits), name
        model.save_pretrained(tmp_path / name)
        assert "plus" not in (tmp_path / name / "config.json").read_text(), "a saved model opens anywhere"
