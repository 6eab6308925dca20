"""`plus proxy` beside litellm's proxy, same stand-in upstream, same client, in turns: CPU, added latency, memory.

    python -m venv other && other/bin/pip install 'litellm[proxy]'
    python scripts/bench_proxy.py other/bin/litellm
"""  # fmt: skip

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import psutil

from plus.profiles.saving import save_user
from plus.profiles.store import Store

TOKEN = "sk-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c"
STREAM = [f'data: {{"id":"x","object":"chat.completion.chunk","created":0,"model":"m","choices":[{{"index":0,"delta":{{"content":"word {n} "}},"finish_reason":null}}]}}\n\n' for n in range(20)]  # fmt: skip
STREAM += ['data: {"id":"x","object":"chat.completion.chunk","created":0,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n', "data: [DONE]\n\n"]  # fmt: skip
WHOLE = b'{"id":"x","object":"chat.completion","created":0,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Tea is fine."}}],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}'  # fmt: skip


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            body = await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
            if b'"stream":true' in body.replace(b" ", b""):
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                for piece in STREAM:
                    writer.write(b"%x\r\n%s\r\n" % (len(piece), piece.encode()))
                    await asyncio.sleep(0.01)
                writer.write(b"0\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(WHOLE), WHOLE))  # fmt: skip
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def upstream(port: int) -> None:
    async with await asyncio.start_server(answer, "127.0.0.1", port, backlog=1024) as server:
        await server.serve_forever()


class Target:
    """A server under test: its address, its process (None: the upstream itself), and what was measured."""

    def __init__(self, name: str, port: int, command: list[str] | None, environment: dict[str, str]) -> None:
        self.name, self.url = name, f"http://127.0.0.1:{port}/v1/chat/completions"
        self.child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) if command else None  # fmt: skip
        self.first: list[float] = []
        self.whole: list[float] = []

    def seconds(self) -> float:
        """Processor time of the process and its children so far."""
        if self.child is None:
            return 0.0
        process = psutil.Process(self.child.pid)
        return sum(sum(p.cpu_times()[:2]) for p in [process, *process.children(recursive=True)])

    def mebibytes(self) -> float:
        process = psutil.Process(self.child.pid)
        return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)]) / 2**20

    async def run(self, client: httpx2.AsyncClient, requests: int, stream: bool, at_once: int = 50) -> float:
        """Ask `requests` times, `at_once` at a time; returns the CPU milliseconds a request."""
        before, left = self.seconds(), list(range(requests))
        body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Which tea? " * 20}]}  # fmt: skip

        async def worker() -> None:
            while left:
                left.pop()
                started = time.perf_counter()
                async with client.stream("POST", self.url, json=body, headers={"Authorization": f"Bearer {TOKEN}", "X-Plus-User": "ann"}) as reply:  # fmt: skip
                    assert reply.status_code == 200, await reply.aread()
                    first = None
                    async for _ in reply.aiter_raw():
                        first = first or time.perf_counter() - started
                if stream:
                    self.first.append(1000 * first)
                    self.whole.append(1000 * (time.perf_counter() - started))

        await asyncio.gather(*[worker() for _ in range(at_once)])
        return 1000 * (self.seconds() - before) / requests

    async def ready(self, client: httpx2.AsyncClient) -> None:
        for _ in range(600):
            try:
                await self.run(client, 1, False, 1)
                return
            except (httpx2.HTTPError, AssertionError):
                await asyncio.sleep(0.5)
        raise SystemExit(f"{self.name} does not answer")


def percentiles(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


async def measure(targets: list[Target], rounds: int, requests: int) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {target.name: {} for target in targets}
    async with httpx2.AsyncClient(timeout=300, limits=httpx2.Limits(max_connections=None)) as client:
        for target in targets:
            await target.ready(client)
            await target.run(client, 200, True)  # warm
            target.first, target.whole = [], []
        cpu: dict[str, list[float]] = {target.name: [] for target in targets}
        for number in range(rounds):  # In turns, so that other work on the machine falls on all.
            for target in targets[number % len(targets) :] + targets[: number % len(targets)]:
                cpu[target.name].append(await target.run(client, 250, True))
        direct = targets[0]
        for target in targets[1:]:
            row = found[target.name]
            row["stream_cpu_ms"] = round(sum(cpu[target.name]) / rounds, 2)
            for what in ("first", "whole"):
                p50, p99 = percentiles(getattr(target, what))
                q50, q99 = percentiles(getattr(direct, what))
                row[f"added_{what}_ms_p50_p99"] = (round(p50 - q50, 1), round(p99 - q99, 1))
            row["whole_cpu_ms"] = round(await target.run(client, 1000, False), 2)
            row["mib"] = [round(target.mebibytes(), 1)]
        for _ in range(requests // 1000 - 1):
            await targets[1].run(client, 1000, False)
            found[targets[1].name]["mib"].append(round(targets[1].mebibytes(), 1))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("litellm", help="the other proxy's command")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--requests", type=int, default=10_000, help="for memory")
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.upstream:
        return asyncio.run(upstream(options.upstream))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store(folder / "p.db") as store:
            save_user(store, "ann", "Prefers green tea. Likes short answers with one example.", 0)
        (folder / "tokens").write_text(f"bench {TOKEN}\n")
        config = {"model_list": [{"model_name": "m", "litellm_params": {"model": "openai/m", "api_base": "http://127.0.0.1:8901/v1", "api_key": "sk-x"}}], "litellm_settings": {"telemetry": False}}  # fmt: skip
        (folder / "config.yaml").write_text(json.dumps(config))
        environment = {**os.environ, "OPENAI_API_KEY": TOKEN, "LITELLM_MASTER_KEY": TOKEN, "OPENAI_BASE_URL": "http://127.0.0.1:8901/v1", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # fmt: skip
        plus = [
            sys.executable,
            "-m",
            "plus",
            "proxy",
            "--port",
            "8902",
            "--store",
            str(folder / "p.db"),
            "--tokens",
            str(folder / "tokens"),
        ]
        other = [options.litellm, "--config", str(folder / "config.yaml"), "--port", "8903", "--host", "127.0.0.1", "--num_workers", "1"]  # fmt: skip
        other_environment = {key: value for key, value in environment.items() if key not in ("PYTHONPATH", "OPENAI_BASE_URL")}  # fmt: skip
        targets = [
            Target("direct", 8901, [sys.executable, __file__, "-", "--upstream", "8901"], environment),
            Target("plus", 8902, plus, environment),
            Target("litellm", 8903, other, other_environment),
        ]
        try:
            print(json.dumps(asyncio.run(measure(targets, options.rounds, options.requests)), indent=2))
        finally:
            for target in targets:
                target.child.terminate()


if __name__ == "__main__":
    main()
