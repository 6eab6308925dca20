"""GGUF files: converted exactly, once, into folders that train, save and load; bad ones refused in one line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import gguf as library
import numpy as np
import pytest
import torch
from support.gguf_files import tiny_llama, write
from transformers import AutoModelForCausalLM, AutoTokenizer

import plus
from plus.errors import ModelError
from plus.models import gguf
from plus.models.loading import load_model, load_tokenizer, local
from plus.models.reward_model import RewardModel
from plus.resources import shipped
from plus.sources import polis
from plus.train import run as training
from plus.train import settings as options

Q = library.GGMLQuantizationType


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(("kind", "said"), [(Q.Q8_0, "Q8_0"), (Q.Q4_1, "Q4_1")])
def test_the_converted_weights_are_those_that_the_files_numbers_stand_for(tmp_path, caplog, kind, said):
    model, tokenizer = write(tmp_path / "tiny.gguf", kind)
    found = load_model(AutoModelForCausalLM, tmp_path / "tiny.gguf")
    for name, weight in model.state_dict().items():
        assert torch.equal(found.state_dict()[name], weight), name
    assert f"the weights of tiny.gguf were dequantized from {said}" in caplog.text
    ids = tokenizer("They asked <|im_start|>whom?", return_tensors="pt").input_ids
    with torch.no_grad():
        torch.testing.assert_close(found(ids).logits, model(ids).logits)
    read = load_tokenizer(tmp_path / "tiny.gguf")
    assert read("They asked <|im_start|>whom?").input_ids == ids[0].tolist()
    assert read.chat_template == tokenizer.chat_template
    assert (read.eos_token, found.generation_config.eos_token_id) == ("<|im_end|>", tokenizer.eos_token_id)


def test_a_file_is_converted_once_and_a_changed_one_anew(tmp_path, monkeypatch):
    write(tmp_path / "tiny.gguf")
    first = local(tmp_path / "tiny.gguf")
    gguf.plain_folder.cache_clear()
    monkeypatch.setattr(gguf, "_convert", lambda *_: pytest.fail("converted twice"))
    assert local(tmp_path / "tiny.gguf") == first
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    gguf.plain_folder.cache_clear()
    write(tmp_path / "tiny.gguf", Q.Q4_1)
    assert local(tmp_path / "tiny.gguf") != first
    assert sorted(path.name[0] for path in gguf.cache_folder().iterdir()) == ["t", "t"], "nothing half written stays"


def test_weights_that_are_no_quantization_are_not_called_dequantized(tmp_path, caplog):
    write(tmp_path / "tiny.gguf", Q.F32)
    folder = local(tmp_path / "tiny.gguf")
    assert "dequantized" not in caplog.text
    assert "dequantized_from" not in json.loads(Path(folder, "config.json").read_text())


@pytest.mark.parametrize("use_peft", [False, True])
def test_a_run_started_from_a_file_saves_and_loads(tmp_path, use_peft):
    write(tmp_path / "tiny.gguf")
    settings = options.resolve({
        "dataset_name": "polis", "model_name_or_path": str(tmp_path / "tiny.gguf"), "use_peft": use_peft,
        "output_dir": str(tmp_path / "run"), "max_steps": 2, "per_device_train_batch_size": 4, "num_generations": 2,
        "max_prompt_length": 400, "max_completion_length": 8, "reward_max_length": 300, "save_strategy": "no",
    })  # fmt: skip
    population = polis.load(shipped("polis_sample"))
    trained = training.train(settings, population, lambda line: None)
    # Also where the cache was emptied since.
    shutil.rmtree(gguf.cache_folder())
    gguf.plain_folder.cache_clear()
    run = plus.load(tmp_path / "run")
    histories = list(population.histories.values())[:3]
    assert run.summarizer.summarize(histories) == trained.summarizer.summarize(histories)
    triple = ("likes tax", "Vote?", "Agree")
    assert run.score(*triple) == pytest.approx(trained.reward_model.rewards([triple])[0], abs=1e-6)


def test_a_reward_model_starts_from_a_file_too(tmp_path):
    model, _ = write(tmp_path / "tiny.gguf")
    found = RewardModel.from_pretrained(tmp_path / "tiny.gguf")
    assert torch.equal(found.model.model.embed_tokens.weight, model.model.embed_tokens.weight)
    assert found.fresh == ("score.weight",)


def damaged(path, what):
    """One fault in a good file."""
    write(path)
    data = path.read_bytes()
    match what:
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "cut in its header":
            path.write_bytes(data[:100])
        case "foreign":
            path.write_bytes(b"PK\x03\x04" + data[4:])
        case "empty":
            path.write_bytes(b"")
        case "no architecture":
            path.write_bytes(data.replace(b"general.architecture", b"general.architextura"[:20], 1))
        case "not finite":
            start = library.GGUFReader(path).tensors[0]
            # A block of Q8_0 begins with its scale in 16 bits.
            data = bytearray(data)
            data[start.data_offset : start.data_offset + 2] = np.float16(np.nan).tobytes()
            path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("cut", "is a damaged GGUF file"),
        ("cut in its header", "is a damaged GGUF file"),
        ("foreign", r"is no GGUF file: it begins with b'PK\x03\x04', not b'GGUF'"),
        ("empty", "is no GGUF file"),
        ("no architecture", "is a damaged GGUF file"),
        ("not finite", "model.embed_tokens.weight holds numbers that are not finite"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_and_leaves_nothing(tmp_path, what, said):
    damaged(tmp_path / "bad.gguf", what)
    with pytest.raises(ModelError, match=re.escape(said)) as error:
        local(tmp_path / "bad.gguf")
    assert "\n" not in str(error.value) and "give the whole file" in str(error.value)
    assert not gguf.cache_folder().exists() or not list(gguf.cache_folder().iterdir())


def test_an_architecture_that_cannot_be_converted_and_a_file_that_is_not_there(tmp_path):
    write(tmp_path / "other.gguf", architecture="rwkv7")
    with pytest.raises(ModelError, match=r"architecture 'rwkv7', which transformers cannot convert; give .*llama"):
        local(tmp_path / "other.gguf")
    with pytest.raises(ModelError, match=r"no GGUF file at .*none.gguf \(No such file"):
        local(tmp_path / "none.gguf")


def test_a_disk_that_cannot_hold_the_folder_is_named_before_anything_is_written(tmp_path, monkeypatch):
    write(tmp_path / "tiny.gguf")
    usage = gguf.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(gguf.shutil, "disk_usage", lambda place: usage._replace(free=1000))
    with pytest.raises(ModelError, match="set XDG_CACHE_HOME to a folder on another disk"):
        local(tmp_path / "tiny.gguf")


def test_a_folder_is_what_save_pretrained_makes(tmp_path):
    """Anybody's transformers opens it, and saves it again."""
    write(tmp_path / "tiny.gguf")
    folder = local(tmp_path / "tiny.gguf")
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.save_pretrained(tmp_path / "again")
    assert AutoTokenizer.from_pretrained(folder)("Tax").input_ids == tiny_llama()[1]("Tax").input_ids
    assert model.lm_head.weight is model.model.embed_tokens.weight
