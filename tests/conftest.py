"""Shared pieces: the shipped tiny base, small populations, and one run of the demo for all who read it."""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock
from support.running import data_of, plus


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put one test that needs the demo first and the others last: one worker runs it while the rest go on."""
    waiting = [
        item
        for item in items
        if "demo" in getattr(item, "fixturenames", ()) or item.get_closest_marker("reads_demo") is not None
    ]
    others = [item for item in items if item not in set(waiting)]
    items[:] = [*waiting[:1], *others, *waiting[1:]]


@pytest.fixture
def plus_here(capsys, monkeypatch):
    """The same command line in this process, where torch is already loaded: (status, stdout, stderr)."""
    from plus.cli.main import main

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["plus", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> dict:
    """The result of `plus demo --seed 0 --json`, whose run folder is result["run"]."""
    one = tmp_path_factory.getbasetemp()
    shared = one.parent if "PYTEST_XDIST_WORKER" in os.environ else one  # the workers of one session share a demo
    folder, said = shared / "demo" / "run", shared / "demo.json"
    with FileLock(f"{said}.lock"):
        if not said.exists():
            done = plus("demo", "--seed", "0", "--output_dir", folder, "--json")
            assert done.returncode == 0, done.stderr[-3000:]
            said.write_text(done.stdout)
    return data_of(said.read_text())


@pytest.fixture(scope="session")
def selected(tmp_path_factory) -> Path:
    """A run folder of the select engine, trained for 40 updates on the shipped Polis sample."""
    one = tmp_path_factory.getbasetemp()
    shared = one.parent if "PYTEST_XDIST_WORKER" in os.environ else one
    folder = shared / "selected" / "run"
    with FileLock(f"{folder.parent}.lock"):
        if not folder.exists():
            from plus.resources import shipped

            made = folder.with_name("made")
            words = ["--data_dir", shipped("polis_sample"), "--output_dir", made, "--max_steps", "40", "--seed", "1"]
            done = plus("train", "polis", *words)
            assert done.returncode == 0, done.stderr[-3000:]
            made.rename(folder)
    return folder


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> Path:
    """A run folder of the tiny base that writes what is selected, trained on pets for a few updates of each step."""
    folder = tmp_path_factory.mktemp("written") / "run"
    words = ["--model_name_or_path", "tiny", "--reward_model_name_or_path", "embeddings", "--output_dir", folder]
    words += ["--events_per_summary", "2", "--max_completion_length", "40", "--max_prompt_length", "256"]
    words += ["--select_steps", "40", "--reading_steps", "20", "--imitation_steps", "30", "--max_steps", "3"]
    words += ["--users_per_step", "16", "--learning_rate", "0.003", "--seed", "1"]
    done = plus("train", "--dataset_name", "pets", *words)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture
def base():
    """The shipped tiny base as summarizer."""
    from plus.models.language_model import LanguageModelSummarizer
    from plus.resources import shipped

    return LanguageModelSummarizer.from_pretrained(
        shipped("tiny_base"), max_prompt_length=512, max_completion_length=16
    )


@pytest.fixture
def reward_model():
    """A reward model started from the tiny base, its head fixed by the seed."""
    import torch

    from plus.models.reward_model import RewardModel
    from plus.resources import shipped

    torch.manual_seed(0)
    return RewardModel.from_pretrained(shipped("tiny_base"), max_length=256)


@pytest.fixture
def chat_server():
    """A real server that speaks the chat protocol: `chat_server(answer)` starts one whose model is the function
    `answer`; returns (address, requests)."""
    servers = []

    def start(answer, status: int = 200):
        seen: list[dict] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                seen.append({"path": self.path, "key": self.headers["Authorization"], **body})
                if status == 200:
                    message = {"role": "assistant", "content": answer(body["messages"][-1]["content"])}
                    made = {
                        "id": "1", "object": "chat.completion", "created": 0, "model": body["model"],
                        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                    }  # fmt: skip
                else:
                    made = {"error": {"message": f"wrong key {self.headers['Authorization']}", "code": "no"}}
                data = json.dumps(made).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/v1", seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
