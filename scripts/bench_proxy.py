"""`plus proxy` beside a bare pass-through and litellm's proxy: CPU a request, added latency at 1, 50 and 200 streams.

The same stand-in upstream and the same client, in turns. The bare one is starlette and httpx2 with nothing between.

    python -m venv other && other/bin/pip install 'litellm[proxy]'
    python scripts/bench_proxy.py --litellm other/bin/litellm

`--before FOLDER` adds an older checkout of this repository.
"""  # fmt: skip

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import psutil

from plus.profiles.saving import save_user
from plus.profiles.store import Store

TOKEN = "sk-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c"
STREAM = [f'data: {{"id":"x","object":"chat.completion.chunk","created":0,"model":"m","choices":[{{"index":0,"delta":{{"content":"word {n} "}},"finish_reason":null}}]}}\n\n' for n in range(20)]  # fmt: skip
STREAM += ['data: {"id":"x","object":"chat.completion.chunk","created":0,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n', "data: [DONE]\n\n"]  # fmt: skip
BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Which tea? " * 20}]}
ABOUT = "Prefers green tea. Likes short answers with one example."
LEVELS = {1: 20, 50: 250, 200: 400}  # streams at once -> requests a round
ROOT, PORT = Path(__file__).resolve().parent.parent, 8901
URL = f"http://127.0.0.1:{PORT}/v1"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            for piece in STREAM:
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece.encode()))
                await asyncio.sleep(0.01)
            writer.write(b"0\r\n\r\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def upstream(port: int) -> None:
    async with await asyncio.start_server(answer, "127.0.0.1", port, backlog=1024) as server:
        await server.serve_forever()


def bare(port: int) -> None:
    """Serve the least that a proxy can be: starlette before, httpx2 behind, each piece handed on as it comes."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    client = httpx2.AsyncClient(timeout=300, limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100))

    async def forward(request: Request) -> StreamingResponse:
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {TOKEN}",
            "accept-encoding": "identity",
        }
        url = f"{os.environ['OPENAI_BASE_URL']}{request.url.path.removeprefix('/v1')}"
        asked = client.build_request("POST", url, content=await request.body(), headers=headers)
        answer = await client.send(asked, stream=True)

        async def pieces() -> AsyncIterator[bytes]:
            try:
                async for piece in answer.aiter_raw():
                    yield piece
            finally:
                await answer.aclose()

        kept = {name: answer.headers[name] for name in ("content-type", "content-length") if name in answer.headers}
        return StreamingResponse(pieces(), answer.status_code, kept)

    app = Starlette(routes=[Route("/v1/{path:path}", forward, methods=["POST"])])
    uvicorn.run(app, port=port, access_log=False, log_level="critical")


class Target:
    """A server under test: its address, its process, and what was measured by number of streams at once."""

    def __init__(self, name: str, port: int, command: list[str], environment: dict[str, str]) -> None:
        self.name, self.url = name, f"http://127.0.0.1:{port}/v1/chat/completions"
        # In a folder without a checkout: python -m looks there first.
        self.child = subprocess.Popen(
            command, env=environment, cwd=tempfile.gettempdir(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.first: dict[int, list[float]] = {}
        self.cpu: dict[int, list[float]] = {}

    def _processes(self) -> list[psutil.Process]:
        process = psutil.Process(self.child.pid)
        return [process, *process.children(recursive=True)]

    def seconds(self) -> float:
        """Processor time of the process and its children so far."""
        return sum(sum(p.cpu_times()[:2]) for p in self._processes())

    def mebibytes(self) -> float:
        return sum(p.memory_info().rss for p in self._processes()) / 2**20

    async def run(self, client: httpx2.AsyncClient, requests: int, at_once: int) -> None:
        """Ask `requests` times for a stream, `at_once` at a time; CPU milliseconds a request, and those to the first byte."""
        before, left, first = self.seconds(), list(range(requests)), self.first.setdefault(at_once, [])

        async def worker() -> None:
            while left:
                left.pop()
                started = time.perf_counter()
                headers = {"Authorization": f"Bearer {TOKEN}", "X-Plus-User": "ann"}
                async with client.stream("POST", self.url, json=BODY, headers=headers) as reply:
                    assert reply.status_code == 200, await reply.aread()
                    pieces = reply.aiter_raw()
                    await anext(pieces)
                    first.append(1000 * (time.perf_counter() - started))
                    async for _ in pieces:
                        pass

        await asyncio.gather(*[worker() for _ in range(at_once)])
        self.cpu.setdefault(at_once, []).append(1000 * (self.seconds() - before) / requests)

    async def ready(self, client: httpx2.AsyncClient) -> None:
        for _ in range(600):
            try:
                await self.run(client, 1, 1)
                return
            except (httpx2.HTTPError, AssertionError):
                await asyncio.sleep(0.5)
        raise SystemExit(f"{self.name} does not answer")


async def measure(targets: list[Target], rounds: int) -> list[dict[str, object]]:
    """Rows of the table: a target and a number of streams each."""
    async with httpx2.AsyncClient(timeout=300, limits=httpx2.Limits(max_connections=None)) as client:
        for target in targets:
            await target.ready(client)
            await target.run(client, 100, 50)  # warm
            target.first, target.cpu = {}, {}
        for at_once, requests in LEVELS.items():
            for number in range(rounds):  # In turns, so that other work on the machine falls on all.
                for target in targets[number % len(targets) :] + targets[: number % len(targets)]:
                    await target.run(client, requests, at_once)
    rows: list[dict[str, object]] = []
    for at_once in LEVELS:
        direct = statistics.median(targets[0].first[at_once])
        rows += [
            {
                "server": target.name, "streams": at_once,
                "cpu_ms": round(statistics.median(target.cpu[at_once]), 2),
                "added_first_ms": round(statistics.median(target.first[at_once]) - direct, 1),
                "added_first_ms_p99": round(statistics.quantiles(target.first[at_once], n=100)[-1] - direct, 1),
                "mib": round(target.mebibytes()),
            }
            for target in targets[1:]
        ]  # fmt: skip
    return rows


def commands(options: argparse.Namespace, folder: Path) -> list[tuple[str, list[str], dict[str, str]]]:
    """(name, command, environment) of every server, the upstream first; each gets {port}."""
    with Store(folder / "p.db") as store:
        save_user(store, "ann", ABOUT, 0)
    (folder / "tokens").write_text(f"bench {TOKEN}\n")
    model = {"model": "openai/m", "api_base": URL, "api_key": "sk-x"}
    config = {"model_list": [{"model_name": "m", "litellm_params": model}], "litellm_settings": {"telemetry": False}}
    (folder / "config.yaml").write_text(json.dumps(config))
    own = {**os.environ, "OPENAI_API_KEY": TOKEN, "OPENAI_BASE_URL": URL, "PYTHONPATH": str(ROOT)}
    proxy = [
        sys.executable,
        "-m",
        "plus",
        "proxy",
        "--port",
        "{port}",
        "--store",
        str(folder / "p.db"),
        "--tokens",
        str(folder / "tokens"),
    ]
    found = [
        ("direct", [sys.executable, str(Path(__file__).resolve()), "--upstream", "{port}"], own),
        ("bare pass-through", [sys.executable, str(Path(__file__).resolve()), "--bare", "{port}"], own),
        ("plus proxy", proxy, own),
        ("plus proxy --workers 2", [*proxy, "--workers", "2"], own),
    ]
    if options.before:
        # Its own store: an older checkout opens none of a newer schema.
        older, store = {**own, "PYTHONPATH": os.path.abspath(options.before)}, str(folder / "before.db")
        (folder / "people.jsonl").write_text(json.dumps({"user_id": "ann", "text": ABOUT}) + "\n")
        made = [sys.executable, "-m", "plus", "import", str(folder / "people.jsonl"), "--store", store]
        subprocess.run(made, env=older, cwd=folder, check=True, capture_output=True)
        command = [store if word == str(folder / "p.db") else word for word in proxy]
        found.append(("plus proxy before", command, older))
    if options.litellm:
        other = [
            os.path.abspath(options.litellm),
            "--config",
            str(folder / "config.yaml"),
            "--port",
            "{port}",
            "--host",
            "127.0.0.1",
            "--num_workers",
            "1",
        ]
        quiet = {
            "LITELLM_MASTER_KEY": TOKEN,
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OPENAI_BASE_URL")}
        found.append(("litellm", other, {**kept, **quiet}))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--litellm", help="the other proxy's command")
    parser.add_argument("--before", type=Path, help="an older checkout")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--bare", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.upstream:
        return asyncio.run(upstream(options.upstream))
    if options.bare:
        return bare(options.bare)
    with tempfile.TemporaryDirectory() as name:
        targets = [
            Target(name, PORT + number, [word.format(port=PORT + number) for word in command], environment)
            for number, (name, command, environment) in enumerate(commands(options, Path(name)))
        ]
        try:
            rows = asyncio.run(measure(targets, options.rounds))
        finally:
            for target in targets:
                target.child.terminate()
    print(
        "| streams at once | server | CPU ms a request | added until the first byte, ms, p50 / p99 | MiB |\n|---|---|---|---|---|"
    )
    for row in rows:
        print("| {streams} | {server} | {cpu_ms} | {added_first_ms} / {added_first_ms_p99} | {mib} |".format(**row))


if __name__ == "__main__":
    main()
