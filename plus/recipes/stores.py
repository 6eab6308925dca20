"""Profile stores on disk: the one that a path means, a run folder's own, and profiles imported into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from plus.errors import PlusError, ProfileError
from plus.jsonl import read_json
from plus.profiles.address import without_password
from plus.profiles.sqlite_file import explained
from plus.progress import SILENT, Screen
from plus.types import Population, Writer

if TYPE_CHECKING:
    from plus.models.run import Run
    from plus.profiles.copying import Copied
    from plus.profiles.imports import Imported
    from plus.profiles.store import Store
    from plus.serve.capture import Caught


def open_store(store: str | Path | None = None, create: bool = False, screen: Screen = SILENT) -> Store:
    """Open a profile store: its file, a run folder, postgresql://..., or by default the one in your data folder.

    A run folder gets a store of its own users when it is first opened. Raises ProfileError.
    """
    from plus.profiles.store import Store

    path = store_path(store)
    if not isinstance(path, Path) or store is None or path == Path(store) or path.exists():
        return Store(path, create, screen.say)
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
    return Store(path, tell=screen.say)


def store_path(store: str | Path | None = None) -> Path | str:
    """Return the file of a store: the path itself, the one in a run folder, or the one in your data folder.

    The address of a store on a server is returned as it is.
    """
    from plus.profiles.address import is_address
    from plus.profiles.runs import STORE, is_run

    if store is None:
        from platformdirs import user_data_path

        return user_data_path("plus", appauthor=False) / STORE
    if is_address(store):
        return str(store)
    return Path(store) / STORE if is_run(Path(store)) else Path(store)


def add_run(store: Store, folder: Path, screen: Screen = SILENT) -> int:
    """Put a run's users, their histories, held-out choices and summaries into a store; returns how many summaries."""
    from plus import datasets
    from plus.profiles import runs

    summaries = runs.read_summaries(folder)
    with screen.status(f"reading {folder}"):
        config = read_json(folder / "config.json")
        try:
            population = datasets.from_settings(config)
        except (PlusError, KeyError) as error:
            # A person is to be read, edited and forgotten whether the training file is still there or not.
            screen.say(f"the run's data cannot be read, so its summaries alone are taken over: {error}")
            population = Population(folder.name, (), {})
        return runs.add_run(store, folder, population, summaries)


def import_profiles(
    source: str | Path,
    store: Store,
    stdin: BinaryIO | None = None,
    screen: Screen = SILENT,
    user_id: str = "",
) -> Imported:
    """Read profiles into a store: from JSON lines (or `stdin`), Markdown as people edited it, or a run folder.

    A change in a file becomes a new version, written by the user. Memories of other programs are added to what is
    there, those that name nobody as `user_id`'s. Raises ProfileError for anything else.
    """
    from plus.profiles import imports
    from plus.profiles.runs import is_run

    receipt = imports.Imported()
    if stdin is None and is_run(Path(source)):
        receipt.new = add_run(store, Path(source), screen)
    else:
        with screen.status(f"reading {source}"):
            imports.add(store, imports.read(Path(source), receipt.dropped, stdin, user_id), receipt)
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


def edit_writer(base_url: str, model: str, caught: Caught | None = None) -> Writer:
    """Make the writer of a served model that proposes edits told in words (`profiles/tell.py`).

    caught: takes its requests in the place of the network, for a dry run. Needs the `api` extra.
    """
    from plus.profiles import tell
    from plus.serve.endpoint import Endpoint

    client, key = (caught.client, "none") if caught else (None, None)
    return Endpoint(base_url, model, key, tell.MAX_TOKENS, tell.TIMEOUT, client, tell.RESPONSE_FORMAT)


def copy_store(source: str | Path, target: str | Path, screen: Screen = SILENT) -> Copied:
    """Copy a store into a new file, or into an empty store on a server; what was copied is read again and compared.

    Raises ProfileError where something is there already; then, and where it breaks off, nothing is left of the copy.
    """
    from plus.profiles.copying import copy
    from plus.profiles.store import Store

    path = store_path(target)
    with open_store(source, screen=screen) as opened:
        if not isinstance(path, Path):
            with Store(path) as empty:
                return copy(opened, empty)
        forgotten = path.with_name(f"{path.stem}.forgotten")
        if taken := next((file for file in (path, forgotten) if file.exists() or file.is_symlink()), None):
            raise ProfileError(f"{taken} is there and nothing is overwritten; give another place for the copy")
        # Under another name first: a copy that is cut short leaves nothing.
        partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
        with _removed(partial):
            with Store(partial) as empty:
                found = copy(opened, empty)
                written = empty.file.ledger
            if written.exists():
                os.link(written, forgotten)
            os.link(partial, path)
    return replace(found, target=str(path))


@contextmanager
def _removed(partial: Path) -> Iterator[None]:
    """Remove a store that is made under another name first, with all that lies beside it."""
    try:
        yield
    finally:
        for file in partial.parent.glob(f"{partial.name.removesuffix(partial.suffix)}*"):
            file.unlink(missing_ok=True)


_ON_A_SERVER = (
    "{place} is backed up and put back by the server's own tools (pg_dump --schema and psql), and its keys by copying "
    "PLUS_KEYS to another place; plus store copy makes a store in a file of it"
)


def backup(store: Store, output: str | Path) -> int:
    """Copy a store that may be in use to a new file, as it is at one moment; returns the bytes.

    A copy by other means lacks what is still in the log. Raises ProfileError when the output exists.
    """
    import sqlite3

    from plus.profiles.database import Database

    if not isinstance(store.file, Database):
        raise ProfileError(_ON_A_SERVER.format(place=store.place))
    target = Path(output)
    if target.exists():
        raise ProfileError(f"{target} exists and nothing is overwritten; give a new file")
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        copy = sqlite3.connect(partial)
        try:
            with explained(partial):
                store.file.connection.backup(copy, pages=2000)
                copy.execute("PRAGMA journal_mode = DELETE")  # One file.
        finally:
            copy.close()
        os.link(partial, target)
    except FileExistsError:
        raise ProfileError(f"{target} exists and nothing is overwritten; give a new file") from None
    finally:
        partial.unlink(missing_ok=True)
    return target.stat().st_size


def restore(source: str | Path, store: str | Path | None = None, screen: Screen = SILENT) -> int:
    """Put a backup where there is no store; who was forgotten since is taken out again. Returns the number of users.

    Raises ProfileError for a damaged backup, and where a store is.
    """
    import shutil

    from plus.profiles.doctor import examine
    from plus.profiles.store import Store

    path = store_path(store)
    if not isinstance(path, Path):
        raise ProfileError(_ON_A_SERVER.format(place=without_password(path)))
    if path.exists():
        raise ProfileError(f"{path} is there and nothing is overwritten; move it away first, or give another --store")
    # 1. A sound copy beside its place.
    path.parent.mkdir(parents=True, exist_ok=True)
    if not Path(source).is_file():
        raise ProfileError(f"there is no file {source}; give what plus backup wrote")
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        shutil.copyfile(source, partial)
        os.chmod(partial, 0o600)
        with Store(partial, create=False) as copy:
            if faults := examine(copy, finish=False).faults:
                raise ProfileError(f"{source} is damaged and was not put back: {faults[0]}")
        os.link(partial, path)
    finally:
        for name in (partial.name, f"{partial.name}-wal", f"{partial.name}-shm"):
            partial.with_name(name).unlink(missing_ok=True)
    # 2. Opening it takes out who was forgotten since; the file is then rewritten.
    with Store(path, tell=screen.say) as opened:
        examine(opened)
        return opened.number(opened.sql.count_users)
