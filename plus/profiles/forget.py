"""Forgetting a user or a conversation, with a receipt.

One transaction takes everything out of the store and leaves a tombstone; a row in `unfinished` says which run folders
are still to be cleaned, so that a crash only postpones that. Then the file is rewritten (VACUUM) and its log emptied:
deleted rows would otherwise linger in the slack of SQLite's pages, secure delete or not (notebooks/LOG.md). Last, the
bytes on disk are searched for the forgotten texts.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from plus.errors import UnknownUserError
from plus.profiles import runs as run_folders
from plus.profiles import schema
from plus.profiles.identity import tombstones
from plus.profiles.saving import rebuild
from plus.profiles.scrub import programs_with, rewrite, search, sweep
from plus.profiles.store import Store
from plus.types import Event


@dataclass
class Receipt:
    """Receipt of a forget, without a name in it: `subject` can be checked with the id and the store."""

    kind: str
    subject: str
    time: float
    removed: dict[str, int] = field(default_factory=dict)
    rebuilt: int = 0
    runs: dict[str, dict[str, int]] = field(default_factory=dict)
    runs_not_found: list[str] = field(default_factory=list)
    retrain: list[str] = field(default_factory=list)
    exports: list[str] = field(default_factory=list)
    other_stores: list[str] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)
    rewritten: bool = False
    searched: dict[str, int] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain values and the hash over all of them."""
        values = asdict(self)
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
        return {**values, "sha256": hashlib.sha256(canonical).hexdigest()}


def forget_user(store: Store, user_id: str, runs: Iterable[Path] = ()) -> Receipt:
    """Forget everything of a user. A second time it only cleans what is left, such as another run folder.

    Raises UnknownUserError when neither store nor run folders know the user.
    """
    # 1. Look whether there is anything to forget.
    folders = [*store.runs(), *(run.resolve() for run in runs)]
    known = store.row("SELECT number FROM users WHERE user_id = ?", (user_id,))
    if (
        not known
        and not store.is_forgotten("user", user_id)
        and not any(run_folders.listed(f, {user_id}) for f in folders)
    ):
        store.user(user_id)  # Raises, with the nearest ids.
    # 2. Out of the store, in one transaction.
    receipt = Receipt("user", store.fingerprint("user", user_id), round(time.time(), 3))
    texts = {user_id}
    with store.transaction() as connection:
        _tombstone(connection, "user", receipt.subject, receipt.time)
        if known:
            number = connection.execute("SELECT number FROM users WHERE user_id = ?", (user_id,)).fetchone()
            receipt.removed = _remove_user(connection, number[0], texts) if number else {}
        _begin(connection, receipt, [user_id], folders)
    # 3. Out of everything else.
    _exports(store, receipt, [user_id])
    return _finish(store, receipt, texts, folders)


def forget_conversation(store: Store, session_id: str, runs: Iterable[Path] = ()) -> Receipt:
    """Forget a conversation: its events, and every version and sentence that was written from them.

    The rest of a summary stays; `plus summarize --update` writes it anew from the other events. Raises
    UnknownUserError when the store holds no such conversation.
    """
    folders = [*store.runs(), *(run.resolve() for run in runs)]
    receipt = Receipt("conversation", store.fingerprint("conversation", session_id), round(time.time(), 3))
    texts = {session_id}
    with store.transaction() as connection:
        found = connection.execute(
            "SELECT e.user, u.user_id, e.event_id, e.kind, e.time, e.content FROM events e "
            "JOIN users u ON u.number = e.user WHERE e.session_id = ? AND e.session_id <> ''",
            (session_id,),
        ).fetchall()
        if not found and not store.is_forgotten("conversation", session_id):
            raise UnknownUserError(f"the store holds no event of a conversation {session_id!r}; nothing was changed")
        # 1. Tombstones, and the events.
        _tombstone(connection, "conversation", receipt.subject, receipt.time)
        users: dict[int, tuple[str, list[str]]] = {}
        for number, user_id, event_id, kind, time_, content in found:
            users.setdefault(number, (user_id, []))[1].append(event_id)
            event = Event(event_id, kind, schema.decode_content(content), time_)
            for name in tombstones(event_id, user_id, event):
                _tombstone(connection, "event", store.fingerprint("event", user_id, name), receipt.time)
            texts |= {event_id, *_texts(content)}
        connection.execute("DELETE FROM events WHERE session_id = ? AND session_id <> ''", (session_id,))
        # 2. What each user's summary says because of them.
        versions = 0
        for number, (user_id, event_ids) in users.items():
            gone, sentences, again = rebuild(connection, store, number, user_id, set(event_ids))
            versions, receipt.rebuilt = versions + gone, receipt.rebuilt + again
            texts |= sentences
        receipt.removed = {"events": len(found), "versions": versions, "users": 0}
        names = [user_id for user_id, _ in users.values()]
        _begin(connection, receipt, names, folders)
    # 3. Out of everything else.
    _exports(store, receipt, names)
    return _finish(store, receipt, texts, folders)


def finish_interrupted(store: Store) -> int:
    """Complete forgets that a crash cut short: partial exports, run folders, the rewriting; returns how many."""
    sweep(store)
    left = [json.loads(work) for (work,) in store.rows("SELECT work FROM unfinished ORDER BY number")]
    if left or store.row("SELECT 1 FROM meta WHERE key = 'rewrite'"):
        _clean(store, Receipt("", "", 0.0))
        rewrite(store)
    return len(left)


def lift(store: Store, user_id: str) -> bool:
    """Let a forgotten user's id be used again; False where it was not forgotten. The data does not come back."""
    with store.transaction() as connection:
        found = connection.execute(
            "DELETE FROM tombstones WHERE kind = 'user' AND hash = ?", (store.fingerprint("user", user_id),)
        )
        return found.rowcount > 0


def _tombstone(connection: sqlite3.Connection, kind: str, fingerprint: str, now: float) -> None:
    connection.execute("INSERT OR IGNORE INTO tombstones VALUES (?, ?, ?)", (kind, fingerprint, now))


def _remove_user(connection: sqlite3.Connection, number: int, texts: set[str]) -> dict[str, int]:
    """Delete a user's rows, collecting the texts to look for afterwards."""
    for event_id, content in connection.execute("SELECT event_id, content FROM events WHERE user = ?", (number,)):
        texts |= {event_id, *_texts(content)}
    for table in ("versions", "rules"):
        texts |= {text for (text,) in connection.execute(f"SELECT text FROM {table} WHERE user = ?", (number,))}
    removed = {
        table: connection.execute(f"DELETE FROM {table} WHERE user = ?", (number,)).rowcount
        for table in ("events", "versions", "rules")
    }
    return {**removed, "users": connection.execute("DELETE FROM users WHERE number = ?", (number,)).rowcount}


def _begin(connection: sqlite3.Connection, receipt: Receipt, users: Sequence[str], folders: Sequence[Path]) -> None:
    """Journal what is left to do, in the transaction that forgets."""
    work = {"users": list(users), "runs": [str(f) for f in folders], "subject": receipt.subject, "time": receipt.time}
    connection.execute("INSERT INTO unfinished(work) VALUES (?)", (json.dumps(work),))
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('rewrite', 1)")


def _finish(store: Store, receipt: Receipt, texts: set[str], folders: Sequence[Path]) -> Receipt:
    sweep(store)
    _clean(store, receipt)
    receipt.rewritten = rewrite(store)
    receipt.found, receipt.searched = search(store, texts, folders)
    receipt.programs = programs_with(store.path)
    return receipt


def _clean(store: Store, receipt: Receipt) -> None:
    """Clean the run folders of everything unfinished, and cross it off."""
    for number, work in list(store.rows("SELECT number, work FROM unfinished ORDER BY number")):
        left = json.loads(work)
        for folder in dict.fromkeys(map(Path, left["runs"])):
            if not folder.is_dir():
                receipt.runs_not_found.append(str(folder))
                continue
            other = folder / run_folders.STORE
            if other.exists() and not other.samefile(store.path):
                receipt.other_stores.append(str(other))
            removed = run_folders.forget(folder, set(left["users"]), left["subject"], left["time"])
            if removed:
                receipt.runs[str(folder)] = removed
            if run_folders.noted(folder, left["subject"]):
                receipt.retrain += run_folders.weights(folder)
        with store.transaction() as connection:
            connection.execute("DELETE FROM unfinished WHERE number = ?", (number,))


def _exports(store: Store, receipt: Receipt, users: Collection[str]) -> None:
    """Name the exported files that may hold the users."""
    hashes = {store.fingerprint("user", user) for user in users}
    for path, names in store.rows("SELECT path, users FROM exports WHERE finished IS NOT NULL"):
        if Path(path).exists() and (not names or hashes & set(json.loads(names))):
            receipt.exports.append(path)


def _texts(content: str) -> set[str]:
    """The texts in an event's JSON, escaped and plain."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, str):
            found.update((value, json.dumps(value, ensure_ascii=False)[1:-1]))
        elif isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, dict):
            for item in value.values():
                walk(item)

    walk(json.loads(content))
    return found
