"""Runs on the page: read as far as they are written; drawings with worked coordinates."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from support.studio_page import Page, Reads

from plus.serve.requests import StoreFile
from plus.studio import drawing
from plus.studio.studio import Studio
from plus.studio.visit import WORDS


def short(folder) -> str:
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:10]


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, value in files.items():
        rows = isinstance(value, list)
        text = "".join(json.dumps(row) + "\n" for row in value) if rows else json.dumps(value)
        (folder / f"{name}.{'jsonl' if rows else 'json'}").write_text(text)
    return folder


def report(**audit):
    return {"verdict": "the summary matters", "accuracy": {"plus": 0.8}, "controls": {"shuffled": 0.5}, "audit": audit}


def step(number, accuracy):
    return {"step": number, "accuracy": accuracy, "accuracy_other": 0.5, "summary_gain": accuracy - 0.5}


@pytest.fixture
def two(path, tmp_path):
    one = write(tmp_path / "one", config={"dataset_name": "pets", "max_steps": 4}, metrics=[step(1, 0.5), step(2, 0.7)])
    findings = [
        {"control": "leak check", "ok": True, "sentence": "no leak"},
        {"control": "raw history", "ok": None, "sentence": "a fact"},
        {"control": "summary gain", "ok": False, "sentence": "<b>no</b> sign"},
    ]
    bins = [{"confidence": 0.6, "right": 0.5, "targets": 4}, {"confidence": 0.9, "right": 1.0, "targets": 4}]
    readings = {"own": {"mean": 0.8, "low": 0.7, "high": 0.9}, "opposite": {"mean": None, "low": None, "high": None}}
    audit = report(
        findings=findings, readings=readings, measures={"calibration": {"reliability": bins}},
        learning_curve={"0": {"mean": 0.5}, "4": {"mean": 0.8}}, not_run={"null run": "no time"},
    )  # fmt: skip
    rows = [
        {"method": method, "seed": 0, "user_id": user, "example": str(n), "margin": margin}
        for method, of in {"own": {"eve": 1, "fay": -1}, "shuffled": {"eve": -1, "fay": 1}}.items()
        for user, margin in of.items() for n in range(3)
    ]  # fmt: skip
    other = write(
        tmp_path / "two", config={"dataset_name": "pets"}, metrics=[step(1, 0.5)], report=audit, predictions=rows,
        samples=[{"step": 1, "user_id": "u", "summary": "Talked.", "reward": 0}],
        summaries=[{"user_id": "u", "summary": "Likes <i>cats</i>."}],
    )  # fmt: skip
    return Page(Studio(StoreFile(path), (one, other), reward_model=Reads())), one, other


def test_a_run_that_trains_is_asked_for_again_and_a_finished_one_is_not(two):
    page, one, other = two
    shown = page.get(f"/runs/{short(one)}").text
    assert WORDS["run_training"] in shown and "update 2 of 4" in shown and 'hx-trigger="every 2s"' in shown
    before = page.get(f"/runs/{short(one)}/live").text
    with (one / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(step(3, 0.9)) + "\n" + '{"step": 4, "accur')  # A line that is being written.
    after = page.get(f"/runs/{short(one)}/live").text
    assert "update 3 of 4" in after and "<html" not in after
    count = [len(re.search(r'class="own" points="(.*?)"', text)[1].split()) for text in (before, after)]
    assert count == [2, 3]
    assert 'hx-trigger="every' not in page.get(f"/runs/{short(other)}").text


def test_a_length_that_never_changes_is_no_curve(two, tmp_path):
    page, one, _ = two
    for lengths, drawn in (([1.0, 1.0], False), ([20.0, 31.0], True)):
        write(one, metrics=[step(n, 0.5) | {"summary_length": length} for n, length in enumerate(lengths, 1)])
        assert (WORDS["chart_summary_length"] in page.get(f"/runs/{short(one)}").text) == drawn


def test_findings_stand_worst_first_and_texts_are_text(two):
    page, _, other = two
    shown = page.get(f"/runs/{short(other)}").text
    places = [shown.index(text) for text in ("&lt;b&gt;no&lt;/b&gt; sign", "a fact", "no leak")]
    assert places == sorted(places)
    assert "Talked." in shown and "Likes &lt;i&gt;cats&lt;/i&gt;." in shown and "0.800 [0.700, 0.900]" in shown
    assert WORDS["chart_calibration"] in shown and WORDS["chart_learning"] in shown and "null run" in shown


def test_two_runs_stand_side_by_side_and_people_by_their_gain(two):
    page, one, other = two
    shown = page.get(f"/runs/compare?a={short(one)}&b={short(other)}").text
    assert "one (A)" in shown and "two (B)" in shown and "0.800" in shown and "–" in shown
    shown = page.get(f"/runs/{short(other)}/people").text
    assert [name for name in re.findall(r"<td><bdi>(\w+)</bdi>", shown)] == ["eve", "fay", "fay", "eve"]
    assert page.get("/runs/nothing").status_code == 404 and page.get("/runs/compare?a=x").status_code == 404


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({}, "run_none"), ({"config": {}}, "run_none"), ({"config": {"seed": 1}}, "run_training"),
        ({"config": {"seed": 1}, "metrics": []}, "run_training"),
    ],
)  # fmt: skip
def test_a_half_written_run_shows_what_there_is(path, tmp_path, files, state):
    folder = write(tmp_path / "half", **files)
    page = Page(Studio(StoreFile(path), (folder, tmp_path / "gone"), reward_model=Reads()))
    for where in ("/runs", f"/runs/{short(folder)}", f"/runs/{short(folder)}/live", f"/runs/{short(folder)}/people"):
        answer = page.get(where)
        assert answer.status_code == 200, answer.text
    assert WORDS[state] in page.get(f"/runs/{short(folder)}").text and WORDS["run_missing"] in page.get("/runs").text


def test_a_damaged_file_is_named_with_the_remedy(path, tmp_path):
    folder = write(tmp_path / "bad", config={"seed": 1})
    (folder / "report.json").write_text('{"verdict": ')
    page = Page(Studio(StoreFile(path), (folder,), reward_model=Reads()))
    assert "is not JSON" in page.get(f"/runs/{short(folder)}").text and WORDS["run_damaged"] in page.get("/runs").text


def test_points_stand_where_they_belong():
    """46 is the left end and 410 the right one; 12 is the top and 192 the bottom."""
    chart = drawing.chart("c", {"a": ("own", [(0, 0), (5, 0.5), (10, 1)])}, dotted=0.5, span=(0, 1))
    assert chart.lines[0].points == "46.0,192.0 228.0,102.0 410.0,12.0" and chart.dotted == 102
    assert [(tick.words, round(tick.at)) for tick in chart.y_ticks] == [
        ("0", 192), ("0.25", 147), ("0.5", 102), ("0.75", 57), ("1", 12),
    ]  # fmt: skip
    nan = float("nan")
    assert drawing.chart("c", {"a": ("own", [(1, nan), (2, None)])}) is None
    assert drawing.chart("c", {"a": ("own", [(1, 3.0)])}).lines[0].points == "228.0,102.0"
    long = drawing.chart("c", {"a": ("own", [(n, n) for n in range(10_001)])}).lines[0].points.split()
    assert len(long) <= 241 and long[-1].startswith("410.0")


def test_intervals_stand_on_their_axis():
    (row, bare) = drawing.ranges(
        {"a": {"mean": 0.5, "low": 0.25, "high": 1.2}, "b": {"mean": 0.1, "low": None}, "c": {}}
    )
    assert (row.low, row.at, row.high, row.words) == (25.0, 50.0, 100.0, "0.500 [0.250, 1.200]")
    assert (bare.low, bare.at, bare.high, bare.words) == (10.0, 10.0, 10.0, "0.100")


def test_the_store_page_counts_and_the_doctor_changes_nothing(page):
    assert WORDS["store_users"] in page.get("/store").text
    assert WORDS["doctor_sound"] in page.get("/store/doctor").text
