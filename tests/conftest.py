"""Shared pieces: the shipped tiny base, small populations, and one run of the demo for all who read it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # Before torch: as the command line does (plus/cli/main.py).

ROOT = Path(__file__).parent.parent
NO_SOCKETS = str(ROOT / "tests" / "no_sockets")  # On a process's path this blocks its network (test_networked.py).
_PATH = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path == NO_SOCKETS]
ENVIRONMENT = {
    **os.environ, "PYTHONPATH": os.pathsep.join([*_PATH, str(ROOT)]), "HF_HUB_OFFLINE": "1", "COLUMNS": "200",
}  # fmt: skip


def plus(*arguments: str | Path, cwd: Path | None = None, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    """Run the real command line in a process of its own."""
    command = [sys.executable, "-m", "plus", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout)


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
    folder = tmp_path_factory.mktemp("demo") / "run"
    done = plus("demo", "--seed", "0", "--output_dir", folder, "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


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
    """A real server that speaks the chat protocol: `chat_server(answer)` starts one a server whose model is the function `answer`; returns (address, requests)."""
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
