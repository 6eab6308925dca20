"""Two proxies on one store in PostgreSQL: an edit, a pause and a forget by another program are seen at once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import openai
import pytest
from support.running import ENVIRONMENT
from support.upstream import upstream

from plus.profiles.decisions import pause, resume
from plus.profiles.forget import forget_user
from plus.profiles.saving import save_user
from plus.profiles.store import Store


@contextmanager
def proxying(address: str, url: str, log: Path):
    """Address of a proxy, a process of its own."""
    places = {"OPENAI_API_KEY": "sk-0123456789abcdef", "OPENAI_BASE_URL": url, "PLUS_KEYS": os.environ["PLUS_KEYS"]}
    command = [sys.executable, "-m", "plus", "proxy", "--port", "0", "--store", address]
    with (
        log.open("w") as file,
        subprocess.Popen(command, env=ENVIRONMENT | places, stderr=file, stdout=file) as process,
    ):
        try:
            deadline = time.monotonic() + 90
            while not (found := re.search(r"listening on (\S+),", log.read_text())):
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield found[1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(40)


def test_two_proxies_see_an_edit_at_once(schemas, tmp_path):
    address = schemas("own")
    with ExitStack() as stack:
        store = stack.enter_context(Store(address))
        save_user(store, "ann", "Likes cats.", 0)
        server = stack.enter_context(upstream())
        logs = [tmp_path / name for name in ("one", "other")]
        proxies = [stack.enter_context(proxying(address, server.url, log)) for log in logs]
        clients = [openai.OpenAI(api_key="none", base_url=proxy, max_retries=1) for proxy in proxies]

        def seen() -> list[str]:
            server.forget()
            for client in clients:
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Tea?"}], user="ann")
            return [str(asked["messages"]) for asked in server.asked]

        assert all("Likes cats." in text for text in seen())
        for number in range(5):
            save_user(store, "ann", f"Likes cats and {number} birds.", number + 1)
            assert all(f"{number} birds." in text for text in seen()), "at once: no request later has the old text"
        pause(store, "ann")
        assert not any("birds" in text for text in seen())
        resume(store, "ann")
        assert all("birds" in text for text in seen())
        forget_user(store, "ann")
        assert not any("birds" in text for text in seen())
    for log in logs:
        assert "birds" not in log.read_text()


@pytest.mark.parametrize("word", ["s3cret-w0rd"])
def test_a_proxy_writes_no_password_into_its_log(schemas, tmp_path, word):
    """The server of these tests asks for none, so it takes any."""
    address = schemas("own").replace("@", f":{word}@", 1)
    Store(address).close()
    with upstream() as server, proxying(address, server.url, tmp_path / "log"):
        pass
    assert word not in (tmp_path / "log").read_text()
