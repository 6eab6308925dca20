"""Ledger of the forgotten, a file beside the store: it outlives the store, so that a backup put back is told of them.
For a store on a database server it lies beside the keys.

One line holds the secret that hashes are keyed by, each other line a hash; no name. A store that is opened takes over
what it does not know yet. A user who is there again, from a backup, is taken out at once.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from plus.errors import DiskError, PlusError, ProfileError
from plus.jsonl import read_summaries
from plus.profiles.engine import Engine
from plus.profiles.identity import fingerprint
from plus.profiles.statements import delete_user


def spelling(user_id: str) -> str:
    """Reduce an id to what its other spellings share: case, spaces, and forms of a letter."""
    return "".join(unicodedata.normalize("NFKC", user_id).casefold().split())


def append(path: Path, secret: bytes, rows: Iterable[tuple[str, str, float]]) -> None:
    """Add (kind, hash, time) of what is forgotten; it is on disk when this returns. Raises DiskError."""
    lines = [json.dumps({"kind": kind, "hash": name, "time": time}) for kind, name, time in rows]
    new = not path.exists() or not path.stat().st_size
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
def undone(path: Path) -> Iterator[None]:
    """Take back what was appended when the transaction that forgets fails, as on a full disk.

    One forget at a time, so that nothing of another is taken back.
    """
    with _locked(path):
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


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows: the transactions of SQLite are one at a time, a moment later.
        yield
        return
    lock = path.with_name(f".{path.name}.lock")
    try:
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:  # A store that cannot be written: its transaction says so.
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def read(path: Path) -> tuple[bytes, dict[tuple[str, str], float]]:
    """Read the secret and (kind, hash) -> time of what is still forgotten; a lifted one has the time 0.

    Raises ProfileError for a damaged line.
    """
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


def _listed(runs: Iterable[str], secret: bytes, hashes: Collection[str]) -> dict[str, str]:
    """Map user -> hash of the users in summaries of run folders whose hashes these are."""
    found: dict[str, str] = {}
    for folder in runs if hashes else ():
        with suppress(PlusError, OSError):  # A folder that is gone, or half written, holds nobody to look for.
            named = {
                user: fingerprint(secret, "user", user) for user in read_summaries(Path(folder, "summaries.jsonl"))
            }
            found |= {user: name for user, name in named.items() if name in hashes}
    return found


def merge(store: Engine) -> int:
    """Take over what the ledger knows and the store does not; returns how many users were there again and are gone."""
    path, salt, sql = store.ledger, store.secrets[0], store.sql
    known = store.row(sql.meta, ("ledger",))
    if not store.writable or not path.exists() or (known and known[0] == path.stat().st_size):
        return 0
    secret, rows = read(path)
    if not rows:
        return 0
    with store.transaction():
        # 1. A store made anew takes the secret, so that its tombstones are those of the ledger.
        if secret and secret != salt:
            other = store.row(sql.forgotten) != (0,)
            store.take_secrets((salt, secret) if other else (secret,))
        runs = [folder for folder, _ in store.rows(sql.runs)]
        users = [(kind, name) for kind, name in rows if kind == "user"] if runs else []
        new = {name for kind, name in users if store.row(sql.tombstone, (kind, name)) is None}
        listed = _listed(runs, secret or salt, new)
        store.do_many(sql.add_tombstone, [(*key, time) for key, time in rows.items()])
        # 2. Users who are there though they were forgotten.
        back = store.with_hashes({name for kind, name in rows if kind == "user"})
        names = {number: [name for (name,) in store.rows(sql.user_numbered, (number,))] for number in back}
        for number in back:
            delete_user(store.do, sql, number)
        # 3. What a doctor has still to do, in run folders too: a forget may have been killed before its commit.
        left = [(name, [number], names[number]) for number, name in back.items()]
        left += [(name, [], [user]) for user, name in listed.items() if name not in back.values()]
        if left:
            subjects = [{"kind": "user", "subject": name, "time": rows["user", name], "keys": keys, "users": users}
                        for name, keys, users in left]  # fmt: skip
            store.journal(json.dumps({"subjects": subjects, "runs": runs}))
            store.do(sql.set_meta, ("rewrite", 1))
        store.do(sql.set_meta, ("ledger", path.stat().st_size))
    return len(back)
