"""JSON of any layout gives the same rows, in bounded memory, and a fault costs one row with its line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plus.feedback import streams
from plus.types import Dropped

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
ROWS = st.lists(st.dictionaries(st.text(max_size=4), JSON, min_size=1, max_size=3), min_size=1, max_size=6)


def read(path) -> tuple[list[tuple[str, dict]], Dropped]:
    dropped = Dropped()
    return list(streams.rows(path, dropped)), dropped


@settings(max_examples=40, deadline=None)
@given(ROWS, st.sampled_from(["lines", "list", "pretty", "objects"]), st.booleans(), st.integers(1, 40))
def test_every_layout_gives_the_same_rows(tmp_path_factory, rows, layout, ascii_only, chunk):
    path = tmp_path_factory.mktemp("rows") / "x.json"
    texts = [json.dumps(row, ensure_ascii=ascii_only, indent=2 if layout == "objects" else None) for row in rows]
    whole = {"list": None, "pretty": 1}
    text = json.dumps(rows, ensure_ascii=ascii_only, indent=whole[layout]) if layout in whole else "\n".join(texts)
    path.write_text(text, encoding="utf-8")
    before, streams._CHUNK = streams._CHUNK, chunk  # so that chunks end inside of everything
    try:
        found, dropped = read(path)
    finally:
        streams._CHUNK = before
    assert [row for _, row in found] == rows and not dropped


@pytest.mark.parametrize(
    "fault", ['{"a": 2, "b": tru }', '{"a": 2, "b": "x}', '{"a": ' + "9" * 5000 + "}", '{"a": ' + "[" * 200_000 + "}"]
)
def test_a_broken_item_costs_itself_and_is_counted_with_its_line(tmp_path, fault):
    (tmp_path / "x.json").write_text('[{"a": 1},\n' + fault + ',\n{"a": 3},\n{"a": 4}]')
    found, dropped = read(tmp_path / "x.json")
    assert [row["a"] for _, row in found] == [1, 3, 4]
    assert dropped.first["items that are no JSON object"] == "x.json line 2 item 2"
    assert found[-1][0].startswith("x.json line 4")


def test_a_list_that_is_cut_short_keeps_what_is_whole(tmp_path):
    (tmp_path / "x.json").write_text('[{"a": 1}, {"a": 2}, {"a": ')
    found, dropped = read(tmp_path / "x.json")
    assert len(found) == 2 and sum(dropped.values()) == 1


def test_an_item_that_is_too_large_is_dropped_and_the_next_one_read(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "MAX_ITEM", 10_000)
    monkeypatch.setattr(streams, "_CHUNK", 100)
    (tmp_path / "x.json").write_text(json.dumps([{"a": 1}, {"a": "x" * 50_000}, {"a": 3}]))
    found, dropped = read(tmp_path / "x.json")
    assert [row["a"] for _, row in found] == [1, 3] and sum(dropped.values()) == 1


@pytest.mark.parametrize("first", ['{"results": [{"a": 1},', '{"results": [', '{"results":', "{"])
def test_an_object_over_lines_that_begin_with_a_bracket_is_one_row(tmp_path, first):
    rest = {"{": '"results": [{"b": 2}]}', '{"results":': '[{"b": 2}]}'}.get(first, '{"b": 2}]}')
    (tmp_path / "one.json").write_text(f"{first}\n{rest}\n")
    dropped = Dropped()
    assert [list(row) for _, row in streams.rows(tmp_path / "one.json", dropped)] == [["results"]] and not dropped


def test_a_cut_line_before_whole_ones_costs_itself_alone(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"a": 1, "b": 2,\n{"a": 3}\n{"a": 4}\n')
    dropped = Dropped()
    assert [row for _, row in streams.rows(tmp_path / "log.jsonl", dropped)][-1] == {"a": 4} and dropped.total() == 1
