"""The command line as a process: where the clone is, what its environment holds, and how it is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # Before torch: as the command line does (plus/cli/main.py).
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # No test waits for the Hub; some start one of their own.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # A worker has a core of its own, and so have its processes.

ROOT = Path(__file__).parent.parent.parent
SUPPORT = ROOT / "tests" / "support"
NO_SOCKETS = str(SUPPORT / "no_sockets")  # On a process's path this blocks its network (serve/test_networked.py).
_PATH = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path == NO_SOCKETS]
ENVIRONMENT = {
    **os.environ, "PYTHONPATH": os.pathsep.join([*_PATH, str(ROOT), str(ROOT / "tests")]), "HF_HUB_OFFLINE": "1",
    "COLUMNS": "200",
}  # fmt: skip


def plus(*arguments: str | Path, cwd: Path | None = None, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    """Run the real command line in a process of its own."""
    command = [sys.executable, "-m", "plus", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout)


def data_of(out: str, error: str | None = None) -> Any:
    """The data that a verb printed with --json, in the one shape of all verbs; error: the kind that is wanted."""
    reply = json.loads(out)
    assert reply.keys() == {"ok", "data", "warnings", "error"}
    assert all(isinstance(line, str) for line in reply["warnings"])
    assert reply["ok"] is (reply["error"] is None)
    assert (reply["error"] or {}).get("kind") == error, reply["error"]
    return reply["data"]
