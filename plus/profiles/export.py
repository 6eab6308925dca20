"""Profiles in the formats that other programs read: a new file or folder, complete or not there at all.

`jsonl` and `markdown` hold everything and come back without loss, text to the last character; the others are
for reading by programs and models, and have role markers escaped (`prompts.escape`).
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from plus.errors import ProfileError
from plus.profiles.markdown import file_name, to_markdown
from plus.profiles.rows import Profile, profiles, to_row
from plus.profiles.store import Store
from plus.prompts import escape, profile_message
from plus.sources.export import as_row
from plus.types import Preference

_encode = json.JSONEncoder(ensure_ascii=False).encode
TABLE = ("user_id", "text", "version", "origin", "model", "run", "created", "sentences", "evidence", "flags")


@dataclass
class Exported:
    """What was written. `left_out` counts what a format cannot hold; `flagged` texts to look at, by flag."""

    path: str
    users: int = 0
    rows: int = 0
    bytes: int = 0
    flagged: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


Change = Callable[[Profile], Profile]
Rows = Iterable[Profile]


def export(
    store: Store,
    form: str,
    output: Path,
    users: Collection[str] | None = None,
    since: float | None = None,
    change: Change | None = None,
    stdout: BinaryIO | None = None,
) -> Exported:
    """Write the current profiles to `output`, a new file (`markdown`: a new folder), or to `stdout`.

    `change` may shorten or redact each profile on its way. Whoever is forgotten while this runs is not in
    it: it begins anew. Raises ProfileError when the output exists, and UnknownUserError.
    """
    if form not in FORMATS:
        raise ProfileError(f"there is no format {form!r}; --format takes {', '.join(FORMATS)}")
    for user_id in users or ():
        store.user(user_id)
    if stdout is not None and form in ("markdown", "parquet"):
        raise ProfileError(
            f"{form} cannot go to stdout; give --output a new {'folder' if form == 'markdown' else 'file'}"
        )
    if stdout is None and (output.exists() or output.is_symlink()):
        raise ProfileError(f"{output} exists and nothing is overwritten; give another --output")
    while True:
        tombstones = store.forgotten()
        found = Exported(str(output))
        rows = _counted(store, profiles(store, users, since), change, found)
        if stdout is not None:
            FORMATS[form](store, rows, Path(), stdout, found)
            return found
        with _registered(store, output, users) as (partial, number):
            FORMATS[form](store, rows, partial, None, found)
            found.bytes = sum(p.stat().st_size for p in ([partial] if partial.is_file() else partial.iterdir()))
            if _publish(store, partial, output, number, tombstones):
                return found


def _counted(store: Store, found: Rows, change: Change | None, counts: Exported) -> Iterator[Profile]:
    for profile in found:
        if change is not None:
            profile = change(profile)
        counts.users += 1
        yield profile


@contextmanager
def _registered(store: Store, output: Path, users: Collection[str] | None) -> Iterator[tuple[Path, int | None]]:
    """A partial file or folder beside the output, known to the store: `plus forget` must find both."""
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.resolve().with_name(f".{output.name}.partial-{os.getpid()}")
    number = None
    if store.writable:
        hashes = json.dumps([store.fingerprint("user", user) for user in users]) if users is not None else ""
        with store.transaction() as connection:
            number = connection.execute(
                "INSERT INTO exports(path, partial, process, users, started) VALUES (?, ?, ?, ?, ?)",
                (str(output.resolve()), str(partial), os.getpid(), hashes, time.time()),
            ).lastrowid
    try:
        yield partial, number
    finally:
        remove(partial)
        if number is not None:
            with store.transaction() as connection:
                connection.execute("DELETE FROM exports WHERE number = ? AND finished IS NULL", (number,))


def remove(path: Path) -> None:
    """Remove a file or a folder of ours, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _publish(store: Store, partial: Path, output: Path, number: int | None, tombstones: int) -> bool:
    """Give the finished file its name; False if somebody was forgotten since it was begun.

    In one transaction with that look, so that a forget comes either before (and is seen) or after (and
    finds the file in its list).
    """
    with store.transaction() if number is not None else nullcontext() as connection:
        if store.forgotten() != tombstones:
            return False
        _rename(partial, output)
        if connection is not None:
            connection.execute("UPDATE exports SET finished = ? WHERE number = ?", (time.time(), number))
    return True


def _rename(partial: Path, output: Path) -> None:
    taken = ProfileError(f"{output} exists and nothing is overwritten; give another --output")
    try:
        if partial.is_dir():
            os.rename(partial, output)  # Onto an empty folder at most: the system refuses any other.
        else:
            os.link(partial, output)  # Unlike a rename, a link overwrites nothing.
    except FileExistsError:
        raise taken from None
    except PermissionError:  # A disk without hard links.
        if output.exists():
            raise taken from None
        os.rename(partial, output)


@contextmanager
def _file(path: Path) -> Iterator[BinaryIO]:
    with path.open("wb", buffering=2**20) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _lines(lines: Iterable[str], path: Path, stdout: BinaryIO | None) -> None:
    with nullcontext(stdout) if stdout is not None else _file(path) as file:
        for line in lines:
            file.write(line.encode())


def _jsonl(store: Store, found: Rows, path: Path, stdout: BinaryIO | None, counts: Exported) -> None:
    def lines() -> Iterator[str]:
        for profile in found:
            row = to_row(profile)
            _note(counts, row)
            yield _encode(row) + "\n"

    _lines(lines(), path, stdout)


def _markdown(store: Store, found: Rows, path: Path, stdout: BinaryIO | None, counts: Exported) -> None:
    path.mkdir()
    for profile in found:
        row = to_row(profile)
        _note(counts, row)
        target = path / file_name(profile.version.user_id)
        if target.parent != path or target.exists():
            raise ProfileError(
                f"the file of user {profile.version.user_id!r} would be {target}, which is not free; nothing was written"
            )
        target.write_bytes(to_markdown(row))


def _csv(store: Store, found: Rows, path: Path, stdout: BinaryIO | None, counts: Exported) -> None:
    def lines() -> Iterator[str]:
        cells = io.StringIO()
        writer = csv.writer(cells, lineterminator="\n")
        writer.writerow(TABLE)
        for profile in found:
            row = _table_row(profile, counts)
            listed = {key: json.dumps(row[key], ensure_ascii=False) for key in ("sentences", "evidence", "flags")}
            writer.writerow([({**row, **listed})[key] for key in TABLE])
            yield cells.getvalue()
            cells.seek(0)
            cells.truncate()
        if cells.tell():
            yield cells.getvalue()  # The header of an empty store.

    _lines(lines(), path, stdout)


def _parquet(store: Store, found: Rows, path: Path, stdout: BinaryIO | None, counts: Exported) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ProfileError(
            "Parquet needs the package pyarrow; pip install 'plus-preferences[train]', or --format jsonl"
        ) from error
    texts = pyarrow.list_(pyarrow.string())
    kinds = {
        "version": pyarrow.int64(),
        "created": pyarrow.float64(),
        "sentences": texts,
        "evidence": texts,
        "flags": texts,
    }
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in TABLE])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        profiles_left = iter(found)
        while rows := [_table_row(profile, counts) for profile in islice(profiles_left, 5000)]:
            writer.write_table(pyarrow.table({name: [row[name] for row in rows] for name in TABLE}, schema))


def _openai(store: Store, found: Rows, path: Path, stdout: BinaryIO | None, counts: Exported) -> None:
    def lines() -> Iterator[str]:
        for profile in found:
            _note(counts, to_row(profile))
            message = {"role": "developer", "content": profile_message(profile.version.text)}
            row = {"user_id": profile.version.user_id, "messages": [message]}
            yield _encode(row) + "\n"

    _lines(lines(), path, stdout)


def _trl(store: Store, found: Rows, path: Path, stdout: BinaryIO | None, counts: Exported) -> None:
    """The users' choices as TRL's preference rows, each opened by the summary."""

    def lines() -> Iterator[str]:
        for profile in found:
            _note(counts, to_row(profile))
            user_id = profile.version.user_id
            counts.rows -= 1
            for event in store.events(user_id):
                if not isinstance(event.content, Preference):
                    counts.left_out["events that are no choice between two answers"] += 1
                    continue
                row = as_row(user_id, event, None)
                row["prompt"] = [{"role": "system", "content": profile_message(profile.version.text)}, *row["prompt"]]
                counts.rows += 1
                yield _encode(row) + "\n"

    _lines(lines(), path, stdout)


def _table_row(profile: Profile, counts: Exported) -> dict[str, Any]:
    row = to_row(profile)
    _note(counts, row)
    return {
        **row,
        "text": escape(row["text"]),
        "sentences": [escape(sentence["text"]) for sentence in row["sentences"]],
    }


def _note(counts: Exported, row: dict[str, Any]) -> None:
    counts.rows += 1
    counts.flagged.update(row["flags"])


FORMATS: dict[str, Callable[[Store, Rows, Path, BinaryIO | None, Exported], None]] = {
    "jsonl": _jsonl, "parquet": _parquet, "csv": _csv, "markdown": _markdown, "openai": _openai, "trl": _trl,
}  # fmt: skip
