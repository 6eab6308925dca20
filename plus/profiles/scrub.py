"""Clean after a forget: overwrite what deleted rows left, empty the log, remove leftovers, search the bytes."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from plus.errors import DiskError
from plus.profiles import runs, sqlite_file
from plus.profiles.database import raw_file
from plus.profiles.pages import clean
from plus.profiles.search import HEAD, LONG, Wanted, owned_by_others
from plus.profiles.store import Store

CHECKPOINT_WAIT = 60.0  # seconds for readers that still use the old log


def rewrite(store: Store) -> str:
    """Overwrite what deleted rows left in the file and empty its log; returns "", or why that is still to be done.

    What was forgotten is gone from every reader by then; `plus doctor` does the rest later.
    """
    reader = "a reader holds the old log open, so the log still holds it"
    try:
        with sqlite_file.explained(store.path):
            done = clean(store.path, CHECKPOINT_WAIT) and _truncate(store.file.connection)
            return "" if done else reader
    except (DiskError, OSError) as error:
        return f"the file could not be overwritten ({getattr(error, 'cause', error)})"


def _truncate(connection: sqlite3.Connection) -> bool:
    deadline = time.monotonic() + CHECKPOINT_WAIT
    connection.execute("PRAGMA busy_timeout = 50")  # SQLite gives up early, so that our deadline counts.
    try:
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(1000 * sqlite_file.WAIT)}")


def sweep(store: Store) -> int:
    """Remove partial files of exports that were killed; returns how many there were."""
    dead = [
        (number, Path(partial))
        for number, _, partial, process, _, finished in list(store.rows(store.sql.exports))
        if not alive(process) and (finished is None or Path(partial).exists())
    ]
    for number, partial in dead:
        remove(partial)
        with store.transaction():
            store.do(store.sql.drop_unfinished_export, (number,))
    return len(dead)


class Leaving(Protocol):
    """Subject of a search: the texts and ids of a `forget.Subject`."""

    receipt: Any
    user_ids: list[str]
    texts: set[str]
    ids: set[str]


def search(store: Store, leaving: Sequence[Leaving], folders: Sequence[Path]) -> None:
    """Search the bytes of the store, its log and the run folders' files for what was forgotten, once for all.

    A hit is somebody else's only where that very row says so. Notes in each receipt the files that still hold a text
    or the id, those that hold one in others' rows, and what was not searched.
    """
    # 1. Every file that holds a text.
    ids = {name for one in leaving for name in one.ids}
    wanted = Wanted({text for one in leaving for text in one.texts} - ids - {""}, ids)
    own = [store.path, store.path.with_name(f"{store.path.name}-wal")]
    found = [(folder, *runs.searchable(folder)) for folder in folders if folder.is_dir()]
    hits = {store.path: wanted.in_file(raw_file(store.path)), own[1]: wanted.in_path(own[1], whole_ids=False)}
    hits |= {path: wanted.in_path(path) for _, paths, _ in found for path in paths}
    # 2. Texts that rows of others hold.
    users = {name for one in leaving for name in one.user_ids}
    shared = {path: owned_by_others(path, texts, users) for path, texts in hits.items() if path not in own}
    in_store = {text for path in own for text in hits[path]}
    shared |= dict.fromkeys(own, _still_held(store, in_store))
    # 3. Each receipt.
    unread = sum(count for _, _, count in found)
    left = {path: texts - shared[path] for path, texts in hits.items()}
    shared = {path: texts & shared[path] for path, texts in hits.items()}
    for one in leaving:
        mine = one.texts | one.ids
        one.receipt.found = sorted(str(path) for path, texts in left.items() if mine & texts)
        one.receipt.shared = sorted(str(path) for path, texts in shared.items() if mine & texts)
        one.receipt.searched = {
            "files": len(hits), "texts": len(mine - {""}), "files_not_searched": unread,
            "texts_too_short": sum(len(text.encode()) < LONG for text in one.texts - one.ids - {""}),
        }  # fmt: skip


def _still_held(store: Store, texts: Collection[str]) -> set[str]:
    """The texts that rows hold which are still there, in one pass over the rows."""
    left = {text: json.dumps(text, ensure_ascii=False)[1:-1] for text in texts}
    held: set[str] = set()
    for sql in store.sql.texts:
        for (value,) in store.rows(sql) if left else ():
            for text in [text for text, inner in left.items() if text[:HEAD] in value or inner[:HEAD] in value]:
                held.add(text)
                del left[text]
            if not left:
                break
    return held


def remove(path: Path) -> None:
    """Remove a file or a folder of ours, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def alive(process: int) -> bool:
    """Look for a process with this number on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def programs_with(path: Path) -> list[str]:
    """Name the other programs of this machine that have the store open: "name (process N)".

    They read it anew, but what they read before may be in their memory. Empty on systems without /proc; programs of
    other machines, and those whose files this process may not see, are not found.
    """
    target, found = path.stat(), []
    for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda folder: int(folder.name)):
        if process.name == str(os.getpid()):
            continue
        with suppress(OSError):  # It ended meanwhile, or belongs to somebody else.
            if any(_is_same(file, target) for file in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
    return found


def _is_same(file: Path, target: os.stat_result) -> bool:
    with suppress(OSError):
        return os.path.samestat(file.stat(), target)
    return False
