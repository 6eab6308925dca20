"""Files as people have them: each format, and each kind of damage, which costs a row and not the file."""

from __future__ import annotations

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict

from plus.errors import SourceError
from plus.sources import files, tables
from plus.sources.files import records
from plus.types import Dropped

ROWS = [{"user_id": f"u{n}", "prompt": "p", "chosen": f"a{n}", "rejected": "b"} for n in range(5)]


def read(source, **options) -> tuple[list[dict], Dropped]:
    dropped = Dropped()
    return [record.row for record in records(source, dropped, **options)], dropped


def write_jsonl(path, rows=ROWS) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_each_format_gives_the_same_rows(tmp_path):
    write_jsonl(tmp_path / "a.jsonl")
    (tmp_path / "b.json").write_text(json.dumps(ROWS))
    with gzip.open(tmp_path / "c.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in ROWS)
    with (tmp_path / "d.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ROWS[0])
        writer.writeheader()
        writer.writerows(ROWS)
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "e.parquet")
    for path in sorted(tmp_path.iterdir()):
        assert read(path) == (ROWS, Dropped()), path
    assert read(tmp_path)[0] == ROWS * 5


def test_datasets_folders_and_hub_ids_give_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    data = Dataset.from_list(ROWS)
    data.save_to_disk(tmp_path / "one")
    DatasetDict({"train": data, "test": data}).save_to_disk(tmp_path / "two")
    assert read(tmp_path / "one")[0] == ROWS
    assert [record.split for record in records(tmp_path / "two", Dropped())] == ["train"] * 5 + ["test"] * 5
    (tmp_path / "repo").mkdir()
    write_jsonl(tmp_path / "repo" / "train.jsonl")
    # `datasets` reads a folder as it reads the Hub: the same call, without the network.
    assert [record.row for record in files.hub(str(tmp_path / "repo"))] == ROWS


def test_messages_in_csv_cells_are_json(tmp_path):
    told = [{"role": "user", "content": "p"}]
    (tmp_path / "a.csv").write_text('user_id,prompt,note\nu,"' + json.dumps(told).replace('"', '""') + '",{odd\n')
    assert read(tmp_path / "a.csv")[0] == [{"user_id": "u", "prompt": told, "note": "{odd"}]


def test_bad_lines_are_counted_and_the_rest_is_used(tmp_path):
    good = json.dumps(ROWS[0]).encode()
    bad = [b'{"a": "\xff"}', b"{oops", b"[1]", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + good + b"\n\n" + b"\n".join(bad) + b"\n" + good)
    rows, dropped = read(tmp_path / "a.jsonl")
    assert rows == [ROWS[0]] * 2
    assert dropped == {"lines that are not UTF-8": 1, "lines that are no JSON object": 4}
    assert dropped.first["lines that are not UTF-8"] == "a.jsonl line 3"


def test_an_endless_line_is_dropped_without_being_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_LINE", 2**20)
    good = json.dumps(ROWS[0])
    (tmp_path / "a.jsonl").write_text(f"{good}\n{'x' * 5_000_000}\n{good}\n")
    rows, dropped = read(tmp_path / "a.jsonl")
    assert (rows, dict(dropped)) == ([ROWS[0]] * 2, {"lines of 1 MB or more": 1})


def test_bad_csv_lines_are_counted_and_the_rest_is_used(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"user_id,prompt\nu,p\nu,\xff\nu,p,more,cells\nu,q\n")
    rows, dropped = read(tmp_path / "a.csv")
    assert rows == [{"user_id": "u", "prompt": "p"}, {"user_id": "u", "prompt": "q"}]
    assert dropped == {"lines that are not UTF-8": 1, "lines with more cells than the header": 1}


def test_a_truncated_parquet_file_is_one_line(tmp_path):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        SourceError, match=r"no whole Parquet file, it broke at row 1 .*; copy or write it again"
    ) as error:
        read(tmp_path / "a.parquet")
    assert "\n" not in str(error.value)


def test_invalid_utf8_in_parquet_costs_its_row(tmp_path):
    texts = pa.array([b"fine", b"\xff\xfe", b"good"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"prompt": texts}), tmp_path / "a.parquet")
    rows, dropped = read(tmp_path / "a.parquet")
    assert rows == [{"prompt": "fine"}, {"prompt": "good"}]
    assert dropped.first == {"lines that are not UTF-8": "a.parquet row 2"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.jsonl", "there is no file or folder"),
        ("nowhere/at/all", "there is no file or folder"),
        ("empty", "holds no data file"),
    ],
)
def test_what_is_missing_is_named(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=message):
        read(tmp_path / name)


def test_files_named_after_splits_state_them(tmp_path):
    for name in ("train-00000-of-00001.jsonl", "valid.jsonl", "test.jsonl", "events.jsonl"):
        write_jsonl(tmp_path / name, ROWS[:1])
    assert [record.split for record in records(tmp_path, Dropped())] == ["", "test", "train", "valid"]
    assert [record.split for record in records(tmp_path / "test.jsonl", Dropped())] == [""]
