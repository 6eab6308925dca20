"""The reproduction's promises and page, and its script from end to end on the quick settings."""

from __future__ import annotations

import fcntl
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.running import ENVIRONMENT, ROOT

from plus.benchmark import evidence
from plus.benchmark.bases import shipped_base
from plus.benchmark.language_models import Budget, LanguageModelMethods
from plus.worlds import pets, pets_ood, styles

FEW = {
    "pets": lambda seed: pets.load(seed, 48, 2, 10),
    "pets_ood": lambda seed: pets_ood.load(seed, 48, 2, 10, 2),
    "pets_ood_k2": lambda seed: pets_ood.load_k2(seed, 48, 2, 10),
    "styles": lambda seed: styles.load(seed, 48, 2, 10),
    "styles_unlabelled": lambda seed: styles.load_unlabelled(seed, 48, 2, 10),
}


class Cheap(LanguageModelMethods):
    """Only the methods that train nothing, so that the test is about the page."""

    def methods(self):
        return {name: method for name, method in super().methods().items() if name in ("constant", "longer_wins")}


def cheap(out: Path, name: str):
    return Cheap(name, out / name, Budget(1), shipped_base, lambda line: None, FEW[name]), "shipped"


def test_the_promises_are_those_of_the_issue():
    found = evidence.promises()
    assert found["pets"]["plus"] == found["pets"]["vpl"] == found["pets"]["in_context"] == (0.95, 1.0)
    assert found["pets"]["bradley_terry"] == (0.49, 0.51)
    assert found["pets"]["oracle"] == (0.98, 1.0)
    assert found["pets_ood"] == {"plus": (0.85, 1.0)}
    assert "styles" not in found


def test_a_promise_is_held_missed_or_not_run():
    card = {"accuracy": {"mean": 0.94}}
    reports = {"pets": {"methods": {"plus": card, "bradley_terry": {"accuracy": {"mean": 0.5}}}}}
    rows = {(row["data"], row["method"]): row["held"] for row in evidence.compare_promises(reports)}
    assert rows["pets", "plus"] is False
    assert rows["pets", "bradley_terry"] is True
    assert rows["pets_ood", "plus"] is None


def test_a_missed_promise_is_named_and_nan_is_a_miss():
    good = {
        "accuracy": {"plus": 0.99, "bradley_terry": 0.5, "untrained": 0.6, "oracle": 1.0},
        "controls": {"shuffled": 0.5, "empty": 0.5},
    }
    good |= {"faithfulness": {"precision": 1.0, "recall": 1.0}, "null": {"accuracy": 0.5}}
    assert evidence.missed(good) == []
    assert set(evidence.demo_promises()) >= {"accuracy.plus", "null.accuracy"}
    assert evidence.missed(good | {"null": {"accuracy": math.nan}}) == ["null.accuracy is nan, promised 0.45 to 0.55"]


def test_cells_then_a_page_of_all_data_sets(tmp_path):
    for family in ("pets", "pets_ood", "styles"):
        evidence.cells(tmp_path, family, 0, cheap)
    cells = {path for name in FEW for path in (tmp_path / name / "cells").iterdir()}
    assert len(cells) == 10
    (tmp_path / "audits" / "styles").mkdir(parents=True)
    found = [
        {"control": "label flip", "ok": True, "sentence": "0.8 turn; of summaries that say all, 0.9"},
        {"control": "persona swap", "ok": False, "sentence": "0.1 turn"},
    ]
    (tmp_path / "audits" / "styles" / "report.json").write_text(
        json.dumps({"verdict": "0.1 turn", "findings": found, "not_run": {"null run": "it trains anew"}})
    )
    assert evidence.report(tmp_path, range(1), cheap) is False, "what was not run is not held"
    assert {path for name in FEW for path in (tmp_path / name / "cells").iterdir()} == cells
    text = (tmp_path / "evidence.md").read_text()
    assert "| method | pets | pets_ood | pets_ood_k2 | styles | styles_unlabelled |" in text
    assert "| pets: plus | 0.95 to 1 | - | not run |" in text
    assert "- pets: 1 seeds, 20 choices of as many users" in text
    assert "| together | " in text
    assert "## Audit of styles, seed 0, read by seed 1: 0.1 turn\n\n- label flip: 0.8 turn" in text
    assert "- **FAILS** persona swap: 0.1 turn\n- null run: not run, it trains anew" in text
    found = json.loads((tmp_path / "evidence.json").read_text())
    assert found["cpu_seconds"]["together"] >= 0


def test_a_second_process_waits_for_the_first(tmp_path):
    done = threading.Event()
    with (tmp_path / ".pets-0.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=lambda: (evidence.cells(tmp_path, "pets", 0, cheap), done.set()))
        thread.start()
        assert not done.wait(0.5)
        assert not (tmp_path / "pets").exists()
    thread.join(60)
    assert done.is_set()


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_the_script_continues_after_kill_9(tmp_path):
    """One seed, quick settings: killed whole in the middle, it continues, and what was computed stays."""
    environment = {**ENVIRONMENT, "QUICK": "1", "SEEDS": "1", "PYTHON": sys.executable}
    command = ["bash", str(ROOT / "scripts" / "reproduce_tiny.sh"), str(tmp_path / "out")]
    first = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    cells = tmp_path / "out" / "styles" / "cells"
    while not (cells.exists() and any(cells.glob("*bradley_terry*.gz"))):
        time.sleep(1)
        assert first.poll() is None
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*/cells/*.gz")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, "quick figures keep no promise of pets_ood"
    assert "# Synthetic users: every method" in done.stdout, done.stderr[-2000:]
    assert {path: path.read_bytes() for path in before} == before
    for name in evidence.DATA:
        report = json.loads((tmp_path / "out" / name / "report.json").read_text())
        assert len(report["methods"]) + len(report["missing"]) == 12
