"""The ablation's machinery on two small arms; what the arms teach is measured, not asserted here."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from plus.benchmark.ablation import ARMS, REFERENCE, Arm, run_ablation, updates_to
from plus.errors import EvidenceError, SettingError
from plus.worlds import pets

SMALL = {
    REFERENCE: Arm(users_per_step=4, max_steps=2),
    "PPO, value baseline": Arm(users_per_step=4, max_steps=2, num_generations=2, baseline="value"),
}


def users(seed: int):
    return pets.load(seed, train_users=16, pairs_per_user=2, test_pairs=10)


def test_cells_are_stored_and_not_run_again(tmp_path):
    told: list[tuple] = []
    first = run_ablation(tmp_path, users, [0], SMALL, on_cell=lambda *cell: told.append(cell))
    assert [(name, seed, stored) for name, seed, _, stored in told] == [(name, 0, False) for name in SMALL]
    cell = tmp_path / "cells" / "ppo-value-baseline-0"
    before = (cell / "predictions.jsonl").read_bytes()
    (tmp_path / "cells" / "plus-0" / "cell.json").unlink()  # as a crash before the end leaves it
    told.clear()
    again = run_ablation(tmp_path, users, [0], SMALL, on_cell=lambda *cell: told.append(cell))
    assert [stored for *_, stored in told] == [False, True]
    assert (cell / "predictions.jsonl").read_bytes() == before
    assert again["methods"] == first["methods"], "the same seed gives the same numbers"
    assert {"minus", "accuracy"} <= first["methods"]["PPO, value baseline"].keys()
    page = (tmp_path / "report.md").read_text()
    assert "## Controls of each arm" in page
    assert "| PPO, value baseline |" in page
    assert [row["step"] for row in map(json.loads, (cell / "metrics.jsonl").read_text().splitlines())] == [1, 2]


def test_cells_of_other_settings_are_not_mixed_in(tmp_path):
    only = {REFERENCE: SMALL[REFERENCE]}
    run_ablation(tmp_path, users, [0], only)
    with pytest.raises(SettingError, match="was made with other settings"):
        run_ablation(tmp_path, users, [0], {REFERENCE: replace(SMALL[REFERENCE], beta=0.5)})
    (tmp_path / "cells" / "plus-0" / "cell.json").write_text("{")
    with pytest.raises(EvidenceError, match="remove it and it is run again"):
        run_ablation(tmp_path, users, [0], only)


def test_a_static_model_does_not_move(tmp_path):
    import torch

    from plus.benchmark.ablation import train_arm
    from plus.models.language_model import LanguageModelSummarizer
    from plus.resources import shipped

    arm = replace(SMALL[REFERENCE], learning_rate=0.0)
    summarizer, reward_model = train_arm(arm, users(0), 0, shipped("tiny_base"), lambda step, metrics: None)
    fresh = LanguageModelSummarizer.from_pretrained(shipped("tiny_base")).model.state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in summarizer.model.state_dict().items())
    moved = reward_model.model.model.state_dict()
    assert not all(torch.equal(value, fresh[f"model.{name}"]) for name, value in moved.items())


def test_every_arm_changes_one_thing():
    pairs = {"static summarizer, static reward model"}
    for name, arm in ARMS.items():
        changed = [key for key, value in vars(arm).items() if value != vars(ARMS[REFERENCE])[key]]
        assert len(changed) == (0 if name == REFERENCE else 2 if name in pairs else 1), name


def test_how_fast_an_arm_learns_on_a_worked_log():
    """Five in a row average 0.9 for the first time at update 7 (0.8 0.8 0.9 1 1); a shorter log never does."""
    log = [{"step": n + 1, "accuracy": a} for n, a in enumerate((1.0, 0.5, 0.8, 0.8, 0.9, 1.0, 1.0, 0.1))]
    assert updates_to(log) == 7
    assert updates_to(log[:4]) is None
