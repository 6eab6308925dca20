"""Profiles as Markdown files, made to be edited: front matter for us, the text for its owner.

Each line of the front matter is `key: JSON`, which is YAML; characters that YAML cannot hold are escaped. The body is
the text and one line end. Nothing is lost, text to the last character.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from plus.errors import ProfileError
from plus.profiles.rows import Profile
from plus.profiles.store import Store
from plus.profiles.target import Target, new_file

# Characters that are valid in JSON and not in YAML, or that editors swallow.
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_LINE = "---"  # opens and closes the front matter


def write_markdown(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    """Write a folder with a file for each user."""
    target.path.mkdir(mode=0o700)
    for profile in profiles:
        content, user_id = to_markdown(target.row(profile)), profile.version.user_id
        path = target.path / file_name(user_id)
        if path.parent != target.path or path.exists():
            raise ProfileError(f"the file of user {user_id!r} would be {path}, which is not free; nothing was written")
        with new_file(path) as file:
            file.write(content)


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
