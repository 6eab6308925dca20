"""Sealed columns: what a person said or is stands in a database server as AES-SIV under that user's own key.

AES-SIV (RFC 5297) without a nonce gives equal bytes for equal texts of one user, so that a text is found by comparing
it. A user's or a conversation's id, by which rows of any user are looked for, stands there as a keyed hash too.

Which values of a statement are sealed is read off its columns. A sealed value begins with the number of its key, so a
result needs no such look: every bytes of it is unsealed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from psycopg.types.json import Jsonb

from plus.errors import ProfileError
from plus.profiles.identity import fingerprint
from plus.profiles.keys import DESTROYED, KeyFile

SEALED = frozenset(
    {"user_id", "event_id", "stem", "session_id", "source", "content", "likeness",
     "text", "evidence", "note", "chain", "model", "run", "work"}
)  # fmt: skip
_PLAIN_TABLES = ("runs",)  # whose columns `run` and `model` are of no user
HASHED = {"user_hash": "user", "session_hash": "session"}  # column -> what the hash is of
_NUMBER = 8  # bytes of the key's number before a sealed text

_INSERT = re.compile(r"INSERT INTO (\w+)\(([^)]*)\) VALUES \(([^)]*)\)")
_COMPARED = re.compile(r"(\w+)\)? (?:=|<|>|<=|>=) (ANY|sha256)?\(?$")
_VALUE = re.compile(r"\?(\d*)")
_RESERVED = re.compile(r"""(?<!['".\w])user\b(?!['"])""")


@dataclass(frozen=True)
class Plan:
    """Statement as PostgreSQL takes it. values: (place among the values given, column) of each value it takes.

    A column with [] takes a JSON list of values. key: place of the number of the key that seals, or -1.
    """

    sql: str
    values: tuple[tuple[int, str], ...]
    key: int


@lru_cache(maxsize=512)
def plan(sql: str) -> Plan:
    """Read off a statement which of its values are sealed or hashed."""
    inserted = _INSERT.search(sql)
    names = [name.strip() for name in inserted.group(2).split(",")] if inserted else []
    values: list[tuple[int, str]] = []
    for found in _VALUE.finditer(sql):
        if inserted and inserted.start(3) <= found.start() < inserted.end(3):
            column = names[sql.count(",", inserted.start(3), found.start())]
        else:
            compared = _COMPARED.search(sql, 0, found.start())
            column = compared.group(1) + ("[]" if compared.group(2) == "ANY" else "") if compared else ""
        values.append((int(found.group(1)) - 1 if found.group(1) else len(values), column))
    key = next((place for place, column in values if column == "user"), -1)
    if key < 0:
        key = next((place for place, column in values if column == "number"), -1)
    if any(f" {table}(" in sql for table in _PLAIN_TABLES):
        values = [(place, "") for place, _ in values]
    return Plan(_RESERVED.sub('"user"', _VALUE.sub("%s", sql.replace("%", "%%"))), tuple(values), key)


class Gone(Exception):  # noqa: N818 - no error: the row is of somebody who was forgotten
    """The key of a sealed text was destroyed."""


class Seal:
    """Sealing with the keys of one store."""

    def __init__(self, keys: KeyFile, name: str) -> None:
        self.keys, self.name = keys, name
        self._last: tuple[bytes, AESSIV] | None = None

    def values(self, wanted: Plan, given: Sequence[Any]) -> list[Any]:
        """Seal or hash the values of a statement that are to be."""
        number = given[wanted.key] if wanted.key >= 0 else 0
        return [self._value(column, given[place], number) for place, column in wanted.values]

    def rows(self, rows: Iterable[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
        """Unseal the values of rows that are sealed, without rows of a destroyed key.

        Raises ProfileError where a key was never there.
        """
        for row in rows:
            with suppress(Gone):
                yield tuple([self.opened(value) if isinstance(value, bytes) else value for value in row])

    def hashed(self, kind: str, name: str) -> str:
        """Hash the id of a user, as a tombstone does, or of a conversation."""
        return fingerprint(self.keys.secrets[0], kind, name)

    def opened(self, value: bytes) -> str:
        """Unseal a text. Raises Gone where its key was destroyed, and ProfileError where it was never there."""
        number = int.from_bytes(value[:_NUMBER], "big")
        key = self.keys.key(number)
        if key == DESTROYED:
            raise Gone
        if key is None:
            raise ProfileError(
                f"a text in {self.name} cannot be read: its key is not in {self.keys.path}, a copy from before the "
                "user came; put back the newest copy of the file"
            )
        try:
            return self._cipher(key).decrypt(value[_NUMBER:], None).decode()
        except (InvalidTag, ValueError):
            raise ProfileError(
                f"a text in {self.name} is damaged, or {self.keys.path} is not its key file; put back a copy of "
                "both of one day"
            ) from None

    def _value(self, column: str, value: Any, number: int) -> Any:
        if value is None or not column:
            return value
        if column in HASHED:
            return self.hashed(HASHED[column], value) if value else None
        if column == "user_hash[]":
            return [self.hashed("user", name) for name in json.loads(value)]
        if column == "value":  # of the table meta
            return Jsonb(value)
        if column not in SEALED:
            return value
        text = value.rpartition("-")[0] or value if column == "stem" else str(value)
        key = self.keys.key(number)
        if key is None or key == DESTROYED:
            raise ProfileError(f"{self.keys.path} has no key for this user; put back the newest copy of the file")
        return number.to_bytes(_NUMBER, "big") + self._cipher(key).encrypt(text.encode(), None)

    def _cipher(self, key: bytes) -> AESSIV:
        if self._last is None or self._last[0] != key:
            self._last = key, AESSIV(key)
        return self._last[1]
