"""Overwrite what deleted rows left in the pages of a store's file, while others read and write it.

secure_delete zeroes a cell that is deleted, and not the copies of it that stay in the unused middle of a page that was
split (notebooks/LOG.md). Here those middles are zeroed in the file, beneath SQLite, which never reads them. Meanwhile a
reader of ours holds the file still and writers go on in the log; the pages that they wrote are zeroed at the end, in a
short transaction, whose commit makes every other connection read its pages anew.

Formats: https://sqlite.org/fileformat2.html, sections 1.6 (pages of a tree) and 4.1 (the log).
"""

from __future__ import annotations

import io
import os
import sqlite3
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path

from plus.errors import DiskError
from plus.profiles.database import raw_file
from plus.profiles.sqlite_file import WAIT, rollback

_PAUSE = 0.02  # seconds between two looks whether readers have left the old log
_LOCKED = 0.5  # seconds of such looks for which other writers wait at most
_HEADER = struct.Struct(">BHHHB")  # kind, first free block, cells, start of the cells, fragments
_INNER, _LEAVES = (2, 5), (10, 13)  # kinds of pages: of an index, of a table
_FIRST = 100  # bytes of the file's header, before the tree of page 1


def clean(path: Path, wait: float) -> bool:
    """Zero all unused bytes of a store's trees; false where readers hold the old log open for longer than `wait`."""
    deadline = time.monotonic() + wait
    while True:
        with closing(_connect(path)) as writer, closing(_connect(path)) as reader:
            if _hold(writer, reader) and _clean(path, writer, reader):
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)


def _clean(path: Path, writer: sqlite3.Connection, reader: sqlite3.Connection) -> bool:
    # 1. All pages: nobody waits, and nobody writes to the file.
    file, size = raw_file(path), reader.execute("PRAGMA page_size").fetchone()[0]
    _zero(file, size, _pages(file, size, _roots(reader)))
    # 2. The pages that were written meanwhile.
    writer.execute("BEGIN IMMEDIATE")
    try:
        written = _in_log(path, size)
        reader.execute("ROLLBACK")
        if not _is_complete(reader):
            return False
        _zero(file, size, sorted(written.intersection(_pages(file, size, _roots(writer)))))
        os.fsync(file.fileno())
        writer.execute("DELETE FROM meta WHERE key = 'rewrite'")
        writer.execute("COMMIT")
        return True
    finally:
        rollback(writer)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
    connection.execute("PRAGMA secure_delete = ON")
    return connection


def _hold(writer: sqlite3.Connection, reader: sqlite3.Connection) -> bool:
    """Begin to read the file itself, with all of the log in it: until the end no page of the log is copied over it."""
    writer.execute("BEGIN IMMEDIATE")
    try:
        if not _is_complete(reader):
            return False
        reader.execute("BEGIN")
        reader.execute("SELECT 1 FROM sqlite_master").fetchone()  # Only now it begins.
        return True
    finally:
        writer.execute("ROLLBACK")


def _is_complete(connection: sqlite3.Connection) -> bool:
    """Copy the log into the file while nobody writes; false where a reader of an older state keeps some of it back."""
    deadline = time.monotonic() + _LOCKED
    while True:
        busy, logged, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if not busy and logged == copied:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE / 4)  # Another process is copying.


def _roots(connection: sqlite3.Connection) -> list[int]:
    """The first page of each table and index."""
    return [1, *(page for (page,) in connection.execute("SELECT rootpage FROM sqlite_master WHERE rootpage > 1"))]


def _pages(file: io.FileIO, size: int, roots: Iterable[int]) -> list[int]:
    """The numbers of all pages of the trees, from the inner ones alone: leaves are all on the lowest level."""
    found: list[int] = []
    last = os.fstat(file.fileno()).st_size // size
    for root in roots:
        level: list[int] = [root]
        while level:
            found += level
            if len(found) > last or not all(0 < page <= last for page in level):
                raise DiskError(f"this store is damaged: {file.name!s}; put a copy back", "a tree of pages is broken")
            kind = _read(file, size, level[0])[_start(level[0])]
            level = list(chain.from_iterable(_children(file, size, page) for page in level)) if kind in _INNER else []
    return sorted(found)


def _children(file: io.FileIO, size: int, number: int) -> Iterator[int]:
    page, start = _read(file, size, number), _start(number)
    cells = _HEADER.unpack_from(page, start)[2]
    for (at,) in struct.iter_unpack(">H", page[start + 12 : start + 12 + 2 * cells]):
        yield int.from_bytes(page[at : at + 4], "big")
    yield int.from_bytes(page[start + 8 : start + 12], "big")


def _zero(file: io.FileIO, size: int, numbers: Iterable[int]) -> None:
    """Zero the unused bytes of pages, where they are not zero."""
    for number in numbers:
        page = _read(file, size, number)
        for start, end in _unused(page, _start(number)):
            if page[start:end].strip(b"\0"):
                file.seek((number - 1) * size + start)
                file.write(bytes(end - start))


def _unused(page: bytes, start: int) -> Iterator[tuple[int, int]]:
    """The spans of a page that hold no cell; none of a page that is no tree's, as in a damaged file."""
    kind, free, cells, first, _ = _HEADER.unpack_from(page, start)
    begin, end = start + (12 if kind in _INNER else 8) + 2 * cells, first or 65536
    if kind not in (*_INNER, *_LEAVES) or not begin <= end <= len(page):
        return
    yield begin, end
    # Free blocks between the cells, of which the first four bytes are the next one's place and the size.
    while begin < free <= len(page) - 4:
        following, length = struct.unpack_from(">HH", page, free)
        yield free + 4, min(free + length, len(page))
        if following <= free:
            return
        free = following


def _in_log(path: Path, size: int) -> set[int]:
    """The numbers of the pages in the store's log, also of those before it began anew."""
    found: set[int] = set()
    with suppress(FileNotFoundError), path.with_name(f"{path.name}-wal").open("rb") as log:
        log.seek(32)
        while len(head := log.read(24)) == 24:
            found.add(int.from_bytes(head[:4], "big"))
            log.seek(size, os.SEEK_CUR)
    return found


def _read(file: io.FileIO, size: int, number: int) -> bytes:
    file.seek((number - 1) * size)
    return file.read(size)


def _start(number: int) -> int:
    return _FIRST if number == 1 else 0
