"""Rows of a file, a folder or a Hub id, streamed.

A file larger than memory is read a line or a batch at a time. A line that is no row is counted in
`Dropped` and the rest is still used; a file that cannot be read at all raises SourceError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from plus.errors import SourceError
from plus.sources.rows import split_name
from plus.sources.tables import FORMATS, OnBytes, first_line, needed, rows_of
from plus.types import Dropped


class Record(NamedTuple):
    """A raw row, its place ("choices.jsonl line 7") and the split that its file's name states."""

    where: str
    row: dict[str, Any]
    split: str = ""


def records(
    source: str | Path, dropped: Dropped, on_bytes: OnBytes = lambda done, total: None, config: str | None = None
) -> Iterator[Record]:
    """Yield the rows of a file, a folder or a Hub id ("owner/name", with `config` or as "owner/name:config").

    `on_bytes` is told (read so far, in all). Raises SourceError when the source is missing or unreadable.
    """
    path = Path(source)
    if path.is_file():
        yield from _file(path, dropped, on_bytes)
    # `datasets` writes one of these two files into its folders.
    elif (path / "state.json").exists() or (path / "dataset_dict.json").exists():
        yield from _saved(path)
    elif path.is_dir():
        yield from _folder(path, dropped, on_bytes)
    elif path.suffix in FORMATS or str(source).count("/") != 1 or str(source).startswith((".", "/", "~")):
        raise SourceError(
            f"there is no file or folder {source}; give a {', '.join(FORMATS[:5])} file, a folder of them, "
            "or a Hub id such as owner/name"
        )
    else:
        yield from hub(str(source), config)


def hub(name: str, config: str | None = None) -> Iterator[Record]:
    """Stream the rows of a data set on the Hub, all of its splits. Raises SourceError."""
    datasets = needed("datasets", name)
    name, _, in_name = name.partition(":")
    try:
        loaded = datasets.load_dataset(name, config or in_name or None, streaming=True)
        for split, rows in loaded.items():
            for number, row in enumerate(rows, start=1):
                yield Record(f"{name} {split} row {number}", row, split if len(loaded) > 1 else "")
    except (OSError, ValueError, RuntimeError) as error:
        raise SourceError(
            f"{name} cannot be read from the Hub ({first_line(error)}); check the id, HF_HUB_OFFLINE and your login, "
            "or download it and give its folder"
        ) from error


def _saved(folder: Path) -> Iterator[Record]:
    """A folder that `datasets` wrote with save_to_disk."""
    try:
        loaded = needed("datasets", folder).load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise SourceError(f"{folder} is a damaged data set ({first_line(error)}); save it again") from error
    for split, rows in (loaded if isinstance(loaded, dict) else {"": loaded}).items():
        for number, row in enumerate(rows, start=1):
            yield Record(f"{folder.name} {split} row {number}".replace("  ", " "), row, split)


def _folder(folder: Path, dropped: Dropped, on_bytes: OnBytes) -> Iterator[Record]:
    if (folder / "summarizer").is_dir() and (folder / "config.json").exists():
        raise SourceError(
            f"{folder} is a run folder, which holds no choices; give the data it was trained on (its config.json "
            "names them), or plus audit and plus profile the run"
        )
    paths = sorted(path for path in folder.rglob("*") if path.name.endswith(FORMATS) and path.is_file())
    if not paths:
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        raise SourceError(f"{folder} holds no data file (found: {found}); it needs one of {', '.join(FORMATS)}")
    total, before = sum(path.stat().st_size for path in paths), 0
    for path in paths:
        # Only several files state splits by their names: a lone test.jsonl is simply the data.
        split = re.split(r"[-_. ]", path.name)[0] if len(paths) > 1 else ""
        # Progress counts the bytes of all files.
        for record in _file(path, dropped, partial(_further, on_bytes, before, total)):
            yield record._replace(split=split if split_name(split) else "")
        before += path.stat().st_size


def _further(on_bytes: Callable[[int, int], None], before: int, total: int, done: int, of_file: int) -> None:
    on_bytes(before + done, total)


def _file(path: Path, dropped: Dropped, on_bytes: OnBytes) -> Iterator[Record]:
    name = path.name
    for where, row in rows_of(path, dropped, on_bytes):
        yield Record(f"{name} {where}", row)
