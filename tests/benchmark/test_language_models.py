"""Methods of the benchmark with language models on a few users: the same rows, resumable, reasons where none can be."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from support.running import data_of

from plus.baselines import untrained
from plus.benchmark import bases, cells
from plus.benchmark.bases import OWN_BASES, own_base, shipped_base
from plus.benchmark.language_model_tables import missing, page, write_report
from plus.benchmark.language_models import CURVE, Budget, LanguageModelMethods, compute
from plus.worlds import pets, styles

SMALL = Budget(2, head_steps=3, long_steps=4)
PERSONAL = {"vpl", "low_rank", "in_context", "in_context_long", "untrained", "untrained_best_of_5", "oracle", "plus"}


def few_pets(seed: int):
    return pets.load(seed, train_users=48, pairs_per_user=2, test_pairs=12)


def few_chats(seed: int):
    return styles.load_unlabelled(seed, train_users=48, pairs_per_user=2, test_pairs=12)


def subject(folder: Path, name: str = "pets", load=few_pets) -> LanguageModelMethods:
    return LanguageModelMethods(name, folder, SMALL, shipped_base, lambda line: None, load)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All methods on a few pets, one seed: (folder, subject, results)."""
    folder = tmp_path_factory.mktemp("synthetic") / "pets"
    mine = subject(folder)
    return folder, mine, compute(mine, [3], list(mine.methods()), "shipped")


def test_every_method_judges_every_test_choice_with_its_shuffled_user(whole):
    _, mine, results = whole
    assert not results.missing
    keys = {(p.user_id, p.example) for p in results.of("constant")}
    assert len(keys) == 24
    for name in mine.methods():
        own, shuffled = results.of(name), results.of(f"{name}, shuffled")
        assert {(p.user_id, p.example) for p in own} == keys, name
        assert bool(shuffled) == (name in PERSONAL), name
        assert not shuffled or {(p.user_id, p.example) for p in shuffled} == keys
    assert {user.split("/")[0] for user, _ in keys} == {"3"}, "users of two seeds are different people"
    for name in ("constant", "longer_wins", "bradley_terry", "dpl_mean_variance", "dpl_categorical"):
        assert sum(p.right for p in results.of(name)) == 12, f"{name} cannot know these mirrored users"
    assert {p.group for p in results.of("plus" + CURVE)} == {"0", "1", "2", "3"}


def test_the_same_seed_gives_the_same_predictions_and_another_seed_others(tmp_path):
    names = ["vpl", "untrained"]
    rows = [compute(subject(tmp_path / str(n)), [seed], names, "shipped") for n, seed in enumerate((1, 1, 2))]
    for name in names:
        first, again, other = (found.of(name) for found in rows)
        assert first == again
        assert [p.margin for p in first] != [p.margin for p in other]


def test_an_interrupted_run_of_plus_continues(whole, tmp_path):
    *_, results = whole
    mine = subject(tmp_path / "pets")
    compute(mine, [3], [], "shipped")
    run = tmp_path / "pets" / "runs" / "pets-3"
    run.mkdir(parents=True)
    (run / ".config.json.partial").write_text("{")  # killed while the run's folder was made
    stopped = compute(mine, [3], ["plus"], "shipped")
    assert stopped.of("plus") == results.of("plus")
    for path in (tmp_path / "pets" / "cells").iterdir():  # killed after training, before the cell was written
        path.unlink()
    assert compute(mine, [3], ["plus"], "shipped").of("plus") == results.of("plus")
    spent = map(json.loads, (tmp_path / "pets" / "seconds.jsonl").read_text().splitlines())
    assert [row["what"] for row in spent] == ["plus, pets, seed 3"] * 2


def test_prompts_are_chosen_by_training_users_alone(tmp_path, monkeypatch):
    asked: list[list[str]] = []
    real = untrained.summaries

    def spy(population, summarizer, seed=0, instruction="", users=None):
        asked.append([instruction, *(users if users is not None else population.histories)])
        return real(population, summarizer, seed, instruction, users)

    monkeypatch.setattr(untrained, "summaries", spy)
    population = few_pets(0)
    texts = subject(tmp_path).texts("untrained_best_of_5", population, 0)
    tried = asked[1:-1]  # the first are the default prompt's, the last the chosen one's
    assert len(tried) == 5
    assert all(set(users) <= set(population.users("train")) for _, *users in tried)
    assert asked[-1][0] in {instruction for instruction, *_ in tried}
    assert texts.keys() == population.histories.keys()


def test_what_cannot_read_chats_without_a_choice_says_so_and_the_rest_is_computed(tmp_path):
    mine = subject(tmp_path / "chats", "styles_unlabelled", few_chats)
    names = ["vpl", "low_rank", "dpl_categorical", "oracle"]
    results = compute(mine, [0], names, "shipped")
    report = write_report(tmp_path / "chats", results, names, "chats", ["a note"], mine.best_possible([0]))
    assert report["missing"].keys() == {"vpl", "low_rank"}
    text = (tmp_path / "chats" / "report.md").read_text()
    assert "| vpl | - (see below) |" in text
    assert "- vpl: vpl reads past choices, and the contexts of styles_unlabelled hold none" in text
    assert "| oracle | " in text
    best = report["best_possible"]
    assert report["methods"]["oracle"]["minus_best"]["mean"] == pytest.approx(
        report["methods"]["oracle"]["accuracy"]["mean"] - best
    )


def test_the_page_holds_differences_controls_and_denominators(whole):
    folder, mine, results = whole
    report = write_report(folder, results, list(mine.methods()), "pets", ["few users"])
    assert json.loads((folder / "report.json").read_text()) == report
    ours, theirs = (report["methods"][name]["accuracy"]["mean"] for name in ("plus", "oracle"))
    assert report["differences"]["plus - oracle"]["mean"] == pytest.approx(ours - theirs)
    text = (folder / "report.md").read_text()
    assert "| plus - in_context | " in text
    assert "| oracle | " in text
    assert "| 24 | 24 | 1 |" in text, "users, choices and seeds are printed"
    assert "- every method: 24 of 24 users have a single choice" in text
    assert "| plus | 3 | " in text, "the learning curve"
    for name in ("accuracy", "reliability", "learning_curve", "summary_gain", "length"):
        assert (folder / f"{name}.png").exists()
    assert report["cpu_seconds"].keys() == mine.methods().keys()


def test_a_cell_that_is_missing_among_others_is_named():
    results = cells.Results()
    results.cells["vpl"] = [Path("x")]
    results.missing = {"vpl, pets, seed 1": "no rows", "low_rank, pets, seed 1": "no rows", "odd, pets, seed 0": "-"}
    assert missing(results, ["vpl", "low_rank"]) == {"vpl, pets, seed 1": "no rows", "low_rank": "no rows"}
    empty = {"title": "t", "notes": [], "best_possible": None, "missing": {"vpl": "why"}}
    empty |= {name: {} for name in ("methods", "differences", "learning_curve", "cpu_seconds")}
    assert "- vpl: why" in page(empty)


def test_a_base_is_made_once_for_each_seed(tmp_path, monkeypatch):
    from plus.resources import shipped

    made = []

    def make(folder, source, seed, on_step):
        made.append((source, seed))
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(bases, "make", make)
    base_of = own_base("styles_unlabelled", tmp_path, print)
    assert base_of(1) == base_of(1) == tmp_path / "styles-1"
    assert made == [("styles", 1)]
    assert own_base("pets", tmp_path, print)(0) == shipped("tiny_base"), "which is that very recipe and seed"
    (row,) = (tmp_path / "seconds.jsonl").read_text().splitlines()
    assert json.loads(row)["what"] == "styles, seed 1"
    assert OWN_BASES


def test_a_folder_of_other_settings_is_refused(tmp_path):
    from plus.errors import RunError

    compute(subject(tmp_path), [0], ["constant"], "shipped")
    with pytest.raises(RunError, match="bases 'shipped' and this one has 'other'"):
        compute(subject(tmp_path), [0], ["constant"], "other")


@pytest.mark.slow
def test_every_method_with_models_and_rows_of_ones_own(plus_here, tmp_path):
    """`--config`: real people keep one name over seeds, and what the rows cannot give is said."""
    rows = []
    for user, day in itertools.product(range(24), range(6)):
        ours, theirs = ("cats", "dogs") if user % 2 else ("dogs", "cats")
        answers = {"chosen": f"We saw {ours} on day {day}.", "rejected": f"We saw {theirs} on day {day}."}
        rows.append({"user_id": f"u{user}", "prompt": f"Tell me about day {day}.", **answers})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mine.yaml").write_text("preset: tiny\nmax_steps: 2\nsave_steps: 2\nper_device_train_batch_size: 16\n")
    arguments = ["benchmark", "--dataset_name", tmp_path / "rows.jsonl", "--config", tmp_path / "mine.yaml"]
    arguments += ["--seeds", "2"]
    names = "constant,bradley_terry,untrained_best_of_5,vpl,plus,oracle"
    status, out, err = plus_here(*arguments, "--methods", names, "--output_dir", tmp_path / "out", "--json")
    assert status == 0, err[-2000:]
    report = data_of(out)
    assert report["methods"].keys() == set(names.split(",")) - {"oracle"}
    assert "has no true personas" in report["missing"]["oracle"]
    card = report["methods"]["plus"]
    assert card["seeds"] == 2 and card["shuffled"]
    held = {p["user_id"] for path in (tmp_path / "out" / "cells").glob("*plus*") for p in cells.read(path)}
    assert held <= {f"u{user}" for user in range(24)}, "one person is one user, whatever the seed"
    assert {path.name for path in (tmp_path / "out" / "runs").iterdir()} == {"out-0", "out-1"}
    assert "preset" in json.loads((tmp_path / "out" / "benchmark.json").read_text())["options"]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--dry-run"], "--dry-run prints the options of --config FILE; give one"),
        (["--config", "x.yaml", "--quick"], "--config names its own models; leave out --quick"),
        (["--ablation", "--methods", "plus"], "scripts/ablation.py takes --arms"),
        (["--config", "nowhere.yaml"], "nowhere.yaml cannot be read"),
    ],
)
def test_a_mistaken_config_is_one_line(plus_here, flags, complaint):
    status, out, err = plus_here("benchmark", "--dataset_name", "pets", *flags)
    assert (status, out) == (2, "")
    assert complaint in err and len(err.strip().splitlines()) == 1
