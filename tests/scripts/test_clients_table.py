"""The table of clients, for the libraries that the tests have."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from support.running import ENVIRONMENT, ROOT

PAGE = (ROOT / "docs" / "results" / "clients.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_client_that_is_installed_here_works_and_is_personal():
    command = [sys.executable, str(ROOT / "scripts" / "clients_table.py")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines()[2:] if line]
    assert len(rows) >= 5 and not [row for row in rows if "| no: " in row], done.stdout


def test_the_page_has_at_least_ten_clients_with_their_versions():
    rows = re.findall(r"^\| ([^|]+) \| (\d[\d.]+) \| `", PAGE, re.M)
    assert len(rows) >= 10 and len({name for name, _ in rows}) == len(rows)
