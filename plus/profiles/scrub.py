"""Cleaning after a forget: rewrite the file, empty its log, remove leftovers, search the bytes on disk.

One pass reads a file as numbers of eight bytes and compares each with the pieces of the texts: a text of 15 bytes or
more that stands anywhere holds one of its eight chosen pieces at a place that is a multiple of eight. Its cost is that
of the bytes, however many texts there are. Shorter ids, such as "u11", are looked for as whole values.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from itertools import compress
from pathlib import Path
from typing import Any, Protocol

from plus.errors import DiskError
from plus.profiles import database, runs
from plus.profiles.store import Store

CHECKPOINT_WAIT = 60.0  # seconds for readers that still use the old log
_SAMPLE = 2**18  # bytes of the store that say which pieces of texts are common


def rewrite(store: Store) -> str:
    """Rewrite the file and empty its log; returns "", or why that is still to be done.

    What was forgotten is gone from every reader by then; `plus doctor` does the rest later.
    """
    reader = "a reader holds the old log open, so the log still holds it"
    try:
        with database.explained(store.path):
            store.connection.execute("VACUUM")
            if not _truncate(store.connection):
                return reader
            with store.transaction() as connection:
                connection.execute("DELETE FROM meta WHERE key = 'rewrite'")
            return "" if _truncate(store.connection) else reader
    except DiskError as error:
        return f"the file could not be rewritten ({error.cause})"


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
    with store.path.open("rb") as file:
        sample = file.read(_SAMPLE)
    wanted = Wanted({text for one in leaving for text in one.texts} - ids - {""}, ids, sample)
    own = [store.path, store.path.with_name(f"{store.path.name}-wal")]
    found = [(folder, *runs.searchable(folder)) for folder in folders if folder.is_dir()]
    hits = {path: wanted.in_file(path, whole_ids=False) for path in own}
    hits |= {path: wanted.in_file(path) for _, paths, _ in found for path in paths}
    # 2. Texts that rows of others hold.
    users = {name for one in leaving for name in one.user_ids}
    shared = {path: owned_by_others(path, texts, users) for path, texts in hits.items() if path not in own}
    in_store = {text for path in own for text in hits[path]}
    shared |= dict.fromkeys(own, _still_held(store, in_store))
    # 3. Each receipt.
    unread = sum(count for _, _, count in found)
    for one in leaving:
        mine = one.texts | one.ids
        one.receipt.found = sorted(str(p) for p, texts in hits.items() if mine & (texts - shared[p]))
        one.receipt.shared = sorted(str(p) for p, texts in hits.items() if mine & texts & shared[p])
        one.receipt.searched = {
            "files": len(hits), "texts": len(mine - {""}), "files_not_searched": unread,
            "texts_too_short": sum(len(text.encode()) < LONG for text in one.texts - one.ids - {""}),
        }  # fmt: skip


def _still_held(store: Store, texts: Collection[str]) -> set[str]:
    """The texts that rows hold which are still there, in one pass over the rows."""
    left = {text: json.dumps(text, ensure_ascii=False)[1:-1] for text in texts}
    held: set[str] = set()
    for sql in (
        "SELECT text FROM versions", "SELECT content FROM events",
        "SELECT event_id || char(0) || session_id FROM events",
        "SELECT user_id FROM users", "SELECT text FROM rules", "SELECT folder FROM runs", "SELECT path FROM exports",
    ):  # fmt: skip
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


# The search of bytes


LONG = 15  # bytes from which a text can be found at any place
_PIECE, _CHUNK, _REACH = 8, 2**20, 400  # pieces are taken from the first 400 bytes of a text
HEAD = 40  # characters of a long text that a report may quote
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_VALUES = re.compile(rb"[\w.@+\x80-\xff-]+")
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")


def forms(text: str) -> set[str]:
    """Write a text as JSON, CSV, Markdown, YAML and Python's repr do, besides as it is."""
    cells = io.StringIO()
    csv.writer(cells).writerow([text])
    inner = json.dumps(text, ensure_ascii=False)[1:-1]
    found = {text, inner, json.dumps(text)[1:-1], cells.getvalue().rstrip("\r\n").strip('"'), repr(text)[1:-1]}
    found.add(" ".join(text.replace("\\", "\\\\").replace("|", "\\|").split()))
    found.add(_UNSAFE.sub(lambda m: f"\\u{ord(m.group()):04x}", inner))
    return {form for form in found if form}


class Wanted:
    """Texts and ids to search for. short: those that are too short to be found in bytes, and no id."""

    def __init__(self, texts: Iterable[str], ids: Iterable[str] = (), sample: bytes = b"") -> None:
        """Prepare; `sample` is a part of the largest file: what is common there is no good piece to look for."""
        self._needles: dict[bytes, str] = {}
        self.ids: dict[bytes, str] = {}
        self.texts, self.short = 0, 0
        for name in ids:
            self._add(name)
            self.ids[name.encode()] = name
        for text in texts:
            self._add(text, text[:HEAD])
        self._pieces: dict[int, list[tuple[int, bytes]]] = {}
        self._cut(sample)

    def _add(self, *texts: str) -> None:
        made = {form.encode() for text in texts for form in forms(text)}
        long = {needle for needle in made if len(needle) >= LONG}
        self._needles |= dict.fromkeys(long, texts[0])
        self.texts, self.short = self.texts + bool(long), self.short + (not long)

    def _cut(self, sample: bytes) -> None:
        """Choose for each needle the place whose pieces are rare in the sample and among the needles."""
        shared = Counter(sample[at : at + _PIECE] for at in range(len(sample) - 7))
        for needle in self._needles:
            shared.update(needle[at : at + _PIECE] for at in range(min(len(needle), _REACH) - 7))
        for needle in self._needles:
            starts = range(0, min(len(needle), _REACH) - LONG + 1, 3)
            start = min(starts, key=lambda s: sum(shared[needle[s + k : s + k + 8]] for k in range(_PIECE)))
            for offset in range(start, start + _PIECE):
                piece = int.from_bytes(needle[offset : offset + _PIECE], "little")
                self._pieces.setdefault(piece, []).append((offset, needle))

    def in_file(self, path: Path, whole_ids: bool = True) -> set[str]:
        """Return the texts that stand in a file, at any place; with `whole_ids` the ids as whole values too."""
        found: set[str] = set()
        if not path.is_file():
            return found
        longest = max(map(len, self._needles), default=0) + max(map(len, self.ids), default=0) + _PIECE
        is_json = path.suffix in (".json", ".jsonl")
        with path.open("rb") as file:
            before = b""
            while chunk := file.read(_CHUNK):
                content = before + chunk
                found |= self._hits(content)
                if whole_ids and self.ids:
                    found |= self._values(content, is_json)
                # The next chunk overlaps by the longest needle, and begins at a multiple of eight.
                before = content[max(0, len(content) - longest) // _PIECE * _PIECE :]
        return found

    def _hits(self, content: bytes) -> set[str]:
        found: set[str] = set()
        if not self._pieces:
            return found
        view = memoryview(content)[: len(content) // _PIECE * _PIECE].cast("Q")
        # All in C: a loop of Python over each number takes three times as long.
        for place in compress(range(len(view)), map(self._pieces.__contains__, view)):
            for offset, needle in self._pieces[view[place]]:
                at = place * _PIECE - offset
                if at >= 0 and content.startswith(needle, at):
                    found.add(self._needles[needle])
        return found

    def _values(self, content: bytes, is_json: bool) -> set[str]:
        """Find ids as whole values: strings of JSON, elsewhere words of which a letter is one."""
        if is_json:
            quoted = {json.dumps(name, ensure_ascii=ascii).encode(): name
                      for name in self.ids.values() for ascii in (True, False)}  # fmt: skip
            return {quoted[value] for value in quoted.keys() & set(_STRINGS.findall(content))}
        words = set(_VALUES.findall(content))
        words |= {word.strip(b".-+@") for word in words}
        return {name for value, name in self.ids.items() if value in words and is_telling(name)}


def is_telling(name: str) -> bool:
    """Tell whether an id stands out from other words of a text: "u11" can, "7" and "a" cannot."""
    return len(name) > 2 and any(letter.isalpha() for letter in name) and any(not c.isalpha() for c in name)


def owned_by_others(path: Path, texts: Collection[str], users: Collection[str]) -> set[str]:
    """Return the texts of which every row that holds them says that it is another user's. Only JSON lines say so."""
    owned, nobodys = set[str](), set[str]()
    if path.suffix != ".jsonl" or not texts:
        return owned
    wanted = {text: [form.encode() for head in {text, text[:HEAD]} for form in forms(head)] for text in texts}
    with path.open("rb") as file:
        for line in file:
            held = {text for text, needles in wanted.items() if any(needle in line for needle in needles)}
            if held:
                owner = _owner(line)
                (owned if owner is not None and owner not in users else nobodys).update(held)
    return owned - nobodys


def _owner(line: bytes) -> str | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    user_id = row.get("user_id") if isinstance(row, dict) else None
    return str(user_id) if isinstance(user_id, str | int) and not isinstance(user_id, bool) else None
