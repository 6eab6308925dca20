"""Cleaning after a forget: rewrite the file, empty its log, remove leftovers, search the bytes on disk."""

from __future__ import annotations

import mmap
import os
import shutil
import sqlite3
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from plus.profiles import database, runs
from plus.profiles.store import Store

CHECKPOINT_WAIT = 60.0  # seconds for readers that still use the old log
_SHORTEST = 8  # characters: a shorter text is found everywhere and proves nothing


def rewrite(store: Store) -> bool:
    """Rewrite the file and empty its log; False while a reader still holds the old log open."""
    with database.explained(store.path):
        store.connection.execute("VACUUM")
        if not _truncate(store.connection):
            return False
        with store.transaction() as connection:
            connection.execute("DELETE FROM meta WHERE key = 'rewrite'")
        return _truncate(store.connection)


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
        connection.execute(f"PRAGMA busy_timeout = {int(1000 * database.WAIT)}")


def sweep(store: Store) -> int:
    """Remove partial files of exports that were killed; returns how many there were."""
    rows = list(store.rows("SELECT number, partial, process, finished FROM exports"))
    dead = [row for row in rows if not alive(row[2]) and (row[3] is None or Path(row[1]).exists())]
    for number, partial, _, finished in dead:
        remove(Path(partial))
        if finished is None:
            with store.transaction() as connection:
                connection.execute("DELETE FROM exports WHERE number = ?", (number,))
    return len(dead)


def search(store: Store, texts: Collection[str], folders: Sequence[Path]) -> tuple[list[str], dict[str, int]]:
    """Search the bytes of the store, its log and the run folders' rows for forgotten texts.

    A text that another user's row holds too ("Tell me about music.") may stay. Returns the files that still hold one of
    the others, and counts of what was searched.
    """
    # 1. Every file that holds a text.
    wanted = {text: text.encode() for text in texts if len(text) >= _SHORTEST}
    rows = [path for folder in folders if folder.is_dir() for path in folder.rglob("*.json*") if path.is_file()]
    places = [store.path, store.path.with_name(f"{store.path.name}-wal"), *rows]
    hits: dict[str, list[Path]] = {}
    for path in places:
        for text in _contained(path, wanted):
            hits.setdefault(text, []).append(path)
    # 2. Texts that other users have too.
    shared = {text for text in hits if _is_shared(store, text)}
    for path in rows:
        shared |= runs.texts_with_owner(path, {text for text in hits if text not in shared})
    found = sorted({str(path) for text, paths in hits.items() if text not in shared for path in paths})
    return found, {"texts": len(wanted), "shared_with_others": len(shared), "files": len(places)}


def _is_shared(store: Store, text: str) -> bool:
    """Whether a row that is still there holds the text."""
    columns = {
        "versions": ("text",), "events": ("content", "event_id", "session_id"), "users": ("user_id",),
        "rules": ("text",), "runs": ("folder",), "exports": ("users", "path"),
    }  # fmt: skip
    held = [
        f"EXISTS (SELECT 1 FROM {table} WHERE {' OR '.join(f'instr({name}, ?1)' for name in names)})"
        for table, names in columns.items()
    ]
    return store.row(f"SELECT 1 WHERE {' OR '.join(held)}", (text,)) is not None


def _contained(path: Path, texts: dict[str, bytes]) -> list[str]:
    """The texts that stand in the bytes of a file."""
    if not path.is_file() or not path.stat().st_size:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return [text for text, needle in texts.items() if content.find(needle) >= 0]


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
