"""The trainer reads a history once: what it feeds the model, what stays together, and what TRL still does."""

from __future__ import annotations

import logging

import pytest
import torch
from support.decoders import NOT_SHARING, decoder
from support.trainers import config, population
from transformers import GenerationConfig

from plus.train.grpo import _one_by_one, by_prompt
from plus.train.trainer import PLUSTrainer, dataset


def trained(tmp_path, base, reward_model, **options) -> tuple[PLUSTrainer, list[int]]:
    """One real step, and the tokens that the summarizer was fed in each pass."""
    trainer = PLUSTrainer(
        base.model, reward_model, config(tmp_path, **options), dataset(population().contexts("train"), base),
        processing_class=base.tokenizer,
    )  # fmt: skip
    trainer.sharing.start([[3, 4, 5, 6], [7, 8, 9]])
    fed: list[int] = []
    embeddings = base.model.get_input_embeddings()
    hook = embeddings.register_forward_hook(lambda module, inputs, out: fed.append(inputs[0].numel()))
    trainer.train()
    hook.remove()
    return trainer, fed


def test_a_step_reads_each_history_once(tmp_path, base, reward_model):
    """16 summaries of 4 users: both passes with gradients and the prefill see 4 histories, not 16."""
    trainer, fed = trained(tmp_path / "once", base, reward_model, max_steps=1)
    assert trainer.sharing.on
    plain, fed_plain = trained(tmp_path / "plain", base, reward_model, max_steps=1, share_prefix=False)
    assert not plain.sharing.on
    assert fed_plain[0] > 3.5 * fed[0], "the prefill"
    assert fed_plain[-1] > 3 * fed[-1], "the log-probabilities"


@pytest.mark.parametrize("checkpointing", [False, True])
def test_once_or_once_per_summary_the_step_is_the_same(tmp_path, checkpointing):
    """Weights after three updates with the same seed, either way, also in micro-batches."""
    from plus.models.language_model import LanguageModelSummarizer
    from plus.models.reward_model import RewardModel
    from plus.resources import shipped

    after = []
    for share in (True, False):
        base = LanguageModelSummarizer.from_pretrained(
            shipped("tiny_base"), max_prompt_length=512, max_completion_length=16
        )
        torch.manual_seed(0)
        reward_model = RewardModel.from_pretrained(shipped("tiny_base"), max_length=256)
        trainer, _ = trained(
            tmp_path / str(share), base, reward_model, max_steps=3, share_prefix=share,
            gradient_checkpointing=checkpointing, gradient_checkpointing_kwargs={"use_reentrant": False},
            gradient_accumulation_steps=2, learning_rate=1e-4, per_device_train_batch_size=8, beta=0.1, optim="sgd",
        )  # fmt: skip
        assert trainer.sharing.on is share
        after.append({name: p.detach().clone() for name, p in base.model.named_parameters()})
    for name, tensor in after[0].items():
        torch.testing.assert_close(tensor, after[1][name], rtol=0, atol=1e-6, msg=name)


def test_summaries_of_a_prompt_share_a_micro_batch():
    prompts = torch.tensor([[1, 2], [3, 4], [1, 2], [5, 6], [3, 4], [5, 6], [1, 2], [3, 4]])
    rows = {
        "prompt_ids": prompts,
        "row": torch.arange(8),
        "total": torch.tensor(9),
        "none": None,
        "names": list("abcdefgh"),
    }
    halves = [
        {key: value[part] if key in ("prompt_ids", "row", "names") else value for key, value in rows.items()}
        for part in (slice(0, 4), slice(4, 8))
    ]
    one, two = by_prompt(halves)
    assert one["row"].tolist() == [0, 2, 6, 1] and two["row"].tolist() == [4, 7, 3, 5]
    assert one["names"] == list("acgb") and two["names"] == list("ehdf")
    assert torch.equal(one["prompt_ids"], prompts[[0, 2, 6, 1]])
    assert one["total"] == two["total"] == 9 and one["none"] is two["none"] is None


def test_a_windowed_summarizer_trains_the_plain_way_with_one_line(tmp_path, base, reward_model, caplog):
    gemma = NOT_SHARING["gemma2"][0].__class__(
        **{**NOT_SHARING["gemma2"][0].to_dict(), "vocab_size": len(base.tokenizer), "max_position_embeddings": 512}
    )
    model = decoder(gemma)
    model.save_pretrained(tmp_path / "gemma2")
    model.config._name_or_path = str(tmp_path / "gemma2")
    base.model = model
    with caplog.at_level(logging.WARNING, logger="plus"):
        trainer, fed = trained(tmp_path / "run", base, reward_model, max_steps=2)
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("plus")]
    assert "DynamicSlidingWindowLayer" in line and not trainer.sharing.on and fed


def test_only_token_by_token_generation_is_shared():
    assert _one_by_one(GenerationConfig(do_sample=True, temperature=0.7))
    assert _one_by_one(GenerationConfig())
    assert not _one_by_one(GenerationConfig(num_beams=4))
    assert not _one_by_one(GenerationConfig(use_cache=False))
    assert not _one_by_one(GenerationConfig(cache_implementation="static"))
