"""JSON rows of a file, one at a time: JSON lines, one list of any size, or objects one after another.

A list of many gigabytes (`conversations.json`) needs no more memory than its largest item. Broken items are counted
with their line, and reading goes on at the next one.
"""

from __future__ import annotations

import gzip
import json
import re
import zipfile
import zlib
from codecs import EncodedFile, getincrementaldecoder
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, cast

from plus.errors import SourceError
from plus.sources.files import records
from plus.sources.tables import json_row, lines
from plus.types import Dropped

MAX_ITEM = 16 * 2**20  # characters: a larger item of a list is dropped, and never whole in memory
Bytes = BinaryIO | gzip.GzipFile
_CHUNK = 2**18
_START = 2**16  # bytes of a line that are read to recognise the layout
_BETWEEN = re.compile(r"[\s,\[\]\ufeff]*")
_NEAR_END = 16  # characters: a fault this close to what has been read so far may only be the end of a chunk
_decode = json.JSONDecoder().raw_decode


def rows(
    path: Path, dropped: Dropped, member: str = "", name: str = "", repaired: Dropped | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (location, row) for each object in a file, or in the `member` of an archive.

    A location reads "file line 7", with `name` for the file. Things that are no object, and the end that a cut file
    lacks, are counted in `dropped`; a file in UTF-16 is read and counted in `repaired`. Raises SourceError for a file
    that cannot be read at all.
    """
    name = name or path.name
    if path.name.endswith((".csv", ".parquet")):
        yield from ((record.where.replace(path.name, name, 1), record.row) for record in records(path, dropped))
        return
    where = f"{name} line 1"
    try:
        with ExitStack() as stack:
            file = _opened(path, member, stack)
            if encoding := _encoding(file):
                if repaired is not None:
                    repaired.add("files in UTF-16, which are read as such", where)
                file = cast(BinaryIO, EncodedFile(file, "utf-8", encoding, "replace"))
            by_line = _is_by_line(file)
            file.seek(0)
            for where, row in (_by_line if by_line else _items)(file, name, dropped):
                yield where, row
    except (gzip.BadGzipFile, EOFError, zlib.error, zipfile.BadZipFile) as error:
        dropped.add("files that are cut short or damaged from there on", where)
        if where == f"{name} line 1":
            raise SourceError(f"{path} is cut short or no archive; copy it again") from error


def _opened(path: Path, member: str, stack: ExitStack) -> Bytes:
    if member:
        archive = stack.enter_context(zipfile.ZipFile(path))
        return cast(BinaryIO, stack.enter_context(archive.open(member)))
    raw = stack.enter_context(path.open("rb"))
    return stack.enter_context(gzip.open(raw)) if path.suffix == ".gz" else raw


def _encoding(file: Bytes) -> str:
    """Recognise UTF-16 by its mark, or by the zeros in what begins like JSON; "" for anything else."""
    start = file.read(4)
    file.seek(0)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if len(start) == 4 and start[0:1] in (b"{", b"[") and start[1] == start[3] == 0:
        return "utf-16-le"
    return "utf-16-be" if len(start) == 4 and start[0] == start[2] == 0 and start[1:2] in (b"{", b"[") else ""


def _is_by_line(file: Bytes) -> bool:
    """Tell whether each line is a row of its own, by the first two lines that are not blank."""
    found: list[bytes] = []
    while len(found) < 2 and (line := file.readline(_START)):
        if text := line.strip(b"\xef\xbb\xbf \t\r\n"):
            found.append(text)
    if not found or found[0].startswith(b"["):
        return False
    # An object that is spread over lines ends its first line without a bracket.
    whole = not found[0].startswith(b"{") or found[0].endswith(b"}") or len(found[0]) >= _START - 4
    return whole or _is_row(found[-1])


def _is_row(line: bytes) -> bool:
    """Tell whether a line that may be cut is an object of its own, and no item of a list that began before."""
    if not line.startswith(b"{") or len(line) >= _START - 4:
        return line.startswith(b"{")
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _by_line(file: Bytes, name: str, dropped: Dropped) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in lines(file, MAX_ITEM):
        where = f"{name} line {number}"
        if (row := json_row(line, where, dropped, MAX_ITEM)) is not None:
            yield where, row


class _Window:
    """Part of a file that is being read: `text`, of which `at` is the current position, in line `line` of the file."""

    def __init__(self, file: Bytes) -> None:
        self.file, self.text, self.at, self.line, self.ended = file, "", 0, 1, False
        # Bytes that are no UTF-8 become surrogates, so that only their own row is lost.
        self.decoder = getincrementaldecoder("utf-8")("surrogateescape")

    def forward(self, at: int) -> None:
        """Move to the position `at` and count the lines on the way."""
        self.line += self.text.count("\n", self.at, at)
        self.at = at

    def grow(self) -> bool:
        """Read as much again as is unread; False at the end of the file or when an item is too large."""
        unread = len(self.text) - self.at
        if self.ended or unread >= MAX_ITEM:
            return False
        data = self.file.read(max(_CHUNK, unread))
        self.ended = not data
        self.text, self.at = self.text[self.at :] + self.decoder.decode(data, final=self.ended), 0
        return True


def _items(file: Bytes, name: str, dropped: Dropped) -> Iterator[tuple[str, dict[str, Any]]]:
    window, next_item = _Window(file), re.compile(r"\}\s*,?\s*(?=\{)")
    number = 0
    while _to_item(window):
        number += 1
        where = f"{name} line {window.line} item {number}"
        item, end = _item(window)
        if isinstance(item, dict):
            # Items begin with the same key, by which the next one is found after a broken one.
            if item and next_item.pattern.endswith(r"\{)"):
                next_item = re.compile(r"\}\s*,?\s*(?=\{\s*" + re.escape(json.dumps(next(iter(item)))) + r"\s*:)")
            window.forward(end)
            yield where, item
        else:
            dropped.add("items that are no JSON object", where)
            _skip(window, next_item)


def _to_item(window: _Window) -> bool:
    """Move to the beginning of the next item; False when there is none."""
    while True:
        found = _BETWEEN.match(window.text, window.at)
        window.forward(found.end() if found else window.at)
        if window.at < len(window.text):
            return True
        if not window.grow():
            return False


def _item(window: _Window) -> tuple[Any, int]:
    """Decode the item at the current position; returns it with its end, or (None, 0) when it is broken."""
    while True:
        try:
            return _decode(window.text, window.at)
        except json.JSONDecodeError as error:
            # A fault at the end of the text may only be the end of what has been read.
            cut = error.msg.startswith("Unterminated string") or error.pos >= len(window.text) - _NEAR_END
            if not (cut and window.grow()):
                return None, 0
        except (ValueError, RecursionError):  # A number of thousands of digits, or nesting without end.
            return None, 0


def _skip(window: _Window, next_item: re.Pattern[str]) -> None:
    """Move past a broken item to the beginning of the next one, or to the end of the file."""
    start = window.at + 1
    while True:
        if found := next_item.search(window.text, start):
            window.forward(found.end())
            return
        window.forward(max(window.at, len(window.text) - 4096))  # Part of an item's beginning may have been read.
        unread, start = len(window.text) - window.at, window.at
        if not window.grow():
            window.forward(len(window.text))
            return
        start = window.at if unread else 0
