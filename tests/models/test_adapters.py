"""LoRA on two cores: the reference is the model with its adapters off, and nothing is differentiated below them."""

from __future__ import annotations

import pytest
import torch
from support.decoders import SHARING, decoder

from plus.errors import ModelError
from plus.models.loading import lora_config
from plus.worlds import pets


def histories(count: int = 2):
    return list(pets.load(0, train_users=count, test_pairs=1).histories.values())[:count]


def with_moved_adapters(summarizer, **options):
    summarizer.add_adapters(lora_config(summarizer.model, "CAUSAL_LM", r=4, **options))
    with torch.no_grad():
        for name, weight in summarizer.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    return summarizer


def test_the_reference_of_adapters_is_the_base_and_takes_no_copy(base):
    copy = base.reference()
    assert copy is not base.model and not any(p.requires_grad for p in copy.parameters())
    with_moved_adapters(base)
    assert base.reference() is None
    torch.manual_seed(0)
    _, own_NT, off_NT, mask_NT = base.sample(histories(), 2, None)
    torch.manual_seed(0)
    _, again_NT, copied_NT, _ = base.sample(histories(), 2, copy)
    torch.testing.assert_close(own_NT, again_NT)
    torch.testing.assert_close(off_NT, copied_NT)
    assert ((own_NT - off_NT).abs() * mask_NT).max() > 1e-3, "the adapters are on for the policy"
    assert own_NT.requires_grad and not off_NT.requires_grad


def test_nothing_is_differentiated_below_the_lowest_adapted_layer(base):
    """The graph reaches the layers that have adapters, and no others."""
    with_moved_adapters(base, layers="2")
    trained = {name for name, p in base.model.named_parameters() if p.requires_grad}
    assert trained and all(".layers.2." in name for name in trained)
    reached: dict[int, bool] = {}
    layers = base.model.get_base_model().model.layers
    hooks = [
        layer.register_forward_hook(lambda m, inputs, out, n=number: reached.update({n: out.requires_grad}))
        for number, layer in enumerate(layers)
    ]
    _, own_NT, _, _ = base.sample(histories(), 2, None)
    with torch.enable_grad():
        base.sharing.logprobs(base.model, *base.sampled, own_NT.shape[1])
    for hook in hooks:
        hook.remove()
    assert reached == {0: False, 1: False, 2: True}
    own_NT.sum().backward()
    assert all(p.grad is not None for p in base.model.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("layers", "found"), [("1-2", [1, 2]), (2, [2]), ("0,2", [0, 2]), ([1, 0], [0, 1]), ("2-2", [2])]
)
def test_layers_are_named_as_a_range_a_list_or_a_number(base, layers, found):
    config = lora_config(base.model, "CAUSAL_LM", layers=layers)
    assert config.layers_to_transform == found
    assert "lm_head" not in config.target_modules and {"q_proj", "down_proj"} <= set(config.target_modules)


@pytest.mark.parametrize("layers", ["2-3", "upper", "-1", [], "2-1"])
def test_layers_that_are_not_there_are_refused(layers):
    model = decoder(SHARING["llama"])
    with pytest.raises(ModelError, match=r"--lora_layers_to_transform .* has 0 to 1; write the upper third.* as 1-1"):
        lora_config(model, "CAUSAL_LM", layers=layers)
