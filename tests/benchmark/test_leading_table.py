"""Leading table: differences by hand, their corrected level, tokens, and the command from rows to report."""

from __future__ import annotations

import dataclasses
import json

import pytest
from scipy.stats import t as student
from support.own_rows import choices, likes, written
from support.running import data_of
from support.words import encode

from plus.benchmark import embedding_methods, leading_table
from plus.evaluate.intervals import corrected
from plus.evaluate.predictions import Prediction


class Held:
    """Results in memory: what share of a hundred users' two choices each method predicts right."""

    def __init__(self, right: dict[str, int], tokens: dict[str, int]) -> None:
        self.right, self.tokens = right, tokens

    def of(self, name: str) -> list[Prediction]:
        return [
            Prediction(
                name, 0, f"u{n}", f"f {m}", 1.0 if n < self.right[name] else -1.0, None, "new users" + slice_, count
            )
            for n in range(100 if name in self.right else 0)
            for m, slice_ in enumerate(("", ", controversial"))
            for count in [self.tokens.get(name)]
        ]


FOUND = Held(
    {
        "extractive_8": 80, "extractive_8, shuffled": 60, "in_context": 85, "in_context, shuffled": 60,
        "in_context_cut_8": 70, "in_context_cut_8, shuffled": 61, "bradley_terry": 62,
    },
    {"extractive_8": 100, "in_context": 300, "in_context_cut_8": 90},
)  # fmt: skip


def test_differences_levels_and_tokens_by_hand():
    table = leading_table.leading(FOUND, 8, ["new users", "same users"])
    assert table.keys() == {"new users"}, "no table of a group that nobody predicted"
    found = table["new users"]
    assert list(found["rows"]) == ["in_context", "in_context_cut_8", "bradley_terry"], "random_8 was not run"
    # Three opponents, own and another user's text, all and controversial choices.
    assert found["comparisons"] == 12
    assert found["level"] == pytest.approx(1 - 0.05 / 12)
    mean, low, high, users, targets = found["rows"]["in_context_cut_8"]["own"]["controversial"]
    # 10 of 100 users gain 1: Student's t at the corrected level, since a bootstrap has too few draws there.
    half = student.ppf(1 - 0.025 / 12, 99) * (0.1 * 0.9 / 99) ** 0.5
    assert (mean, users, targets) == (pytest.approx(0.1), 100, 100)
    assert (low, high) == (pytest.approx(0.1 - half), pytest.approx(0.1 + half))
    assert found["rows"]["bradley_terry"]["another user's"]["all"][0] == pytest.approx(-0.02)
    assert found["rows"]["in_context"]["tokens"] == [100, 300]
    assert found["rows"]["bradley_terry"]["tokens"] == [100, None]


def test_the_page_says_which_method_plus_is_and_how_it_was_corrected():
    text = "\n".join(leading_table.section(leading_table.leading(FOUND, 8, ["new users"]), 8))
    assert text.startswith("## plus (extractive_8) beside what it has to beat")
    assert (
        text.index("plus - in_context |") < text.index("plus - in_context_cut_8") < text.index("plus - bradley_terry")
    )
    assert "| 100 / 300 |" in text
    assert "| 100 / 0 |" in text
    assert "new users: 12 intervals, each at the 99.58% level" in text
    assert corrected(1) == pytest.approx(0.95)


@pytest.fixture
def quick(monkeypatch):
    from plus.models import embeddings as module

    monkeypatch.setattr(module, "minilm", lambda: encode)
    small = dataclasses.replace(embedding_methods.OWN_ROWS, max_steps=4, eval_steps=2, users_per_step=4)
    monkeypatch.setattr(embedding_methods, "OWN_ROWS", small)


def test_a_file_becomes_a_report_that_leads_with_plus_and_goes_on_with_the_same_rows_alone(plus_here, tmp_path, quick):
    rows = choices(9, 20)
    for row in rows:
        row["who"] = row.pop("user_id")
    source = written(tmp_path / "my.jsonl", rows)
    arguments = ["benchmark", source, "--user_id_column", "who", "--output_dir", tmp_path / "b", "--seeds", "1"]
    arguments += ["--split_by", "users"]
    methods = "bradley_terry,in_context,random_8,extractive_8,in_context_cut_8"
    status, out, err = plus_here(*arguments, "--methods", methods)
    assert status == 0, err
    assert out.startswith("# my\n\n## plus (extractive_8) beside what it has to beat")
    assert "same users: left out, --split_by users" in out
    report = json.loads((tmp_path / "b" / "report.json").read_text())
    row = report["leading"]["new users"]["rows"]["in_context_cut_8"]
    plus, cut = row["tokens"]
    assert plus - 12 < cut <= plus, "at most the summary's tokens, and less than a line from them"
    assert report["leading"]["new users"]["rows"]["in_context"]["tokens"][1] > plus
    # The same command computes nothing; other rows are refused.
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "b" / "cells").iterdir()}
    status, out, err = plus_here(*arguments, "--methods", methods, "--json")
    assert data_of(out) == report
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "b" / "cells").iterdir()} == cells
    written(tmp_path / "my.jsonl", rows[1:])
    status, out, err = plus_here(*arguments, "--methods", methods)
    assert status != 0
    assert "holds a benchmark with rows '" in err


@pytest.mark.parametrize(
    ("rows", "more", "complaint"),
    [
        (choices(1, 30), [], "holds the rows of one user ('user_id' has one value)"),
        (choices(8, 9), ["--user_id_column", "prompt"], "holds the rows of one user ('prompt' has one value)"),
        (likes(True), [], "holds no choice to predict (9 likes and 0 dislikes)"),
        (choices(8, 9), ["--split_by", "later"], "--split_by is 'later'; plus benchmark takes users, topics, same"),
        (choices(8, 9), ["--quick"], "--quick is for synthetic users"),
        (choices(8, 9), ["--dataset_name", "pets"], "takes one data set; give a FILE or --dataset_name, and not both"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(plus_here, tmp_path, rows, more, complaint):
    source = written(tmp_path / "my.jsonl", rows)
    status, out, err = plus_here("benchmark", source, "--output_dir", tmp_path / "b", *more)
    assert (status, out) == (2, "")
    assert complaint in err
    assert len([line for line in err.splitlines() if line.startswith("plus:")]) == 1
    assert not (tmp_path / "b").exists()


def test_an_option_of_rows_is_refused_for_a_named_set(plus_here):
    status, _, err = plus_here("benchmark", "polis", "--split_by", "users")
    assert status == 2
    assert "--split_by is for rows of your own; polis has its own rule" in err
