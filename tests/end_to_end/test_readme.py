"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from support.running import ENVIRONMENT, ROOT

from plus.benchmark.evidence import demo_promises

README = (ROOT / "README.md").read_text()


def test_the_first_program_runs_and_prints_what_it_says(demo, tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", README, re.S)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo-0").symlink_to(Path(demo["run"]))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == re.findall(r"  # (.*)", program)


def test_the_table_promises_what_the_demo_checks_and_no_measured_value_misses():
    rows = re.findall(r"^\| `([\w.]+)` \| ([\d.]+) to ([\d.]+) \| ([\d./ ]+) \|", README, re.M)
    assert {name: (float(low), float(high)) for name, low, high, _ in rows} == demo_promises()
    for name, low, high, measured in rows:
        values = [float(value) for value in measured.split(" / ")]
        assert len(values) == 5, name
        assert all(float(low) <= value <= float(high) for value in values), name


def test_every_file_the_readme_names_exists():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
