"""A store of many users, made and measured by the scripts."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.running import ENVIRONMENT, ROOT


def measured(folder: Path, users: int) -> dict[str, dict]:
    """Figures of a store with this many users and 20 events each."""
    store = folder / "profiles.db"
    for command in (["make_profiles.py", str(store), "--users", str(users)], ["measure_profiles.py", str(store)]):
        done = subprocess.run(
            [sys.executable, ROOT / "scripts" / command[0], *command[1:]],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    first, *exports, forget = done.stdout.splitlines()
    assert forget.startswith("forget: ")
    named = {line.split(" ", 1)[0]: json.loads(line.split(" ", 1)[1]) for line in exports}
    return {"store": ast.literal_eval(first), **named, "forget": {"line": forget}}


def fast_enough(found: dict[str, dict], users: int, share: float) -> None:
    """Rates as a share of a plain pipeline's beside it: a busy machine's CPU second holds half of an idle one's."""
    assert found["store"]["show_p50_ms"] <= 5
    for form in ("jsonl", "parquet"):
        assert found[form]["users"] == users
        assert found[form]["users_per_cpu_second"] >= share * found[form]["plain_users_per_cpu_second"], found[form]
        assert found[form]["peak_MiB"] <= 300


def test_a_thousand_users(tmp_path):
    fast_enough(measured(tmp_path, 1000), 1000, 0.01)  # Starting up is most of so small an export.


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_users(tmp_path, capsys):
    found = measured(tmp_path, 100_000)
    with capsys.disabled():
        print(found)
    fast_enough(found, 100_000, 0.125)
