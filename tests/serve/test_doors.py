"""The recipes of docs/howto/doors.md as they stand there, with the real packages; skipped where one is missing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import httpx2
import pytest
from serve.test_proxy import proxying
from support.all_protocols import all_protocols
from support.personalized import KEY, profile_of
from support.running import ENVIRONMENT, ROOT

from plus.profiles.saving import save_user
from plus.profiles.store import Store

PAGE = (ROOT / "docs" / "howto" / "doors.md").read_text(encoding="utf-8")
LITELLM_KEY = "sk-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c"
NODE_MODULES = os.environ.get("PLUS_NODE_MODULES", "")  # a folder with `ai` and `@ai-sdk/openai-compatible`


def recipe(name: str) -> str:
    """The program below a heading of the page."""
    section = PAGE.partition(f"## {name}\n")[2].partition("\n## ")[0]
    return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    ") or not line).strip()


def needs(*packages: str):
    missing = [package for package in packages if find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"pip install {' '.join(missing)}")


@pytest.fixture
def folder(tmp_path):
    with Store(tmp_path / "profiles.db") as store:
        save_user(store, "ann", "Likes cats.", 0)
    # The proxy's own name for the same file.
    (tmp_path / "p.db").symlink_to(tmp_path / "profiles.db")
    return tmp_path


@pytest.fixture
def server():
    with all_protocols() as running:
        yield running


def run(program: str, folder: Path, url: str, shown: str = "answer") -> str:
    """Run a recipe in a process of its own before this upstream; returns what it printed last."""
    environment = ENVIRONMENT | {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY}
    environment |= {"OPENAI_AGENTS_DISABLE_TRACING": "1", "LANGSMITH_TRACING": "false"}
    command = [sys.executable, "-c", f"{program}\nprint({shown})"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
@needs("langchain_openai")
def test_langchain(folder, server):
    assert run(recipe("LangChain"), folder, server.url) == "Tea is fine."
    assert profile_of(server.asked[0]) == "Likes cats."
    assert server.asked[0]["messages"][0]["content"].startswith("You sell tea.\n\n")


@pytest.mark.slow
@needs("agents")
def test_openai_agents(folder, server):
    assert run(recipe("OpenAI Agents"), folder, server.url) == "Tea is fine."
    assert profile_of(server.asked[0]) == "Likes cats."
    assert server.asked[0]["instructions"].startswith("You sell tea.\n\n")


@pytest.mark.slow
@needs("instructor")
def test_instructor(folder, server):
    assert run(recipe("instructor"), folder, server.url, "choice.tea") == "green"
    assert profile_of(server.asked[0]) == "Likes cats." and server.asked[0]["safety_identifier"]


@needs("anthropic")
def test_anthropics_sdk(folder, server):
    with proxying(folder, server.url) as (_, address, _):
        program = recipe("Anthropic's SDK").replace("http://127.0.0.1:8787", address.removesuffix("/v1"))
        assert run(program, folder, "") == "Tea is fine."
    assert "Likes cats." in server.asked[0]["system"]
    assert KEY not in str(server.headers[0]), "the app's token stays at the proxy"
    assert "x-plus-user" not in server.headers[0]


@pytest.mark.slow
@needs("litellm", "fastapi")
def test_litellms_proxy(folder, server):
    """Its own process, configured as the page says; the provider is not told the user's id."""
    (folder / "plus_callback.py").write_text(recipe("LiteLLM"))
    model = {"model_name": "m", "litellm_params": {"model": "openai/m", "api_base": server.url, "api_key": KEY}}
    config = {"model_list": [model], "litellm_settings": {"callbacks": "plus_callback.callback", "telemetry": False}}
    (folder / "config.yaml").write_text(json.dumps(config))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = ENVIRONMENT | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": LITELLM_KEY}
    command = [str(Path(sys.executable).with_name("litellm")), "--config", "config.yaml", "--port", str(port)]
    log = (folder / "log").open("w")
    with log, subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as process:
        try:
            body = {"model": "m", "user": "ann", "messages": [{"role": "user", "content": "Which tea?"}]}
            answer = asked_when_ready(f"http://127.0.0.1:{port}/v1/chat/completions", body, process)
        finally:
            process.terminate()
    assert answer["choices"][0]["message"]["content"] == "Tea is fine.", answer
    assert profile_of(server.asked[-1]) == "Likes cats." and b'"ann"' not in server.raw[-1]


def asked_when_ready(url: str, body: dict, process: subprocess.Popen) -> dict:
    deadline, headers = time.monotonic() + 400, {"Authorization": f"Bearer {LITELLM_KEY}"}
    while True:
        assert process.poll() is None and time.monotonic() < deadline
        try:
            return dict(httpx2.post(url, json=body, headers=headers, timeout=60).json())
        except httpx2.ConnectError:
            time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.skipif(
    not (NODE_MODULES and shutil.which("node")),
    reason="npm install ai @ai-sdk/openai-compatible; PLUS_NODE_MODULES names the folder node_modules",
)
def test_vercels_ai_sdk(folder, server):
    with proxying(folder, server.url) as (_, address, _):
        program = recipe("Vercel AI SDK").replace("http://127.0.0.1:8787/v1", address)
        (folder / "shop.mjs").write_text(program)
        (folder / "node_modules").symlink_to(NODE_MODULES)
        done = subprocess.run(["node", "shop.mjs"], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "Tea is fine.", done.stderr
    assert profile_of(server.asked[0]) == "Likes cats."
    assert server.asked[0]["messages"][0]["content"].startswith("You sell tea.")
