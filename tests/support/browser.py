"""A real Chromium, headless, driven by playwright; and the page as a process of its own on a free port."""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.running import ENVIRONMENT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NO_BROWSER = "no Chromium on this machine; apt-get install chromium"


@contextmanager
def studio(*options: str | Path, **environment: str) -> Iterator[str]:
    """Run `plus studio`; yields the address that it prints."""
    command = [sys.executable, "-m", "plus", "studio", *map(str, options)]
    running = subprocess.Popen(command, env=ENVIRONMENT | environment, stderr=subprocess.PIPE, text=True)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in running.stderr], daemon=True).start()
    try:
        said = ""
        while not (found := re.search(r"open (http://\S+)", said)):
            said += lines.get(timeout=120)
        yield found[1]
    finally:
        running.terminate()
        running.wait(30)


@contextmanager
def chromium() -> Iterator:
    """Start a browser. Skips the test, with the reason, where there is none."""
    if CHROMIUM is None:
        pytest.skip(NO_BROWSER)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def opened(browser, address: str, **options):
    """Open the page in a window of its own; every request to another place, and every error, is kept."""
    window = browser.new_context(**options).new_page()
    window.set_default_timeout(400_000)  # Another program may have the cores while models are loaded.
    window.faults = []
    start = address.partition("/in")[0]
    window.on("request", lambda one: one.url.startswith(start) or window.faults.append(f"asked for {one.url}"))
    window.on("pageerror", lambda error: window.faults.append(str(error)))
    window.on("console", lambda line: line.type == "error" and window.faults.append(line.text))
    window.goto(address)
    window.wait_for_url(lambda url: "/in?" not in url)
    window.start = start
    return window
