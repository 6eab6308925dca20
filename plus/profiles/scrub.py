"""Clean after a forget: remove leftovers of exports, and search the bytes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from plus.profiles import runs
from plus.profiles.search import HEAD, LONG, Wanted, owned_by_others
from plus.profiles.store import Store
from plus.profiles.upkeep import upkeep


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
    found = [(folder, *runs.searchable(folder)) for folder in folders if folder.is_dir()]
    own = upkeep(store.file).hits(wanted)
    hits = own | {path: wanted.in_path(path) for _, paths, _ in found for path in paths}
    # 2. Texts that rows of others hold.
    users = {name for one in leaving for name in one.user_ids}
    shared = {path: owned_by_others(path, texts, users) for path, texts in hits.items() if path not in own}
    in_store = {text for texts in own.values() for text in texts}
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
