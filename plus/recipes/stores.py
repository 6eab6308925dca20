"""Profile stores on disk: the one that a path means, a run folder's own, and profiles imported into it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from plus.errors import ProfileError
from plus.jsonl import read_json
from plus.progress import SILENT, Screen

if TYPE_CHECKING:
    from plus.models.run import Run
    from plus.profiles.imports import Imported
    from plus.profiles.store import Store


def open_store(store: str | Path | None = None, create: bool = False, screen: Screen = SILENT) -> Store:
    """Open a profile store: its file, a run folder, or by default the one in your data folder.

    A run folder gets a store of its own users when it is first opened. Raises ProfileError.
    """
    from plus.profiles.store import Store

    path = store_path(store)
    if store is None or path == Path(store) or path.exists():
        return Store(path, create)
    # Made under another name first, so that a crash leaves none half filled.
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with Store(partial) as filling:
            count = add_run(filling, Path(store), screen)
        try:
            os.link(partial, path)
            screen.say(f"{count:,} users of {store} are now in {path}")
        except FileExistsError:
            pass  # Another process was faster: its store is as good.
    finally:
        partial.unlink(missing_ok=True)
    return Store(path)


def store_path(store: str | Path | None = None) -> Path:
    """Return the file of a store: the path itself, the one in a run folder, or the one in your data folder."""
    from plus.profiles.runs import STORE, is_run

    if store is None:
        from platformdirs import user_data_path

        return user_data_path("plus", appauthor=False) / STORE
    return Path(store) / STORE if is_run(Path(store)) else Path(store)


def add_run(store: Store, folder: Path, screen: Screen = SILENT) -> int:
    """Put a run's users, their histories, held-out choices and summaries into a store; returns how many summaries."""
    from plus import datasets
    from plus.profiles import runs

    summaries = runs.read_summaries(folder)
    with screen.status(f"reading {folder}"):
        config = read_json(folder / "config.json")
        return runs.add_run(store, folder, datasets.from_settings(config), summaries)


def import_profiles(
    source: str | Path, store: Store, stdin: BinaryIO | None = None, screen: Screen = SILENT
) -> Imported:
    """Read profiles into a store: from JSON lines (or `stdin`), Markdown as people edited it, or a run folder.

    A change in a file becomes a new version, written by the user. Raises ProfileError for anything else.
    """
    from plus.profiles import imports
    from plus.profiles.runs import is_run

    receipt = imports.Imported()
    if stdin is None and is_run(Path(source)):
        receipt.new = add_run(store, Path(source), screen)
    else:
        with screen.status(f"reading {source}"):
            imports.add(store, imports.read(Path(source), receipt.dropped, stdin), receipt)
    return receipt


def load_run(store: Store, run: str | Path | None = None, screen: Screen = SILENT) -> tuple[Run, Path]:
    """Load the models of `run`, or of the run folder that the store knows; returns them and the folder.

    Raises ProfileError when the store knows none.
    """
    known = [folder for folder in store.runs() if folder.is_dir()]
    if run is None and not known:
        raise ProfileError("scoring needs a reward model and the store knows no run folder; give --run RUN")
    folder = Path(run) if run is not None else known[-1]
    with screen.loading("loading the run"):
        from plus.models.run import load
    return load(folder), folder
