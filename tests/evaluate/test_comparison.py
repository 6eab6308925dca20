"""Methods side by side, their page and its pictures."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from plus.evaluate import figures, markdown
from plus.evaluate.comparison import by_method, compare, write_comparison
from plus.evaluate.predictions import Prediction


def made(method: str, wrong_every: int, users: int = 80) -> list[Prediction]:
    return [
        Prediction(method, seed, str(user), str(n), -0.7 if (user + n) % wrong_every == 0 else 1.2, None, "new users")
        for seed in (0, 1) for user in range(users) for n in range(3)
    ]  # fmt: skip


def test_differences_are_to_the_reference_over_the_same_choices():
    result = compare([*made("plus", 9), *made("in_context", 4), *made("other rows", 4, 60)], "in_context")
    plus, other = result["methods"]["plus"], result["methods"]["other rows"]
    in_context = result["methods"]["in_context"]
    assert plus["minus"]["mean"] == pytest.approx(plus["accuracy"]["mean"] - in_context["accuracy"]["mean"])
    assert plus["minus"]["low"] > 0
    assert "minus" not in other
    assert any("no difference to in_context: 120 choices were judged by one" in note for note in other["notes"])
    absent = compare(made("plus", 9), "in_context")["methods"]["plus"]
    assert any("no difference to in_context: it was not run" in note for note in absent["notes"])


def test_the_page_names_what_is_missing_and_why(tmp_path):
    rows = [*made("plus", 9), *made("in_context", 4)]
    metrics = [{"step": n, "summary_gain": n / 40, "summary_length": 7} for n in range(1, 21)]
    missing, runs = {"oracle": "nobody knows what real people like"}, {"plus, seed 0": metrics}
    write_comparison(tmp_path, rows, "in_context", "Pets", missing=missing, runs=runs)
    page = (tmp_path / "report.md").read_text()
    assert "| oracle | - (see below) |" in page
    assert "- oracle: nobody knows what real people like" in page
    assert "| plus | 0.8" in page
    assert "| 80 | 480 | 2 |" in page, "users, choices and seeds are printed"
    for name in ("accuracy", "reliability", "summary_gain", "length"):
        assert f"![{name.replace('_', ' ')}]({name}.png)" in page
        picture = Image.open(tmp_path / f"{name}.png").convert("L")
        assert picture.width > 500
        assert min(picture.getdata()) < 100, "something is drawn"
    assert json.loads((tmp_path / "report.json").read_text())["missing"].keys() == {"oracle"}


def test_nothing_predicted_still_makes_a_page(tmp_path):
    result = write_comparison(tmp_path, [], None, missing={"vpl": "no embeddings"})
    assert result["methods"] == {}
    assert "- vpl: no embeddings" in (tmp_path / "report.md").read_text()
    assert not list(tmp_path.glob("*.png"))


def test_pictures_of_methods_without_an_interval(tmp_path):
    one_user = {"alone": made("alone", 3, 1), "none": []}
    figures.accuracy_figure(one_user, tmp_path / "a.png")
    figures.reliability_figure(one_user, tmp_path / "r.png")
    assert (tmp_path / "a.png").exists()
    assert (tmp_path / "r.png").exists()


def test_tables_keep_their_columns():
    assert markdown.table(["a", "b"], [["x|y", "z"]]) == "| a | b |\n| --- | --- |\n| x\\|y | z |"
    assert markdown.shown({"mean": 0.5, "low": None, "high": None, "users": 1, "targets": 2000}) == [
        "0.500",
        "1",
        "2,000",
    ]
    assert markdown.number(None) == "-"
    assert list(by_method(made("a", 2, 1))) == ["a"]
