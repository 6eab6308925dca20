"""Comparison of policies: its plan, its measures, and its cells on a small world."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support.running import ENVIRONMENT, ROOT

from plus.benchmark.policy_world.ab_test import Shown, change, satisfied, turn_of, upper_bound
from plus.benchmark.policy_world.cells import QUICK, Cell, Plan, name_of, planned_cells, run
from plus.benchmark.policy_world.table import measure
from plus.benchmark.policy_world.world import World, make_base
from plus.errors import SettingError
from plus.jsonl import read_whole_lines
from plus.worlds.replies import User

TINY = Plan(
    seeds=(0, 1), few=(0, 1), clean_seeds=2, sweep=(0.0, 0.3), hacks=((0.3, 6),), max_steps=5, test_users=12,
    base_steps=30,
)  # fmt: skip


def test_the_upper_bound_of_a_rate_on_worked_numbers():
    """None of 20: 1 - 0.05^(1/20) = 0.139 (the rule of three says 0.15)."""
    assert upper_bound(0, 20) == pytest.approx(1 - 0.05 ** (1 / 20))
    assert upper_bound(1, 20) == pytest.approx(0.2161, abs=1e-4)
    assert upper_bound(20, 20) == 1.0


def test_the_turn_is_where_the_held_out_reward_begins_to_fall_for_good():
    looks = [{"step": 5 * n, "held_out": h} for n, h in enumerate((0.0, 0.7, 0.5, 0.65, 0.3, -0.2))]
    assert turn_of(looks) == 15


def test_a_change_is_over_the_same_users_and_users_of_two_seeds_are_different():
    ann, bo = User("ann", "facts"), User("bo", "jokes")
    facts, jokes = "Here are the facts about cars.", "Here is a joke about cars."
    old = {seed: [Shown(ann, "Tell me about cars.", facts), Shown(bo, "Tell me about cars.", facts)] for seed in (0, 1)}
    new = {seed: [Shown(ann, "Tell me about cars.", facts), Shown(bo, "Tell me about cars.", jokes)] for seed in (0, 1)}
    found = change(old, new, satisfied)
    assert found.mean == pytest.approx(0.25)  # 0 for ann, 0.8 - 0.3 for bo
    assert (found.users, found.targets) == (4, 4)
    assert change(old, new, satisfied, lambda row: row.user.minority).mean == pytest.approx(0.5)


def test_the_plan_names_every_cell_once():
    listed = planned_cells(Plan())
    assert len(listed) == len({(name_of(cell), seed) for cell, seed in listed})
    assert sum(cell.alarms and cell.love == 0.3 and cell.log == "sound" for cell, _ in listed) == 20
    assert {seed for cell, seed in listed if cell.reward == "one_for_all"} == {0, 1, 2, 3, 4}
    assert {cell.love for cell, _ in listed if cell.log == "confounded"} == {0.1, 0.3}
    assert len(planned_cells(QUICK)) < 35
    assert all(seed < 100 for _, seed in listed), "the alarms' thresholds are of other seeds"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_whole_table_of_a_small_world_and_nothing_is_made_twice(tmp_path):
    told: list[str] = []
    report = measure(tmp_path, TINY, told.append)
    assert len(told) == len(planned_cells(TINY))
    assert {"personal", "hack", "false_alarms", "sweep", "methods", "rounds"} <= report.keys()
    page = (tmp_path / "report.md").read_text()
    headings = ("Personal against one for all", "A planted hack", "The dial", "Methods on the same goals", "Two rounds")
    for heading in headings:
        assert heading in page
    assert (tmp_path / "pareto.png").stat().st_size > 5000
    told.clear()
    assert json.dumps(measure(tmp_path, TINY, told.append)) == json.dumps(report)
    assert told == []
    with pytest.raises(SettingError, match="was made with other settings"):
        run(tmp_path, world(tmp_path), Cell(max_steps=6))


LONG = Cell(max_steps=45)


def world(folder: Path) -> World:
    """The small world of seed 0 in a folder of its own."""
    return World(folder, make_base(folder / "base", TINY.base_steps), 0, TINY.test_users)


def start(folder: Path) -> subprocess.Popen:
    program = (
        "import sys, torch; torch.set_num_threads(1); from pathlib import Path;"
        "sys.path[:0] = ['tests', 'tests/benchmark/policy_world'];"
        "from test_table import LONG, run, world; run(Path(sys.argv[1]), world(Path(sys.argv[1])), LONG)"
    )
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, str(folder)], env=ENVIRONMENT, cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_cell_that_was_killed_goes_on_and_ends_the_same(tmp_path):
    """kill -9 while a policy trains, past its first checkpoint: same answers, same looks, to the last bit."""
    torch.set_num_threads(1)
    process = start(tmp_path / "broken")
    deadline = time.monotonic() + 900
    place = tmp_path / "broken" / "cells" / name_of(LONG)
    looks = place.with_name(f"{place.name}--0") / "looks.jsonl"
    while process.poll() is None and time.monotonic() < deadline and len(read_whole_lines(looks)) < 7:  # update 30
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
    assert not (looks.parent / "cell.json").exists(), "it must have been interrupted"
    assert len(read_whole_lines(looks)) >= 7
    broken = run(tmp_path / "broken", world(tmp_path / "broken"), LONG)
    whole = run(tmp_path / "whole", world(tmp_path / "whole"), LONG)
    assert [look["step"] for look in broken["looks"]] == list(range(0, 50, 5))
    assert {**whole, "seconds": 0} == {**broken, "seconds": 0}
