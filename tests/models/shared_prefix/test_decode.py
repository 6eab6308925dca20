"""G texts beside each other in one row against transformers' own loop: the same tokens, drawn from the same numbers."""

from __future__ import annotations

import pytest
import torch
from support.decoders import SHARING, batch, decoder
from transformers import GenerationConfig

from plus.models.shared_prefix.decode import shared_decode

WAYS = {
    "greedy": {"do_sample": False},
    "sampled": {"do_sample": True, "top_k": 0},
    "processed": {
        "do_sample": True, "top_k": 20, "top_p": 0.9, "temperature": 0.8, "repetition_penalty": 1.3,
        "min_new_tokens": 3,
    },
}  # fmt: skip


def prompts() -> tuple[torch.Tensor, torch.Tensor]:
    ids, mask = batch("left", tokens=2)
    return ids[:, :-2], mask[:, :-2]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", SHARING)
def test_the_same_tokens_as_transformers_for_the_same_seed(family, way, attention):
    model = decoder(SHARING[family], attention=attention)
    ids, mask = prompts()
    config = GenerationConfig(max_new_tokens=12, pad_token_id=0, eos_token_id=[1, 5], **WAYS[way])
    written = []
    for options in ({}, {"custom_generate": shared_decode}):
        torch.manual_seed(3)
        written.append(model.generate(input_ids=ids, attention_mask=mask, generation_config=config, **options))
    assert torch.equal(*written)


def test_a_prompt_is_read_once_however_often_it_is_continued():
    """Tokens that the model is fed: each distinct context once, and one a text and step."""
    model = decoder(SHARING["llama"])
    ids, mask = prompts()
    fed = []
    model.get_input_embeddings().register_forward_hook(lambda module, inputs, output: fed.append(inputs[0].numel()))
    config = GenerationConfig(max_new_tokens=4, min_new_tokens=4, do_sample=True, pad_token_id=0)
    model.generate(input_ids=ids, attention_mask=mask, generation_config=config, custom_generate=shared_decode)
    assert fed == [3 * 29, 9, 9, 9, 9]  # 3 contexts of up to 29 tokens, then 3 rows of 3
    fed.clear()
    model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
    assert fed == [7 * 30, 7, 7, 7]


def test_writing_stops_when_every_text_has_ended():
    model = decoder(SHARING["llama"])
    ids, mask = prompts()
    with torch.no_grad():
        model.lm_head.weight.zero_()  # All tokens alike: the likeliest is the first, which ends a text here.
    config = GenerationConfig(max_new_tokens=12, pad_token_id=7, eos_token_id=0)
    out = model.generate(input_ids=ids, attention_mask=mask, generation_config=config, custom_generate=shared_decode)
    assert out[:, ids.shape[1] :].tolist() == [[0]] * 7


def test_prompts_of_a_single_token_have_no_context():
    model = decoder(SHARING["gpt2"])
    ids = torch.tensor([[9], [9], [4]])
    config = GenerationConfig(max_new_tokens=5, pad_token_id=0, eos_token_id=1)
    written = [
        model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=config, **options)
        for options in ({}, {"custom_generate": shared_decode})
    ]
    assert torch.equal(*written)
