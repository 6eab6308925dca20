"""Making sure of it: the file rewritten, its log emptied, leftovers removed, the bytes on disk searched."""

from __future__ import annotations

import mmap
import os
import shutil
import sqlite3
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from plus.profiles import database, forget_runs
from plus.profiles.store import Store

CHECKPOINT_WAIT = 60.0  # seconds for readers that still use the old log
_SHORTEST = 8  # characters: a shorter text is found everywhere and proves nothing


def rewrite(store: Store) -> bool:
    """Write the file anew and empty its log; False while some reader still holds the old log open."""
    with database.explained(store.path):
        store.connection.execute("VACUUM")
        if not _truncate(store.connection):
            return False
        with store.transaction() as connection:
            connection.execute("DELETE FROM meta WHERE key = 'rewrite'")
        return _truncate(store.connection)


def _truncate(connection: sqlite3.Connection) -> bool:
    deadline = time.monotonic() + CHECKPOINT_WAIT
    connection.execute("PRAGMA busy_timeout = 50")  # The deadline is ours.
    try:
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(1000 * database.WAIT)}")


def sweep(store: Store) -> int:
    """Remove what exports that were killed left beside their output; returns how many there were."""
    rows = list(store.rows("SELECT number, partial, process, finished FROM exports"))
    dead = [row for row in rows if not alive(row[2]) and (row[3] is None or Path(row[1]).exists())]
    for number, partial, _, finished in dead:
        _remove(Path(partial))
        if finished is None:
            with store.transaction() as connection:
                connection.execute("DELETE FROM exports WHERE number = ?", (number,))
    return len(dead)


def search(store: Store, texts: Collection[str], folders: Sequence[Path]) -> tuple[list[str], dict[str, int]]:
    """Look for the forgotten texts in the bytes of the store, its log and the run folders' rows.

    A text that somebody else's row holds too ("Tell me about music.") is theirs to keep. Returns the files
    that still hold one, and how much was searched.
    """
    wanted = {text: text.encode() for text in texts if len(text) >= _SHORTEST}
    rows = [path for folder in folders if folder.is_dir() for path in folder.rglob("*.json*") if path.is_file()]
    places = [store.path, store.path.with_name(f"{store.path.name}-wal"), *rows]
    hits: dict[str, list[Path]] = {}
    for path in places:
        for text in _contained(path, wanted):
            hits.setdefault(text, []).append(path)
    shared = {text for text in hits if _is_somebodys(store, text)}
    for path in rows:
        shared |= forget_runs.texts_with_owner(path, {text for text in hits if text not in shared})
    found = sorted({str(path) for text, paths in hits.items() if text not in shared for path in paths})
    return found, {"texts": len(wanted), "shared_with_others": len(shared), "files": len(places)}


def _is_somebodys(store: Store, text: str) -> bool:
    """Whether a row that is still there holds the text."""
    return store.row(
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM versions WHERE instr(text, ?1)) OR EXISTS (SELECT 1 FROM events WHERE instr(content, ?1) "
        "OR instr(event_id, ?1) OR instr(session_id, ?1)) OR EXISTS (SELECT 1 FROM users WHERE instr(user_id, ?1)) "
        "OR EXISTS (SELECT 1 FROM rules WHERE instr(text, ?1)) OR EXISTS (SELECT 1 FROM runs WHERE instr(folder, ?1)) "
        "OR EXISTS (SELECT 1 FROM exports WHERE instr(users, ?1) OR instr(path, ?1))", (text,),
    ) is not None  # fmt: skip


def _contained(path: Path, texts: dict[str, bytes]) -> list[str]:
    """Which of the texts stand in the bytes of a file."""
    if not path.is_file() or not path.stat().st_size:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return [text for text, needle in texts.items() if content.find(needle) >= 0]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def alive(process: int) -> bool:
    """Whether a process with this number runs on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
