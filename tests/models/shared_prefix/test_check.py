"""The self-check: a right model passes, every planted fault takes the plain way, and one line says so."""

from __future__ import annotations

import logging

import pytest
import torch
from support.decoders import NOT_SHARING, SHARING, batch, decoder
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import DynamicLayer
from transformers.masking_utils import sdpa_mask

from plus.models.completions import completion_logprobs
from plus.models.shared_prefix import attention as prefix
from plus.models.shared_prefix import check, decode
from plus.models.shared_prefix.check import Sharing, fault

PROMPTS = [torch.arange(3, 3 + length).tolist() for length in (12, 40, 33, 40)]


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.WARNING, logger="plus.models.shared_prefix.check")
    return caplog


@pytest.mark.parametrize("scale", [0.02, 0.3])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", SHARING)
def test_a_right_model_passes_and_nothing_of_it_changes(family, attention, scale, log):
    model = decoder(SHARING[family], attention=attention, scale=scale).train()
    random, before = torch.get_rng_state(), {name: t.clone() for name, t in model.state_dict().items()}
    checked = Sharing(model)
    assert not checked.on, "the plain way until the check"
    checked.start(PROMPTS)
    assert checked.on and not [record for record in log.records if record.name == "plus.models.shared_prefix.check"]
    assert model.training and torch.equal(random, torch.get_rng_state())
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("family", SHARING)
def test_bfloat16_is_judged_by_its_rounding(family):
    assert fault(decoder(SHARING[family], torch.bfloat16), PROMPTS) is None


def shifted_positions(prompts, completions, fold=prefix.fold):
    folded = fold(prompts, completions)
    folded["position_ids"][:, prompts.context :] += 1
    return folded


def shifted_mask(prompts, completions, fold=prefix.fold):
    """Each completion sees one context token too few or, where there is padding, one that is none."""
    folded = fold(prompts, completions)
    context = folded["attention_mask"][..., : prompts.context]
    folded["attention_mask"] = torch.cat([context.roll(-1, -1), folded["attention_mask"][..., prompts.context :]], -1)
    return folded


def open_mask(prompts, completions, fold=prefix.fold):
    """Completions that see the ones beside them."""
    folded = fold(prompts, completions)
    size = folded["attention_mask"].shape[2]
    folded["attention_mask"][..., prompts.context :] = torch.ones(size, size, dtype=torch.bool).tril()
    return folded


def forgotten_context(prompts, completions, fold=prefix.fold):
    folded = fold(prompts, completions)
    folded["attention_mask"][..., : prompts.context] = False
    return folded


@pytest.mark.parametrize("plant", [shifted_positions, shifted_mask, open_mask, forgotten_context])
@pytest.mark.parametrize("scale", [0.02, 0.3])
@pytest.mark.parametrize("family", SHARING)
def test_a_planted_fault_in_the_log_probabilities_is_seen(family, scale, plant, monkeypatch, log):
    monkeypatch.setattr(prefix, "fold", plant)
    model = decoder(SHARING[family], scale=scale)
    takes_the_plain_way(model, log, "away from the plain one")


def test_a_fault_of_the_gradient_alone_is_seen(monkeypatch, log):
    """The context cut off from backward: every number is right, the gradient is not."""
    real = prefix.sdpa_attention_forward

    def cut(module, query, key, value, mask, **kwargs):
        first = mask is None and kwargs.get("is_causal")
        out, weights = real(module, query, key, value, mask, **kwargs)
        return (out.detach() if first else out), weights

    monkeypatch.setattr(prefix, "sdpa_attention_forward", cut)
    takes_the_plain_way(decoder(SHARING["llama"]), log, "the gradient of")


def test_a_step_that_is_off_by_one_in_writing_is_seen(monkeypatch, log):
    real = decode.Writing.step

    def late(self, tokens):
        self.prompts.lengths_P.add_(1 if self.written == 3 else 0)
        return real(self, tokens)

    monkeypatch.setattr(decode.Writing, "step", late)
    takes_the_plain_way(decoder(SHARING["gpt2"]), log, "what it writes from")


def test_a_kernel_that_ignores_masks_is_seen(log):
    def blind(module, query, key, value, attention_mask, **kwargs):
        return prefix.sdpa_attention_forward(module, query, key, value, None, **{**kwargs, "is_causal": True})

    model = decoder(SHARING["llama"])
    AttentionInterface.register("blind", blind)
    AttentionMaskInterface.register("blind", sdpa_mask)
    model.set_attn_implementation("blind")
    takes_the_plain_way(model, log, "its attention (blind) takes no 4-D mask")
    # One that calls itself sdpa is only found by its numbers.
    model = decoder(SHARING["llama"])
    real = AttentionInterface()[prefix.ATTENTION]
    AttentionInterface.register(prefix.ATTENTION, blind)
    try:
        takes_the_plain_way(model, log, "read once")
    finally:
        AttentionInterface.register(prefix.ATTENTION, real)
    assert model.config._attn_implementation == "sdpa", "the kernel that was found wanting is not kept"


def test_a_cache_that_cannot_be_shared_is_seen(monkeypatch, log):
    """A layer that keeps one text's past only: it works for plain generation, and fails here in every way."""

    class Fixed(DynamicLayer):
        def __init__(self, capacity):
            super().__init__()

        def update(self, key_states, value_states, *args, **kwargs):
            if self.is_initialized:
                raise RuntimeError("this cache cannot be expanded")
            return super().update(key_states, value_states)

    monkeypatch.setattr(decode, "RoomyLayer", Fixed)
    takes_the_plain_way(decoder(SHARING["qwen2"]), log, "RuntimeError: this cache cannot be expanded")


@pytest.mark.parametrize("name", NOT_SHARING)
def test_models_with_windows_or_states_take_the_plain_way(name, log):
    config, reason = NOT_SHARING[name]
    model = decoder(config)
    if name != "mamba":  # which the plain log-probabilities do not fit either: it takes no positions
        takes_the_plain_way(model, log, reason)
        return
    checked = Sharing(model)
    checked.start(PROMPTS)
    assert not checked.on and reason in log.records[0].getMessage()


def takes_the_plain_way(model, log, reason: str) -> None:
    """One line with the reason, once; then the plain numbers and transformers' own generation."""
    log.clear()
    checked = Sharing(model)
    checked.start(PROMPTS)
    checked.start(PROMPTS)
    # Of the check itself: transformers warns once a process of what it meets first, in whichever test that is.
    (record,) = (record for record in log.records if record.name == "plus.models.shared_prefix.check")
    assert reason in record.getMessage() and "\n" not in record.getMessage()
    assert not checked.on
    ids, mask = batch("left")
    with torch.no_grad():
        plain, _ = completion_logprobs(model, ids, mask, 6)
        taken, _ = checked.logprobs(model, ids, mask, 6)
    assert torch.equal(plain, taken)
    with checked.generation():
        assert "generate" not in vars(model)


def test_switched_off_it_neither_checks_nor_speaks(monkeypatch, log):
    monkeypatch.setattr(check, "fault", None)
    checked = Sharing(decoder(SHARING["llama"]), enabled=False)
    checked.start(PROMPTS)
    assert not checked.on and not log.records


def test_generate_is_put_back():
    model = decoder(SHARING["llama"])
    with check.replaced_generate(model):
        assert model.generate.keywords == {"custom_generate": decode.shared_decode}
    assert "generate" not in vars(model)


def test_the_check_reads_no_more_than_an_update_and_one_plain_row_at_a_time():
    """32 prompts of 40 tokens with 4 texts each are read once in an update: 1,280 tokens and the texts."""
    model = decoder(SHARING["llama"])
    prompts = [torch.randint(3, 60, (100,), generator=torch.Generator().manual_seed(n)).tolist() for n in range(32)]
    repeated = [prompt for prompt in prompts for _ in range(4)]
    fed: list[tuple[int, bool]] = []
    model.get_input_embeddings().register_forward_hook(
        lambda module, inputs, out: fed.append((inputs[0].numel(), torch.is_grad_enabled()))
    )
    assert fault(model, repeated) is None
    assert sum(count for count, _ in fed) < 32 * 100
    with_gradient = [count for count, graph in fed if graph]
    assert max(with_gradient) <= 2 * (100 + 2 * check.WRITTEN_TOKENS), "what a pass with gradients holds"


def test_long_prompts_are_cut_so_that_the_check_stays_below_an_update(monkeypatch):
    """Eight prompts of 600 tokens: an eighth of 4,800 is compared, not 1,024 of each."""
    prompts = [[3 + (n + i) % 50 for i in range(600)] for n in range(8)]
    ids, _ = check._rows(prompts, torch.device("cpu"))
    assert ids.shape == (4, 600)
    ids, _ = check._rows(prompts[:2], torch.device("cpu"))
    assert ids.shape == (4, 150)
    ids, _ = check._rows(prompts[:1], torch.device("cpu"))
    assert ids.shape == (4, check.FEWEST_TOKENS)


def test_writing_alone_compares_no_gradients_and_training_does_later(monkeypatch):
    seen: list[bool] = []
    monkeypatch.setattr(check, "fault", lambda model, prompts, precision, gradients: seen.append(gradients))
    checked = Sharing(decoder(SHARING["llama"]))
    for gradients in (False, False, True, True, False):
        checked.start(PROMPTS, gradients=gradients)
    assert seen == [False, True] and checked.on
