"""Ledger of the forgotten, a file beside the store: it outlives the store, so that a backup put back is told of them.

One line holds the secret that hashes are keyed by, each other line a hash; no name. A store that is opened takes over
what it does not know yet. A user who is there again, from a backup, is taken out at once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from plus.errors import DiskError, ProfileError
from plus.profiles.database import Database
from plus.profiles.statements import delete_user


def path_of(store: Path) -> Path:
    """Return the ledger of a store: profiles.forgotten beside profiles.db."""
    return store.with_name(f"{store.stem}.forgotten")


def fingerprint(secret: bytes, kind: str, *names: str) -> str:
    """Hash names with a secret: the form in which a tombstone holds them."""
    return hmac.new(secret, "\0".join((kind, *names)).encode(), hashlib.sha256).hexdigest()


def spelling(user_id: str) -> str:
    """Reduce an id to what its other spellings share: case, spaces, and forms of a letter."""
    return "".join(unicodedata.normalize("NFKC", user_id).casefold().split())


def append(store: Path, secret: bytes, rows: Iterable[tuple[str, str, float]]) -> None:
    """Add (kind, hash, time) of what is forgotten; it is on disk when this returns. Raises DiskError."""
    path = path_of(store)
    lines = [json.dumps({"kind": kind, "hash": name, "time": time}) for kind, name, time in rows]
    new = not path.exists()
    lines = [json.dumps({"secret": secret.hex()}), *lines] if new else lines
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(number, "w", encoding="ascii") as file:
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DiskError(
            f"{path} cannot be written ({error.strerror}); it says who was forgotten when the store is put back from a "
            "backup; nothing was changed, make room or give the folder's permission",
            str(error.strerror),
        ) from error


@contextmanager
def undone(store: Path) -> Iterator[None]:
    """Take back what was appended when the transaction that forgets fails, as on a full disk."""
    path = path_of(store)
    size = path.stat().st_size if path.exists() else None
    try:
        yield
    except BaseException:
        if size is None:
            if path.exists():
                path.unlink()
        elif path.stat().st_size > size:
            os.truncate(path, size)
        raise


def read(store: Path) -> tuple[bytes, dict[tuple[str, str], float]]:
    """Read the secret and (kind, hash) -> time of what is still forgotten; a lifted one has the time 0.

    Raises ProfileError for a damaged line.
    """
    path = path_of(store)
    secret, found = b"", dict[tuple[str, str], float]()
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break  # It was being written when the process was killed.
        try:
            row = json.loads(line)
            if "secret" in row:
                secret = bytes.fromhex(row["secret"])
            else:
                found[row["kind"], row["hash"]] = float(row["time"])
        except (ValueError, KeyError, TypeError):
            raise ProfileError(
                f"{path} line {number} is damaged; it says who was forgotten, so put a copy of it back"
            ) from None
    return secret, {key: time for key, time in found.items() if time}


def merge(store: Database) -> list[str]:
    """Take over what the ledger knows and the store does not; returns the users who were there again, now taken out."""
    path, salt, sql = path_of(store.path), store.secrets[0], store.sql
    known = store.row(sql.meta, ("ledger",))
    if not store.writable or not path.exists() or (known and known[0] == path.stat().st_size):
        return []
    secret, rows = read(store.path)
    if not rows:
        return []
    with store.transaction():
        # 1. A store made anew takes the secret, so that its tombstones are those of the ledger.
        if secret and secret != salt:
            other = store.row(sql.forgotten) != (0,)
            store.do(sql.set_meta, ("salt_of_ledger" if other else "salt", secret))
            store.read_salt_anew()
        store.do_many(sql.add_tombstone, [(*key, time) for key, time in rows.items()])
        # 2. Users who are there though they were forgotten.
        gone = {name for kind, name in rows if kind == "user"}
        users = list(store.rows(sql.numbers)) if gone else []
        back = [(number, user) for number, user in users if fingerprint(secret or salt, "user", user) in gone]
        for number, _ in back:
            delete_user(store.do, sql, number)
        if back:
            store.do(sql.set_meta, ("rewrite", 1))
        store.do(sql.set_meta, ("ledger", path.stat().st_size))
    return [user for _, user in back]
