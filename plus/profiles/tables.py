"""Profiles as tables for other programs: CSV and Parquet, a row a user, with role markers escaped."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from plus.errors import ProfileError
from plus.profiles.rows import Profile
from plus.profiles.store import Store
from plus.profiles.target import Target, new_file
from plus.prompts import escape

TABLE = ("user_id", "text", "version", "origin", "model", "run", "created", "sentences", "evidence", "flags")
_LISTS = ("sentences", "evidence", "flags")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # begins a formula


def write_csv(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    """Write a CSV file, of which no cell is run as a formula."""

    def lines() -> Iterator[str]:
        cells = io.StringIO()
        writer = csv.writer(cells, lineterminator="\n")
        writer.writerow(TABLE)
        for profile in profiles:
            # A cell holds text: lists become JSON.
            row = _table_row(profile, target)
            listed = {key: json.dumps(row[key], ensure_ascii=False) for key in _LISTS}
            writer.writerow([_harmless(({**row, **listed})[key]) for key in TABLE])
            yield cells.getvalue()
            cells.seek(0)
            cells.truncate()
        if cells.tell():
            yield cells.getvalue()  # The header of an empty store.

    target.write(lines())


def write_parquet(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    """Write a Parquet file. Needs pyarrow."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ProfileError(
            "Parquet needs the package pyarrow; pip install 'plus-preferences[train]', or --format jsonl"
        ) from error
    kinds = {"version": pyarrow.int64(), "created": pyarrow.float64()}
    kinds |= dict.fromkeys(_LISTS, pyarrow.list_(pyarrow.string()))
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in TABLE])
    with new_file(target.path) as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        left = iter(profiles)
        while rows := [_table_row(profile, target) for profile in islice(left, 5000)]:
            writer.write_table(pyarrow.table({name: [row[name] for row in rows] for name in TABLE}, schema))


def _harmless(value: Any) -> Any:
    """A cell that no spreadsheet runs as a formula: an apostrophe is put before it, as OWASP advises."""
    return f"'{value}" if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA) else value


def _table_row(profile: Profile, target: Target) -> dict[str, Any]:
    row = target.row(profile)
    sentences = [escape(sentence["text"]) for sentence in row["sentences"]]
    return {**row, "text": escape(row["text"]), "sentences": sentences}
