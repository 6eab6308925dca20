"""The measuring itself: both sides do the same work, the parts add up, and operations are counted right."""

from __future__ import annotations

import pytest
import torch
from speed import measure
from speed.flops import flops
from speed.report import table
from speed.setup import ANSWER_TOKENS, Setup, histories, tokenizer

SMALL = Setup(context=48, users=2, num_generations=2, summary=4)


def test_stock_and_ours_train_on_the_same_texts_and_end_at_the_same_weights(tmp_path):
    """One step of each from one seed: the same samples, rewards to rounding, and the same summarizer after it."""
    rows, after, kept = histories(SMALL, seed=1), {}, {}
    for name in measure.SIDES:
        side = measure.Side(name, SMALL, tmp_path)
        sampled = side.trainer._generate_single_turn
        side.trainer._generate_single_turn = lambda *a, name=name, call=sampled, **k: kept.setdefault(
            name, call(*a, **k)
        )
        torch.manual_seed(7)
        side.step(rows)
        after[name] = {key: p.detach().clone() for key, p in side.trainer.model.named_parameters()}
        assert set(side.seconds) == {"generation", "logprobs", "reward", "step"}
        parts = sum(side.seconds[part][0] for part in ("generation", "logprobs", "reward"))
        assert 0 < parts <= side.seconds["step"][0]
        assert name == "stock" or side.trainer.sharing.on is (name == "ours")
    assert kept["stock"][0] == kept["ours"][0] == kept["same_head"][0]
    assert [len(ids) for ids in kept["ours"][0]] == [4] * 4
    for name in ("ours", "same_head"):
        for key, tensor in after["stock"].items():
            torch.testing.assert_close(after[name][key], tensor, rtol=0, atol=3e-6, msg=f"{name} {key}")


def test_rows_have_the_lengths_they_say():
    words, rows = tokenizer(SMALL), histories(SMALL, seed=0)
    assert [len(words(row["prompt"])["input_ids"]) for row in rows] == [48] * 4
    assert rows[0]["prompt"] == rows[1]["prompt"] != rows[2]["prompt"]
    answers = [row["pairs"][0][which] for row in histories(Setup(8, users=64), 0) for which in ("chosen", "rejected")]
    lengths = [len(words(answer)["input_ids"]) for answer in answers]
    assert ANSWER_TOKENS[0] <= min(lengths) < 32 and 128 < max(lengths) <= ANSWER_TOKENS[1]
    assert histories(SMALL, seed=0) == rows != histories(SMALL, seed=1)


def test_operations_on_worked_numbers():
    """Two users of two texts of four tokens, histories of 48: by hand, for the small Llama of the bench."""
    weights = 4 * (4 * 128 * 128 + 3 * 128 * 384)
    history = 48 * (2 * weights + 4 * 4 * 128 * 24)
    text = 4 * (2 * weights + 4 * 4 * 128 * 50)
    head = 4 * 2 * 128 * 8192
    assert flops(SMALL, once=True) == pytest.approx(5 * (2 * history + 4 * text + 4 * head))
    assert flops(SMALL, once=False) == pytest.approx(5 * (4 * history + 4 * text + 4 * head))


def test_the_table_shows_what_was_measured():
    seconds = {part: 4.0 for part in measure.PARTS}
    row = {
        "seconds": {"stock": seconds, "ours": {part: 1.0 for part in measure.PARTS}, "same_head": seconds},
        "range": {name: {part: [0.5, 4.5] for part in measure.PARTS} for name in measure.SIDES},
        "generation_ratio": 4.0, "logprob_ratio": 4.0, "reward_ratio": 4.0, "step_ratio": 4.0,
        "logprob_ratio_same_head": 4.0, "peak_bytes": {"stock": 2**30, "ours": 2**29}, "memory_ratio": 2.0,
        "share_of_peak": {"stock": 0.1, "ours": None},
    }  # fmt: skip
    lines = table(1024, row).splitlines()
    assert lines[0] == "| 1,024 | generation | 4.00 (0.50 to 4.50) | 1.00 (0.50 to 4.50) | 4.0 |"
    assert "| 1,024 | peak memory | 1,024 MiB | 512 MiB | 2.0 |" in lines
    assert lines[-1] == "| 1,024 | share of the card's peak | 10.0% | unknown card | |"
