"""A run to the Hub and back: through huggingface_hub, to a server that speaks its protocol."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.running import ENVIRONMENT, data_of
from support.small_hub import SmallHub

from plus.errors import ModelError
from plus.models import hub
from plus.models.language_model import LanguageModelSummarizer
from plus.models.reward_model import RewardModel
from plus.resources import shipped

TOKEN = "hf_a_secret_of_the_test"
LOAD = """
import plus, sys
run = plus.load(sys.argv[1])
print(run.score("The user likes cats best.", "Tell me.", "Cats."))
"""


@pytest.fixture
def run(tmp_path) -> Path:
    """A run folder as training leaves it, texts about users included."""
    folder = tmp_path / "run"
    (folder / "checkpoint-2").mkdir(parents=True)
    LanguageModelSummarizer.from_pretrained(shipped("tiny_base")).model.save_pretrained(folder / "summarizer")
    reward_model = RewardModel.from_pretrained(shipped("tiny_base"))
    reward_model.save_pretrained(folder / "reward_model")
    reward_model.tokenizer.save_pretrained(folder / "summarizer")
    config = {
        "dataset_name": "pets",
        "output_dir": str(folder),
        "data_dir": "/home/me/secret",
        "reward_max_length": 192,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text(f'---\nlibrary_name: transformers\n---\np = plus.load("{folder}")\n')
    for name in ("summaries.jsonl", "samples.jsonl", "checkpoint-2/optimizer.pt"):
        (folder / name).write_text('{"user_id": "ann", "summary": "likes secrets"}\n')
    return folder


@pytest.fixture
def server():
    with SmallHub(TOKEN) as server:
        yield server
        server.shutdown()


def cli(server, tmp_path, *command: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    environment = {
        **ENVIRONMENT,
        "HF_ENDPOINT": server.address,
        "HF_TOKEN": token,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
    }
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=120)


def test_pushed_and_loaded_again_is_the_same_run(run, server, tmp_path):
    done = cli(server, tmp_path, "-m", "plus", "push", str(run), "me/pets-plus", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    sent = server.repos["me/pets-plus"]
    assert set(data_of(done.stdout)["files"]) <= set(sent)
    assert [repo["visibility"] for repo in server.created] == ["private"], "unless told otherwise"
    everything = b"".join(sent.values())
    assert b"likes secrets" not in everything and b"/home/me" not in everything and str(run).encode() not in everything
    there, here = (cli(server, tmp_path, "-c", LOAD, name) for name in ("me/pets-plus", str(run)))
    assert there.returncode == 0, there.stderr[-2000:]
    assert there.stdout == here.stdout != ""


def test_what_the_hub_refuses_is_one_line_without_the_token(run, server, tmp_path):
    done = cli(server, tmp_path, "-m", "plus", "push", str(run), "me/pets-plus", token="hf_wrong")
    assert done.returncode == 2 and done.stderr.strip().splitlines()[-1].startswith(
        "plus: the Hub did not take me/pets-plus"
    )
    assert "hf_wrong" not in done.stderr + done.stdout
    missing = cli(server, tmp_path, "-c", LOAD, "me/nothing")
    assert "me/nothing is no folder here and could not be had from the Hub" in missing.stderr.splitlines()[-1]


def test_a_dry_run_and_a_folder_send_nothing(run, plus_here, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "push_to_hub", lambda *a, **k: pytest.fail("nothing may be sent"))
    status, out, err = plus_here("push", run, "me/x", "--dry-run")
    assert status == 0 and "summarizer/model.safetensors" in out and "nothing was sent" in err
    status, _, _ = plus_here("push", run, "--output_dir", tmp_path / "staged")
    assert status == 0 and (tmp_path / "staged" / "reward_model" / "config.json").exists()
    assert not (tmp_path / "staged" / "summaries.jsonl").exists()
    status, _, err = plus_here("push", run, "--output_dir", tmp_path / "staged")
    assert status == 2 and "is in use and nothing is overwritten" in err
    status, _, err = plus_here("push", run)
    assert status == 2 and "nowhere to push to; give OWNER/NAME" in err


def test_adapters_of_a_base_that_is_only_on_this_machine_are_refused(run, tmp_path):
    (run / "reward_model" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path)}))
    with pytest.raises(ModelError, match="a folder on this machine; publish that base first"):
        hub.stage(run, tmp_path / "staged")


SECRET, PERSON = "zebras drink oolong in Timbuktu", "user-9f3k2m8x7q1z"


def test_no_twelve_characters_of_a_users_text_or_id_are_pushed(run, tmp_path):
    """Planted in every file of rows, and where the demo's report shows people."""
    row = json.dumps({"user_id": PERSON, "summary": SECRET, "prompt": SECRET, "chosen": SECRET}) + "\n"
    for name in ("summaries.jsonl", "samples.jsonl", "predictions.jsonl", "data.jsonl", "forgotten.jsonl"):
        (run / name).write_text(row)
    report = {
        "accuracy": {"plus": 0.9}, "run": str(run), "examples": [{"user_id": PERSON, "after": SECRET}, 3],
        "real": {"voter": {"user_id": PERSON, "lines": [{"text": SECRET}]}, "accuracy": 0.8},
    }  # fmt: skip
    (run / "report.json").write_text(json.dumps(report))
    staged = hub.stage(run, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == {
        "accuracy": {"plus": 0.9}, "examples": [3], "real": {"accuracy": 0.8},
    }  # fmt: skip
    windows = {text[at : at + 12].encode() for text in (SECRET, PERSON) for at in range(len(text) - 11)}
    for path in staged:
        content = (tmp_path / "out" / path).read_bytes()
        assert not [window for window in windows if window in content], path
    assert (run / "report.json").read_text() == json.dumps(report), "the run itself is as it was"
