"""What a run will take: tokens and bytes counted by hand, micro-batches that change nothing, memory that is short."""

from __future__ import annotations

import pytest
import torch
from support.decoders import SHARING, decoder
from support.running import data_of
from support.trainers import config, population

from plus.jsonl import read_whole_lines
from plus.models.language_model import LanguageModelSummarizer
from plus.resources import shipped
from plus.train import estimate, run_folder
from plus.train import run as training
from plus.train import settings as options
from plus.train.run_folder import PARTS, line


def test_the_tokens_of_an_update_are_counted(tmp_path):
    """4 users x 4 summaries of 16 tokens; contexts of 100 tokens on average; 2 pairs a user, 2 answers a pair."""
    found = estimate.work(config(tmp_path, pairs_per_user=2, reward_max_length=60), [80, 120])
    assert (found.users, found.summaries, found.context_tokens, found.summary_tokens) == (4, 16, 400, 256)
    assert found.scored == 656
    assert found.reward_tokens == 16 * 2 * 2 * 60


def test_the_bytes_of_a_graph_are_those_that_backward_needs():
    """A linear layer keeps its input, and a graph of half the layers keeps half."""

    class Backbone(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.config = decoder(SHARING["llama"]).config
            self.words = torch.nn.Embedding(61, 16).requires_grad_(False)
            self.linear = torch.nn.Linear(16, 8)
            self.base_model = lambda input_ids: type(
                "Out", (), {"last_hidden_state": self.linear(self.words(input_ids))}
            )

    assert estimate.kept_bytes(Backbone(), tokens=10) == 16 * 4
    model = decoder(SHARING["llama"])
    whole = estimate.kept_bytes(model)
    assert whole > 2 * 4 * (16 + 2 * 32), "two layers keep at least their inputs and their MLPs"
    assert estimate.kept_bytes(model, [1]) == pytest.approx(whole / 2)
    assert estimate.kept_bytes(model, tokens=32) == pytest.approx(whole, rel=0.1)


def test_micro_batches_are_the_fewest_of_whole_users_that_fit(tmp_path, monkeypatch):
    args = config(tmp_path, per_device_train_batch_size=24)  # 6 users
    found = estimate.Work(users=6, summaries=24, context_tokens=500, summary_tokens=100, reward_tokens=0)
    assert [estimate.micro_batches(args, found, kept * estimate.ROOM / 600) for kept in (0.9, 1.1, 2.5, 3.5, 50)] == [
        1, 2, 3, 6, 6,
    ]  # fmt: skip
    monkeypatch.setattr(args, "gradient_accumulation_steps", 2)
    assert estimate.micro_batches(args, found, estimate.ROOM) == 1, "the user cuts already"


def run(tmp_path, monkeypatch, room: float):
    monkeypatch.setattr(estimate, "ROOM", room)
    settings = options.resolve({
        "preset": "tiny", "dataset_name": "pets", "output_dir": str(tmp_path), "max_steps": 2, "optim": "sgd",
        "per_device_train_batch_size": 16, "learning_rate": 0.1, "save_strategy": "no", "lr_scheduler_type": "constant",
    })  # fmt: skip
    said: list[str] = []
    trained = training.train(settings, population(), said.append)
    return trained.summarizer.model.state_dict(), read_whole_lines(tmp_path / "metrics.jsonl"), said


def test_an_update_in_micro_batches_is_the_same_update(tmp_path, monkeypatch):
    whole, metrics, said = run(tmp_path / "whole", monkeypatch, 1e12)
    cut, metrics_cut, said_cut = run(tmp_path / "cut", monkeypatch, 2e6)
    assert not any("micro-batches" in line for line in said)
    assert "micro-batches 4 of 4 summaries an update, equal in effect, so that their activations fit" in said_cut
    start = LanguageModelSummarizer.from_pretrained(shipped("tiny_base")).model.state_dict()
    assert max((whole[name] - start[name]).abs().max() for name in start) > 1e-3, "it moved"
    for name, weight in whole.items():
        torch.testing.assert_close(cut[name], weight, rtol=0, atol=2e-6, msg=name)
    assert [row["reward"] for row in metrics] == pytest.approx([row["reward"] for row in metrics_cut], abs=1e-5)


def test_seconds_of_each_part_are_logged_and_said_once(tmp_path, monkeypatch):
    _, metrics, said = run(tmp_path, monkeypatch, 1e12)
    for row in metrics:
        assert {f"seconds_{name}" for name in PARTS} <= row.keys()
        assert all(row[f"seconds_{name}"] > 0 for name in ("writing", "reference", "reward_model", "policy"))
    assert metrics[0]["seconds_check"] > metrics[1]["seconds_check"], "the check runs once"
    (first,) = [line for line in said if line.startswith("the first update took")]
    assert " s: " in first and sum(line.startswith("the first update") for line in said) == 1
    assert {f"seconds_{name}" for name in PARTS} <= set(run_folder.TIMING)


def test_a_line_of_seconds_adds_up():
    assert line({"writing": 12.0, "reward_model": 3.04, "check": 0.0}) == "15.0 s: writing 12.0, reward model 3.0"


def test_seconds_are_tokens_times_speed():
    found = estimate.Work(users=2, summaries=8, context_tokens=100, summary_tokens=40, reward_tokens=50)
    took = estimate.seconds(found, estimate.Speed(0.1, 0.3, 0.2, 0), estimate.Speed(0.01, 0.02, 0, 0))
    assert took == pytest.approx(
        {"writing": 18.0, "reference": 14.0, "reward_model": 1.0, "policy": 42.0, "check": 0.0}
    )


def test_too_little_memory_is_said_before_a_run(tmp_path, monkeypatch, plus_here):
    """4 GB for a model whose copies need more."""
    summarizer, reward_model = torch.nn.Linear(10_000, 10_000), torch.nn.Linear(10_000, 10_000)
    args = config(tmp_path)
    held = estimate.resident(summarizer, reward_model, args)
    assert held["weights"] == 2 * 4 * 100_010_000 and held["gradient and Adam"] == 3 * held["weights"]
    assert held["reference"] == 4 * 100_010_000
    summarizer.weight.requires_grad_(False)
    assert estimate.resident(summarizer, reward_model, args)["reference"] == 0.0, "adapters off are no copy"
    command = ["train", "--dataset_name", "pets", "--preset", "tiny", "--output_dir", tmp_path / "r", "--dry-run"]
    status, out, err = plus_here(*command)
    assert status == 0 and data_of(out)["max_steps"] == 40
    assert "an update takes about" in err and "GiB: program" in err and "will not fit" not in err
    monkeypatch.setattr(estimate, "memory", lambda: 0.5 * estimate.GIB)
    status, out, err = plus_here(*command)
    assert status == 0 and "it will not fit: about" in err and "0.5 GiB are there; lower --max_prompt_length" in err
    assert not (tmp_path / "r").exists()


def test_a_model_that_is_not_here_has_no_estimate(tmp_path, plus_here):
    command = ["train", "--dataset_name", "pets", "--model_name_or_path", "none/such", "--output_dir", tmp_path / "r"]
    status, _, err = plus_here(*command, "--dry-run")
    assert status == 0 and "no estimate: none/such is not on this machine" in err


def test_passes_are_timed_per_token(monkeypatch):
    """Every pass takes two seconds by this clock: 64 tokens a pass, three texts a step of writing."""
    monkeypatch.setattr(estimate, "_fastest", lambda run, budget: (run(), 2.0)[1])
    found = estimate.speed(decoder(SHARING["llama"]), writers=3)
    assert (found.read, found.learned, found.written) == (2 / 64, 2 / 64, 2 / 3)
    assert found.kept == estimate.kept_bytes(decoder(SHARING["llama"]))


def test_the_fastest_of_several_calls_counts(monkeypatch):
    times = iter([0.0, 1.0, 4.0, 4.5, 5.0, 7.0, 9.0])
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(times))
    assert estimate._fastest(lambda: None, budget=5.0) == 2.0, "3 and 2 seconds, after one call that warms up"
