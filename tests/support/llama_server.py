"""A model that really answers: llama.cpp's OpenAI-compatible server on SmolLM2's GGUF file, as a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.smollm2 import smollm2_file

__all__ = ["llama_server", "smollm2_file"]
MODEL = "smollm2"
SERVE = """
import sys, threading, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.hostnames, params.port = sys.argv[1], ["127.0.0.1"], int(sys.argv[2])
params.n_ctx, params.n_parallel, params.model_alias = 4096, 1, {"smollm2"}
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(sys.argv[3])
server = xllamacpp.Server(params)
threading.Event().wait()
"""


@contextmanager
def serving(gguf_file: Path) -> Iterator[str]:
    """The address (ends in /v1) of a server on a free port of this machine, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threads = str(max(1, (os.cpu_count() or 1) - 1))
    command = [sys.executable, "-c", SERVE, str(gguf_file), str(port), threads]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 120
            while not _healthy(port):
                assert process.poll() is None, f"llama.cpp ended with status {process.returncode}"
                assert time.monotonic() < deadline, "llama.cpp did not start in two minutes"
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def llama_server(smollm2_file: Path) -> Iterator[str]:
    """The address of the server; skipped without xllamacpp or the model."""
    pytest.importorskip("xllamacpp", reason="pip install xllamacpp, and `make lm` for the model")
    with serving(smollm2_file) as url:
        yield url
