"""Table of client libraries through `plus proxy`: what works, and how each names the user; for docs/results/clients.md.

    python scripts/clients_table.py --python PYTHON --python OTHER --node_modules FOLDER

Each library runs as a process of its own (scripts/clients/) against a server of this process that speaks every
protocol. It is looked for in each PYTHON (this one first), since some pin what others need newer. "yes": the call gave
what the server said, and the upstream saw the user's summary (embeddings: no user's id). curl is asked too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(Path(__file__).parent / "clients")]
from python_clients import CLIENTS  # noqa: E402
from support.all_protocols import all_protocols  # noqa: E402
from support.upstream import Upstream  # noqa: E402

from plus.profiles.saving import save_user  # noqa: E402
from plus.profiles.store import Store  # noqa: E402

MODULES = {"pydantic-ai-slim": "pydantic_ai", "openai-agents": "agents"}
NODE = ("openai", "@anthropic-ai/sdk", "@ai-sdk/openai-compatible", "@ai-sdk/openai")
WHAT = ("plain", "stream", "structured", "tools", "embeddings")
RIGHT = {"plain": "Tea is fine.", "stream": "Tea is fine.", "structured": "green", "tools": "brew", "embeddings": 2}
CURL = "curl -sS {url}/{path} -H Content-Type:application/json -H X-Plus-User:ann -d {body}"


@contextmanager
def proxying(folder: Path, upstream: str) -> Iterator[str]:
    """The address of a proxy before this upstream, with a summary of ann."""
    with Store(folder / "p.db") as store:
        save_user(store, "ann", "Likes cats.", 0)
    command = [
        sys.executable,
        "-m",
        "plus",
        "proxy",
        "--port",
        "0",
        "--store",
        str(folder / "p.db"),
        "--upstream",
        upstream,
    ]
    environment = {**os.environ, "OPENAI_API_KEY": "of-the-upstream", "OPENAI_BASE_URL": upstream}
    environment["PYTHONPATH"] = str(ROOT)
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = ""
            while not (found := re.search(r"listening on (\S+),", said)):
                line = process.stderr.readline()
                assert line, said
                said += line
            yield found[1]
        finally:
            process.terminate()


def clean() -> dict[str, str]:
    """The environment without this checkout's path, keys and addresses."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI", "ANTHROPIC", "PYTHONPATH"))}


def from_python(name: str, pythons: list[str], url: str) -> dict[str, Any] | None:
    """What a Python library got; None where no interpreter has it."""
    for python in pythons:
        module = (
            name.split()[0]
            .replace("-", "_")
            .replace("pydantic_ai_slim", "pydantic_ai")
            .replace("openai_agents", "agents")
        )
        if subprocess.run([python, "-c", f"import {module}"], capture_output=True, env=clean()).returncode == 0:
            command = [python, str(ROOT / "scripts/clients/python_clients.py"), name, url]
            done = subprocess.run(command, capture_output=True, text=True, env=clean(), timeout=300)
            return dict(json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else failed(done)
    return None


def from_node(name: str, modules: Path, folder: Path, url: str) -> dict[str, Any]:
    """What a library of node got."""
    shutil.copy(ROOT / "scripts/clients/node_clients.mjs", folder)
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(modules.resolve())
    command = ["node", "node_clients.mjs", name, url]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=clean(), timeout=300)
    return dict(json.loads(done.stdout.splitlines()[-1])) if done.returncode == 0 else failed(done)


def failed(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    last = (done.stderr.strip().splitlines() or ["no output"])[-1]
    return {"version": "?", "user": "", "calls": dict.fromkeys(WHAT, last)}


def from_curl(url: str) -> dict[str, Any]:
    """What curl got: the header names the user."""
    version = subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout.split()[1]

    def ask(path: str, **more: Any) -> str:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Which tea?"}], **more})
        command = [word.format(url=url, path=path, body=body) for word in CURL.split()]
        return subprocess.run(command, capture_output=True, text=True).stdout

    tool = {"type": "function", "function": {"name": "brew", "parameters": {}}}
    pieces = re.findall(r'"content": "([^"]*)"', ask("chat/completions", stream=True))
    message = json.loads(ask("chat/completions"))["choices"][0]["message"]
    shaped = json.loads(ask("chat/completions", response_format={"type": "json_object"}))["choices"][0]["message"]
    called = json.loads(ask("chat/completions", tools=[tool]))["choices"][0]["message"]["tool_calls"][0]
    vectors = json.loads(ask("embeddings", input="tea"))["data"]
    calls = {
        "plain": message["content"], "stream": "".join(pieces), "structured": json.loads(shaped["content"])["tea"],
        "tools": called["function"]["name"], "embeddings": len(vectors[0]["embedding"]),
    }  # fmt: skip
    return {"version": version, "user": "`X-Plus-User`", "calls": calls}


def row(name: str, found: dict[str, Any], server: Upstream) -> str:
    """One line of the table; a user's summary must have come with every call, and the id with none."""
    texts = [
        raw.decode() for raw, path in zip(server.raw, server.paths, strict=True) if not path.endswith("embeddings")
    ]
    personal = bool(texts) and all("Likes cats." in text for text in texts)
    hidden = not any('"ann"' in raw.decode() for raw in server.raw) and "'ann'" not in str(server.headers)
    cells = []
    for what in WHAT:
        got = found["calls"].get(what)
        good = got == RIGHT[what] and hidden and (personal or what == "embeddings")
        cells.append("-" if got is None else "yes" if good else f"no: {str(got)[:80]}")
    return f"| {name} | {found['version']} | {found['user']} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--node_modules", type=Path)
    options = parser.parse_args()
    print(f"| client | version | names the user by | {' | '.join(WHAT)} |\n|{'---|' * (3 + len(WHAT))}")
    with tempfile.TemporaryDirectory() as name, all_protocols() as server, proxying(Path(name), server.url) as url:
        tries = [("curl", lambda: from_curl(url))]
        tries += [
            (name, lambda name=name: from_python(name, [sys.executable, *options.python], url)) for name in CLIENTS
        ]
        if options.node_modules:
            modules, folder = options.node_modules, Path(name)
            tries += [(f"{lib} (node)", lambda lib=lib: from_node(lib, modules, folder, url)) for lib in NODE]
        for title, ask in tries:
            for kept in (server.asked, server.headers, server.paths, server.raw):
                kept.clear()
            if (found := ask()) is not None:
                print(row(title, found, server), flush=True)
            else:
                print(f"{title}: in none of the interpreters", file=sys.stderr)


if __name__ == "__main__":
    main()
