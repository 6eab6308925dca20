"""What is left of a user's summaries when some of their events are gone."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection

from plus.profiles import versions
from plus.profiles.rules import joined
from plus.profiles.sentences import carry
from plus.profiles.store import Store
from plus.profiles.versions import Version


def rebuild(
    connection: sqlite3.Connection, store: Store, number: int, user_id: str, events: Collection[str]
) -> tuple[int, set[str], bool]:
    """Inside a transaction: delete every version that was written from one of `events` or holds a
    sentence that was, and show what is left of the current one.

    Returns how many versions went, the texts that went, and whether a new version was needed.
    The user counts as having news, so that the next update reads the remaining events.
    """
    history = store.history(user_id)
    read = {version.version for version in history if set(version.evidence) & set(events)}
    tainted = [v for v in history if v.version in read or any(s.since in read for s in v.sentences)]
    clean = {s.text for v in history for s in v.sentences if s.since not in read}
    texts = {s.text for v in tainted for s in v.sentences if s.since in read} - clean
    current = store.current(user_id)
    for version in tainted:
        connection.execute("DELETE FROM versions WHERE user = ? AND version = ?", (number, version.version))
    for kind, text in connection.execute("SELECT kind, text FROM rules WHERE user = ?", (number,)).fetchall():
        if text in texts:
            connection.execute("DELETE FROM rules WHERE user = ? AND kind = ? AND text = ?", (number, kind, text))
    connection.execute(
        "UPDATE users SET read_upto = 0, last_event = (SELECT coalesce(max(number), 0) FROM events WHERE user = ? AND NOT held_out) WHERE number = ?",
        (number, number),
    )  # fmt: skip
    if current is None or current not in tainted:
        return len(tainted), texts, False
    rest = [sentence for sentence in current.sentences if sentence.since not in read]
    connection.execute("UPDATE users SET current = 0 WHERE number = ?", (number,))
    if rest:
        _show(connection, number, current, joined([sentence.text for sentence in rest]))
    return len(tainted), texts, bool(rest)


def _show(connection: sqlite3.Connection, number: int, before: Version, text: str) -> None:
    """A new version of the sentences that are left, each with its id, author and first version."""
    newest, next_sentence = connection.execute(
        "SELECT newest, next_sentence FROM users WHERE number = ?", (number,)
    ).fetchone()
    sentences, next_sentence = carry(text, before.sentences, next_sentence, before.origin, newest + 1)
    new = Version(
        before.user_id, newest + 1, text, versions.as_spans(sentences), before.origin, before.model, before.run,
        round(time.time(), 3), (), None, "what is left after forgetting a conversation",
    )  # fmt: skip
    connection.execute(
        f"INSERT INTO versions(user, {versions.COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (number, *versions.to_row(new)),
    )
    connection.execute("UPDATE users SET current = ?, newest = ? WHERE number = ?", (newest + 1, newest + 1, number))
