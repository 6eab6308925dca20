"""Copy of a whole store into an empty one, of the other engine too: everything and compared, or nothing.

Users keep their numbers and hashes their secret, so that what was forgotten stays forgotten in the copy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from plus.errors import ProfileError
from plus.profiles import ledger
from plus.profiles.store import Store
from plus.profiles.versions import COLUMNS

TABLES = {
    "users": "number, user_id, current, newest, next_sentence, last_event, read_upto, changed, paused",
    "events": "number, user, event_id, session_id, kind, time, source, content, held_out, likeness",
    "versions": f"number, user, {COLUMNS}, chain",
    "rules": "user, kind, text",
    "bans": "words",
    "actions": "number, time, who, verb, user, subject, what",
    "tombstones": "kind, hash, created",
    "runs": "folder, run, model",
    "exports": "number, path, partial, process, users, started, finished",
    "receipts": "number, kind, subject, sha256, created",
}
KEPT_OUT = {"meta": "the secrets go over by themselves", "unfinished": "nothing is, when a copy begins"}
# As what a column is compared and written, where the engines differ.
_TYPES: Mapping[str, type] = {"paused": bool, "held_out": bool, "likeness": int}
_BATCH = 1000  # rows


@dataclass
class Digest:
    """Count and hash of a table's rows, in any order: the sum of the rows' hashes."""

    rows: int = 0
    sum: int = 0

    def add(self, row: Sequence[Any]) -> None:
        """Take in a row."""
        line = json.dumps(row, ensure_ascii=True, separators=(",", ":")).encode()
        self.rows += 1
        self.sum = (self.sum + int.from_bytes(hashlib.sha256(line).digest(), "big")) % 2**256

    def __str__(self) -> str:
        return f"{self.sum:064x}"


@dataclass
class Copied:
    """Rows that were copied, by table, with the hash of each table's content; both stores have the same."""

    source: str
    target: str
    counts: dict[str, int] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)


def copy(source: Store, target: Store) -> Copied:
    """Copy everything into an empty store. Raises ProfileError where it is not empty, or differs afterwards."""
    _refuse(source, target)
    found = Copied(source.place, target.place)
    with source.snapshot(), ledger.undone(target.file.ledger), target.transaction():
        # 1. The secrets, then the rows.
        target.file.take_secrets(source.file.secrets)
        for table in TABLES:
            digest = Digest()
            rows = _rows(source, table, digest)
            while batch := list(islice(rows, _BATCH)):
                if table == "users":
                    target.file.make_keys(row[0] for row in batch)
                target.do_many(insert(target, table), batch)
            found.counts[table], found.sha256[table] = digest.rows, str(digest)
        target.file.number_on()
        # 2. The ledger beside it, as if everything had been forgotten there.
        marks = list(target.file.stream("SELECT kind, hash, created FROM tombstones"))
        if marks:
            ledger.append(target.file.ledger, target.salt, marks)
            target.do(target.sql.set_meta, ("ledger", target.file.ledger.stat().st_size))
        # 3. Read again what was written.
        for table in TABLES:
            again = Digest()
            for _ in _rows(target, table, again):
                pass
            if (again.rows, str(again)) != (found.counts[table], found.sha256[table]):
                raise ProfileError(
                    f"the table {table} of {target.place} has {again.rows:,} rows, {source.place} has "
                    f"{found.counts[table]:,}, or they differ; nothing was kept of the copy, so try again, and if it "
                    "happens again tell the makers of plus"
                )
    return found


def insert(store: Store, table: str) -> str:
    """Write the statement that inserts a row of a table, with the columns that a server derives from others."""
    columns = TABLES[table].split(", ")
    derived = store.sql.derived.get(table, {})
    places = [f"?{number}" for number in range(1, len(columns) + 1)]
    places += [f"?{columns.index(column) + 1}" for column in derived.values()]
    return f"INSERT INTO {table}({', '.join([*columns, *derived])}) VALUES ({', '.join(places)})"


def _rows(store: Store, table: str, digest: Digest) -> Iterator[list[Any]]:
    """Yield a table's rows, the same from either engine, and take each into the digest."""
    columns = TABLES[table]
    types = [_TYPES.get(column) for column in columns.split(", ")]
    for found in store.file.stream(f"SELECT {columns} FROM {table}"):
        row = [kind(value) if kind is not None else value for value, kind in zip(found, types, strict=True)]
        digest.add(row)
        yield row


def _refuse(source: Store, target: Store) -> None:
    """Raise ProfileError where a copy would lose or mix something."""
    if source.number("SELECT count(*) FROM unfinished"):
        raise ProfileError(f"a forget in {source.place} was cut short; run plus doctor on it first, then copy it")
    if target.place == source.place:
        raise ProfileError(f"{source.place} cannot be copied onto itself; give another store to copy to")
    counts: Iterable[int] = (target.number(f"SELECT count(*) FROM {table}") for table in TABLES)
    if any(counts):
        raise ProfileError(f"{target.place} holds something already and nothing is overwritten; give an empty store")
