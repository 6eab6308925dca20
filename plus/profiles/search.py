"""Search of bytes for many texts at once, in every way that plus writes a text.

One pass of an Aho-Corasick automaton over the bytes, however many texts there are. A text of 15 bytes or more is found
at any place; shorter ids, such as "u11", as whole values.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import BinaryIO

from ahocorasick_rs import BytesAhoCorasick, Implementation

LONG = 15  # bytes from which a text can be found at any place
HEAD = 40  # characters of a long text that a report may quote, so these are looked for
_CHUNK = 2**20
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_VALUES = re.compile(rb"[\w.@+\x80-\xff-]+")
_PLAIN = re.compile(r"[\w.;:!?()-]+(?: [\w.;:!?()-]+)*", re.ASCII)  # written in one way everywhere
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")


def forms(text: str) -> set[str]:
    """Write a text as JSON, CSV, Markdown, YAML and Python's repr do, besides as it is."""
    if _PLAIN.fullmatch(text):
        return {text}
    cells = io.StringIO()
    csv.writer(cells).writerow([text])
    inner = json.dumps(text, ensure_ascii=False)[1:-1]
    found = {text, inner, json.dumps(text)[1:-1], cells.getvalue().rstrip("\r\n").strip('"'), repr(text)[1:-1]}
    found.add(" ".join(text.replace("\\", "\\\\").replace("|", "\\|").split()))
    found.add(_UNSAFE.sub(lambda m: f"\\u{ord(m.group()):04x}", inner))
    return {form for form in found if form}


class Wanted:
    """Texts and ids to search for."""

    def __init__(self, texts: Iterable[str], ids: Iterable[str] = ()) -> None:
        self.ids = {name.encode(): name for name in ids}
        needles: dict[bytes, set[str]] = {}
        for text, shown in [*((name, name) for name in self.ids.values()), *((text, text[:HEAD]) for text in texts)]:
            for needle in {form.encode() for form in forms(shown)}:
                if len(needle) >= LONG:
                    needles.setdefault(needle, set()).add(text)
        self._texts = list(needles.values())
        self._longest = max(map(len, [*needles, *self.ids]), default=0) + 2
        self._automaton = BytesAhoCorasick(list(needles), implementation=Implementation.ContiguousNFA)
        self._quoted = {json.dumps(name, ensure_ascii=ascii).encode(): name
                        for name in self.ids.values() for ascii in (True, False)}  # fmt: skip

    def in_path(self, path: Path, whole_ids: bool = True) -> set[str]:
        """Return the texts that stand in a file, at any place; with `whole_ids` the ids as whole values too."""
        if not path.is_file():
            return set()
        with path.open("rb") as file:
            return self.in_file(file, whole_ids, path.suffix in (".json", ".jsonl"))

    def in_file(self, file: BinaryIO | io.FileIO, whole_ids: bool = False, is_json: bool = False) -> set[str]:
        """Return the texts that stand in an open file."""
        found: set[str] = set()
        before = b""
        while chunk := file.read(_CHUNK):
            content = before + chunk
            places = {place for place, _, _ in self._automaton.find_matches_as_indexes(content, overlapping=True)}
            found.update(*(self._texts[place] for place in places))
            if whole_ids and self.ids:
                found |= self._values(content, is_json)
            # A text may begin in one chunk and end in the next.
            before = content[max(0, len(content) - self._longest) :]
        return found

    def _values(self, content: bytes, is_json: bool) -> set[str]:
        """Find ids as whole values: strings of JSON, elsewhere words of which a letter is one."""
        if is_json:
            return {self._quoted[value] for value in self._quoted.keys() & set(_STRINGS.findall(content))}
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
