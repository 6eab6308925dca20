"""Every method of the real-people benchmark runs on shipped votes, is judged on the same rows, and twice alike."""

from __future__ import annotations

import dataclasses
import json
import sys

import pytest
import torch
from support import running
from support.words import embeddings, encode

from plus.benchmark import real_people
from plus.benchmark.embedding_methods import SETTINGS, EmbeddingMethods, data_of
from plus.errors import SettingError, SourceError
from plus.measures import margin
from plus.resources import shipped
from plus.sources.folds import Fold
from plus.train import loop, select, select_run
from plus.types import Dropped, Population
from plus.worlds import pets

QUICK = dataclasses.replace(
    SETTINGS["polis"], max_steps=4, eval_steps=2, users_per_step=4, num_generations=2, uniform=1
)


@pytest.fixture(scope="module")
def folds():
    return real_people.load_folds("polis", shipped("polis_sample"), Dropped())


def test_every_method_judges_every_test_choice_with_its_controls(folds):
    fold = folds[0]
    methods = EmbeddingMethods(embeddings(), QUICK, ks=(2,)).methods()
    size = len(fold.population.split("test"))
    names = set()
    with pytest.raises(SourceError, match="has no true personas, so there is no oracle"):
        methods.pop("oracle")(fold, 0)  # The cell says so, and the rest is computed.
    for name, method in methods.items():
        rows = method(fold, 0)
        found = {row.method for row in rows}
        names |= found
        assert name in found
        assert len(rows) == size * len(found)
        assert {row.group.split(",")[0] for row in rows} == {"new users"}
    personal = {"vpl", "low_rank", "in_context", "random_2", "last_2", "surprise_2", "untrained_2", "extractive_2"}
    assert {f"{name}, shuffled" for name in personal} <= names
    assert {"extractive_2, read by random_2", "extractive_2, read by in_context", "extractive_text_2"} <= names
    assert "bradley_terry, shuffled" not in names


def test_the_same_seed_gives_the_same_predictions_and_another_seed_others(folds):
    fold = folds[-1]  # new answers: these borrow
    assert fold.group == "new answers"
    first = EmbeddingMethods(embeddings(), QUICK).read("extractive_4", fold, 0)
    assert EmbeddingMethods(embeddings(), QUICK).read("extractive_4", fold, 0) == first
    assert EmbeddingMethods(embeddings(), QUICK).read("extractive_4", fold, 1) != first


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


FEW = {"max_steps": 4, "eval_steps": 2, "users_per_step": 4, "num_generations": 2, "uniform": 1}


@pytest.mark.parametrize(
    ("sample", "budget"), [("polis_sample", FEW), pytest.param("polis_taxes", {}, marks=pytest.mark.slow)]
)
def test_plus_train_gives_the_numbers_of_the_benchmarks_cell(sample, budget, tmp_path, one_thread):
    """The run of `plus train` on a fold's people, with its own defaults, beside the method of the benchmark.

    On one thread and the same embeddings, since a sum in another order is another selection some updates later.
    """
    fold = real_people.load_folds("polis", shipped(sample), Dropped())[0]
    examples = fold.population.split("test")
    past, pairs = [example.history for example in examples], [example.target for example in examples]
    given = {"dataset_name": "polis", "data_dir": str(shipped(sample)), "output_dir": str(tmp_path / "run"), "seed": 0}
    people = dataclasses.replace(fold.population, events=fold.events)
    found, _, table, _ = select_run.train(select_run.resolve(given | budget), people, lambda line: None)
    found.summarizer.trusted = True  # As in the benchmark's table, which shows the learned selection.
    texts = select.once(found.summarizer.summarize, past)
    run = [margin(value) for value in found.reward_model.log_likelihood(texts, pairs)]
    settings = dataclasses.replace(SETTINGS["polis"], **budget)

    def cell(seed: int) -> list[float]:
        trained = EmbeddingMethods(table, settings, ks=(8,)).trained("extractive_8", fold, seed)
        return list(trained.margins(past, pairs).margins)

    same, other = cell(0), cell(1)
    ours, theirs = (sum(value > 0 for value in values) / len(pairs) for values in (run, same))
    assert len(pairs) > 50 and ours == pytest.approx(theirs, abs=0.01)
    gap, of_seeds = (max(abs(a - b) for a, b in zip(one, same, strict=True)) for one in (run, other))
    assert gap < 0.01 * of_seeds, "another seed is another run"


def test_the_training_never_meets_a_test_user(folds, monkeypatch):
    """A planted spy on re-cutting: every event that training reads is a training user's."""
    fold, asked = folds[0], []
    real = select.resample

    def spy(events, *rest):
        asked.append(events)
        return real(events, *rest)

    monkeypatch.setattr(select, "resample", spy)
    EmbeddingMethods(embeddings(), QUICK).read("random_4", fold, 0)
    tested = set(fold.population.users("test")) | set(fold.population.users("validation"))
    assert asked
    assert all(events in fold.events.values() for events in asked)
    assert not tested & set(fold.events)


def test_a_fold_with_nothing_to_train_on_or_to_predict_says_so(folds):
    empty = Fold("empty", "new users", Population("empty", (), {}))
    with pytest.raises(SourceError, match="no user to train on"):
        EmbeddingMethods(embeddings(), QUICK).read("bradley_terry", empty, 0)
    with pytest.raises(SourceError, match="no choice to predict"):
        EmbeddingMethods(embeddings(), QUICK).methods()["majority"](empty, 0)


def test_sources_name_what_they_take():
    with pytest.raises(SettingError, match="llmfao, polis, spi, ukpconvarg1"):
        real_people.load_folds("nonsense", "x", Dropped())
    with pytest.raises(SettingError, match="--data_dir"):
        real_people.load_folds("polis", None, Dropped())
    dropped = Dropped()
    found = real_people.load_folds("llmfao", shipped("llmfao_sample"), dropped)
    assert {fold.group for fold in found} == {"same users", "new users", "new prompts"}
    assert dropped


def test_the_command_prints_a_table_leaves_a_report_and_continues(plus_here, tmp_path, monkeypatch):
    from plus.models import embeddings as module

    monkeypatch.setattr(module, "minilm", lambda: encode)
    arguments = [
        "benchmark",
        "--dataset_name",
        "polis",
        "--data_dir",
        shipped("polis_sample"),
        "--output_dir",
        tmp_path / "b",
    ]
    status, out, err = plus_here(*arguments, "--methods", "majority,longer_wins,constant", "--seeds", "1", "--json")
    assert status == 0, err
    report = running.data_of(out)
    assert report["dataset"] == "polis/polis_sample", "by which its goals are found, wherever the folder lies"
    row = report["groups"]["new users"]["rows"]
    assert row["constant"]["all"][0] == 0.5
    assert row["majority"]["all"][0] > 0.5
    assert json.loads((tmp_path / "b" / "report.json").read_text()) == report
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "b" / "cells").iterdir()}
    status, out, err = plus_here(*arguments, "--methods", "majority,constant", "--seeds", "1")
    assert status == 0, err
    assert "| majority |" in out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "b" / "cells").iterdir()} == cells


def test_without_the_sentence_model_what_needs_it_says_so_and_the_rest_is_computed(plus_here, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)  # as where the extra is not installed
    status, out, err = plus_here(
        "benchmark", "--dataset_name", "polis", "--data_dir", shipped("polis_sample"), "--output_dir", tmp_path,
        "--methods", "majority,vpl", "--seeds", "1",
    )  # fmt: skip
    assert status == 0, err
    assert "| vpl | - (see below) | | | |" in out
    assert (
        "- vpl, 6 cells: sentence embeddings need sentence-transformers; pip install 'plus-preferences[embed]'" in out
    )
    rows = json.loads((tmp_path / "report.json").read_text())["groups"]["new users"]["rows"]
    assert rows.keys() == {"majority"} and rows["majority"]["all"][0] > 0.5


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["--dataset_name", "nonsense"],
            "--dataset_name is 'nonsense'; plus benchmark takes llmfao, polis, spi, ukpconvarg1",
        ),
        (["--dataset_name", "polis"], "give their folder with --data_dir"),
        (["--dataset_name", "polis", "--data_dir", "/nowhere"], "there is no folder /nowhere"),
    ],
)
def test_mistakes_are_one_line(plus_here, arguments, complaint):
    status, out, err = plus_here("benchmark", *arguments)
    assert (status, out) == (2, "")
    assert complaint in err
    assert len(err.strip().splitlines()) == 1


def test_another_writers_texts_are_read_in_the_loss_alone(base, reward_model):
    rows = pets.load(0, 4, 2, 1).contexts("train")
    reference, read = base.reference(), []

    def other(histories):
        read.append(len(histories))
        return ["one more"] * 2 * len(histories)

    both = select.TwoWriters(
        lambda batch, count: base.sample(batch, count, reference), other,
        reward_model, torch.optim.SGD(reward_model.model.parameters(), lr=0.0),
    )  # fmt: skip
    still = torch.optim.SGD(base.model.parameters(), lr=0.0)
    loop.train(both.sample, still, both, loop.shuffled(rows, 4, seed=0), 2, num_generations=2)
    assert read == [4, 4]
    last = [row for row, _ in both.last]
    assert [row.text for row in last[8:]] == ["one more"] * 8
    assert [row.user_id for row in last[8:]] == [row.user_id for row in last[:8:2]] * 2
    assert [row.pairs for row in last[8:]] == [row.pairs for row in last[:8:2]] * 2


def test_each_users_events_are_cut_anew_each_time_they_come_up(folds):
    fold = folds[0]
    everyone = dataclasses.replace(QUICK, users_per_step=len(fold.events))
    batches = select.batches(data_of(fold), everyone, 0)
    first, second = ({c.history.user_id: c for c in next(batches)} for _ in range(2))
    assert first.keys() == second.keys()
    assert any(first[user] != second[user] for user in first)
