"""JSON lines: plain and packed files give the same rows, and an error names its line."""

from __future__ import annotations

import gzip

import pytest

from plus.errors import SourceError
from plus.jsonl import append_jsonl, numbered, read_summaries, read_whole_lines, write_jsonl

ROWS = [{"user_id": "u", "summary": "a\u2028b"}, {"user_id": "v", "summary": ""}]


def test_plain_and_packed_lines_are_the_same_rows(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"\n" + (tmp_path / "a.jsonl").read_bytes()))
    assert list(numbered(tmp_path / "a.jsonl")) == [(1, ROWS[0]), (2, ROWS[1])]
    assert list(numbered(tmp_path / "a.jsonl.gz")) == [(2, ROWS[0]), (3, ROWS[1])]
    assert read_summaries(tmp_path / "a.jsonl") == {"u": "a\u2028b", "v": ""}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n[1]\n', "a.jsonl line 2 is list; each line needs to be one JSON object"),
        ("a.jsonl", b"{}\noops\n", "a.jsonl line 2 is not JSON"),
        ("a.jsonl", b"\xff\n", "is not UTF-8 text"),
        ("a.jsonl.gz", b"{}\n", "is cut short or no gzip file"),
        ("a.jsonl.gz", gzip.compress(b"{}\n" * 99, mtime=0)[:-9], "is cut short or no gzip file"),
    ],
)
def test_a_line_or_file_that_cannot_be_read_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        list(numbered(tmp_path / name))


def test_a_missing_file_and_a_line_without_a_summary_are_named(tmp_path):
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        list(numbered(tmp_path / "absent.jsonl"))
    write_jsonl(tmp_path / "a.jsonl", [*ROWS, {"user_id": "w"}])
    with pytest.raises(SourceError, match=r"line 3 has no texts user_id and summary; give one \{user_id, summary\}"):
        read_summaries(tmp_path / "a.jsonl")


def test_a_cut_last_line_is_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    assert read_whole_lines(path) == []
    append_jsonl(path, ROWS[0])
    with path.open("a") as file:
        file.write('{"user_id": "v')
    assert read_whole_lines(path) == ROWS[:1]
