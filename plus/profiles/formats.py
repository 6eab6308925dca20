"""Formats of profiles: JSONL, Markdown, CSV, Parquet, and rows for OpenAI and TRL.

`jsonl` and `markdown` hold everything and come back without loss, text to the last character; the others are for
reading by programs and models, and have role markers escaped (`prompts.escape`).

A Markdown file is made to be edited: front matter for us, the text for its owner. Each line of the front matter is
`key: JSON`, which is YAML; characters that YAML cannot hold are escaped. The body is the text and one line end.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from plus.errors import ProfileError
from plus.profiles.memories import as_mem0, as_pam, dated_lines
from plus.profiles.rows import FORGOTTEN, Profile, to_row
from plus.profiles.store import Store
from plus.prompts import escape, profile_message
from plus.sources.rows import as_row
from plus.types import Preference

TABLE = ("user_id", "text", "version", "origin", "model", "run", "created", "sentences", "evidence", "flags")
_LISTS = ("sentences", "evidence", "flags")
_encode = json.JSONEncoder(ensure_ascii=False).encode
# Characters that are valid in JSON and not in YAML, or that editors swallow.
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # begins a formula
_LINE = "---"  # opens and closes the front matter


@dataclass
class Target:
    """Output of a format: a file or folder to make, or stdout, and what was written to it.

    left_out: counts of what the format cannot hold. flagged: counts of texts to look at. since: the moment from which a
    feed of changes is written, which tells of the forgotten too.
    """

    path: Path
    stdout: BinaryIO | None = None
    since: float | None = None
    rows: int = 0
    flagged: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def row(self, profile: Profile) -> dict[str, Any]:
        """Write a profile as a row, and count it."""
        row = to_row(profile)
        self.rows += 1
        self.flagged.update(row["flags"])
        return row

    def write(self, lines: Iterable[str]) -> None:
        """Write lines of text."""
        with nullcontext(self.stdout) if self.stdout is not None else _file(self.path) as file:
            for line in lines:
                file.write(line.encode())


Write = Callable[[Store, Iterable[Profile], Target], None]


def _jsonl(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    def lines() -> Iterator[str]:
        for profile in profiles:
            yield _encode(target.row(profile)) + "\n"
        # A feed of changes tells whose row to delete, by the hash that the receipt has.
        gone = store.sql.forgotten_since
        for fingerprint, moment in store.rows(gone, (target.since,)) if target.since is not None else ():
            yield _encode({"forgotten": fingerprint, "time": moment, "format": FORGOTTEN}) + "\n"

    target.write(lines())


def _markdown(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    target.path.mkdir(mode=0o700)
    for profile in profiles:
        content, user_id = to_markdown(target.row(profile)), profile.version.user_id
        path = target.path / file_name(user_id)
        if path.parent != target.path or path.exists():
            raise ProfileError(f"the file of user {user_id!r} would be {path}, which is not free; nothing was written")
        with _file(path) as file:
            file.write(content)


def _csv(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    def lines() -> Iterator[str]:
        cells = io.StringIO()
        writer = csv.writer(cells, lineterminator="\n")
        writer.writerow(TABLE)
        for profile in profiles:
            # A cell holds text: lists become JSON.
            row = _table_row(profile, target)
            listed = {key: json.dumps(row[key], ensure_ascii=False) for key in _LISTS}
            writer.writerow([_harmless(({**row, **listed})[key]) for key in TABLE])
            yield cells.getvalue()
            cells.seek(0)
            cells.truncate()
        if cells.tell():
            yield cells.getvalue()  # The header of an empty store.

    target.write(lines())


def _parquet(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ProfileError(
            "Parquet needs the package pyarrow; pip install 'plus-preferences[train]', or --format jsonl"
        ) from error
    kinds = {"version": pyarrow.int64(), "created": pyarrow.float64()}
    kinds |= dict.fromkeys(_LISTS, pyarrow.list_(pyarrow.string()))
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in TABLE])
    with _file(target.path) as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        left = iter(profiles)
        while rows := [_table_row(profile, target) for profile in islice(left, 5000)]:
            writer.write_table(pyarrow.table({name: [row[name] for row in rows] for name in TABLE}, schema))


def _openai(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    def lines() -> Iterator[str]:
        for profile in profiles:
            target.row(profile)
            message = {"role": "developer", "content": profile_message(profile.version.text)}
            yield _encode({"user_id": profile.version.user_id, "messages": [message]}) + "\n"

    target.write(lines())


def _trl(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    """The users' choices as TRL's preference rows, each opened by the summary."""

    def lines() -> Iterator[str]:
        for profile in profiles:
            target.row(profile)
            target.rows -= 1  # A row here is a choice.
            user_id = profile.version.user_id
            for event in store.events(user_id):
                if not isinstance(event.content, Preference):
                    target.left_out["events that are no choice between two answers"] += 1
                    continue
                row = as_row(user_id, event, None)
                row["prompt"] = [{"role": "system", "content": profile_message(profile.version.text)}, *row["prompt"]]
                target.rows += 1
                yield _encode(row) + "\n"

    target.write(lines())


def _memory(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    """Dated lines, as other assistants take them: a file is one person's."""
    found = list(islice(profiles, 2))
    if len(found) > 1:
        raise ProfileError("a memory file is one person's; name the user with --users")
    _counted(found, target)
    sentences = [(one.version.created, [s.text for s in one.version.sentences]) for one in found]
    target.write(line for created, texts in sentences for line in dated_lines(texts, created))


def _pam(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    found = list(islice(profiles, 2))
    if len(found) != 1:
        raise ProfileError("a PAM document is one person's; name the user with --users")
    _counted(found, target)
    version = found[0].version
    document = as_pam(version.user_id, (s.text for s in version.sentences), version.created, time.time())
    target.write([json.dumps(document, ensure_ascii=False, indent=1) + "\n"])


def _mem0(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    def rows() -> Iterator[str]:
        between = '{"results": [\n'
        for profile in profiles:
            _counted([profile], target)
            texts = (s.text for s in profile.version.sentences)
            for row in as_mem0(profile.version.user_id, texts, profile.version.created):
                yield between + _encode(row)
                between = ",\n"
        yield "]}\n" if between == ",\n" else '{"results": []}\n'

    target.write(rows())


def _counted(profiles: Iterable[Profile], target: Target) -> None:
    """Count profiles, and what a format of plain sentences cannot hold of them."""
    for profile in profiles:
        row = target.row(profile)
        for name in ("locked", "forbidden", "removed", "evidence"):
            target.left_out[f"{name} (not of this format)"] += len(row[name])
    target.left_out += Counter()  # Without those that are 0.


LOSSLESS = frozenset(("jsonl", "markdown"))  # for moving and editing, so what is paused is in them, and said to be


def in_use(profiles: Iterable[Profile], left_out: Counter[str]) -> Iterator[Profile]:
    """Yield what programs may use: without users who have paused, and without paused sentences; both are counted."""
    for profile in profiles:
        if profile.paused:
            left_out["users who have paused"] += 1
            continue
        used = profile.in_use()
        if used is not profile:
            left_out["paused sentences"] += len(profile.version.spans) - len(used.version.spans)
        yield used


FORMATS: dict[str, Write] = {
    "jsonl": _jsonl, "parquet": _parquet, "csv": _csv, "markdown": _markdown, "openai": _openai, "trl": _trl,
    "memory": _memory, "pam": _pam, "mem0": _mem0,
}  # fmt: skip


def _harmless(value: Any) -> Any:
    """A cell that no spreadsheet runs as a formula: an apostrophe is put before it, as OWASP advises."""
    return f"'{value}" if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA) else value


def _table_row(profile: Profile, target: Target) -> dict[str, Any]:
    row = target.row(profile)
    sentences = [escape(sentence["text"]) for sentence in row["sentences"]]
    return {**row, "text": escape(row["text"]), "sentences": sentences}


@contextmanager
def _file(path: Path) -> Iterator[BinaryIO]:
    # About people, so readable by its owner only.
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(number, "wb", buffering=2**20) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def to_markdown(row: Mapping[str, Any]) -> bytes:
    """Write a row as a Markdown file."""
    lines = [f"{key}: {_as_yaml(value)}" for key, value in _head(row).items()]
    return "\n".join([_LINE, *lines, _LINE, "", row["text"], ""]).encode()


def from_markdown(content: bytes, where: str) -> dict[str, Any]:
    """Read the row of a Markdown file, also one saved with CRLF. Raises ProfileError that names the fault."""
    # 1. Text with plain line ends.
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ProfileError(f"{where} is no UTF-8 at byte {error.start}; save it as UTF-8") from None
    text = text.removeprefix("\ufeff")
    if text.startswith(f"{_LINE}\r\n"):
        text = text.replace("\r\n", "\n")
    # 2. Front matter and body.
    opening, found, rest = text.partition("\n")
    if opening.rstrip(" \t") != _LINE or not found:
        raise ProfileError(
            f"{where} has no front matter; its first line must be {_LINE}, as plus export writes it; if it is another "
            "program's memory, say whose with --user_id"
        )
    head, found, body = f"\n{rest}".partition(f"\n{_LINE}\n")
    if not found:
        raise ProfileError(f"{where}: the front matter does not end; close it with a line {_LINE}")
    # 3. Its values; sentences stand as {id: "origin since"}.
    row = _as_written(head) or _as_edited(head, where)
    row["text"] = body.removeprefix("\n").removesuffix("\n")
    if isinstance(row.get("sentences"), dict):
        row["sentences"] = [_sentence(name, value, where) for name, value in row["sentences"].items()]
    return row


def file_name(user_id: str) -> str:
    """Make a file name for any user id, such as "../../etc/passwd".

    It never leaves its folder, and never equals another's, also where the disk does not tell upper from lower case.
    """
    plain = quote(user_id, safe=" @+=,").replace(".", "%2E").replace("~", "%7E")
    if plain == user_id.lower() and len(plain) <= 100 and plain.strip() == plain:
        return f"{plain}.md"
    return f"{plain[:80].strip()}-{hashlib.sha256(user_id.encode()).hexdigest()[:16]}.md"


def _as_written(head: str) -> dict[str, Any] | None:
    """The front matter that we wrote, value by value as JSON; None once a person has written in it."""
    row = {}
    for line in head.strip("\n").split("\n"):
        key, found, value = line.partition(": ")
        try:
            row[key] = json.loads(value) if found else None
        except (ValueError, RecursionError):
            return None
    return row if all(key.isidentifier() for key in row) else None


def _as_edited(head: str, where: str) -> dict[str, Any]:
    """The front matter as YAML, which it always is."""
    import yaml

    try:
        row = yaml.load(head, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else "a line"
        raise ProfileError(
            f"{where}: {place} of the front matter is no 'key: value' ({getattr(error, 'problem', error)}); "
            "mend it or export again"
        ) from None
    if not isinstance(row, dict):
        raise ProfileError(f"{where}: the front matter holds no 'key: value' lines; export again to see them")
    return {str(key): value for key, value in row.items()}


def _head(row: Mapping[str, Any]) -> dict[str, Any]:
    head = {key: value for key, value in row.items() if key != "text"}
    head["sentences"] = {s["id"]: f"{s['origin']} {s['since']}" for s in row["sentences"]}
    return head


def _sentence(name: Any, value: Any, where: str) -> dict[str, Any]:
    origin, _, since = str(value).partition(" ")
    if not since.isdecimal() or len(since) > 15:
        raise ProfileError(
            f"{where}: sentence {name} is {value!r}; it reads 'model 3' or 'user 3', leave it as it was exported"
        )
    return {"id": str(name), "origin": origin, "since": int(since)}


def _as_yaml(value: Any) -> str:
    return _UNSAFE.sub(lambda m: f"\\u{ord(m.group()):04x}", json.dumps(value, ensure_ascii=False))
