"""Writing a new version: by a model, under what people fixed, or by a person, on top of what they saw."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from plus.errors import ConflictError, ForgottenError, ProfileError
from plus.profiles import encoding, versions
from plus.profiles.edits import without
from plus.profiles.rules import Composed, Similar, compose
from plus.profiles.sentences import Sentence, carry, normalized, split
from plus.profiles.store import Reading, Store, User
from plus.profiles.versions import Version


def save_model(
    store: Store,
    reading: Reading,
    text: str,
    model: str = "",
    run: str = "",
    similar: Similar | None = None,
) -> tuple[Version, Composed]:
    """Save what a model wrote from `reading`, together with what people fixed, also since then.

    The same text as before makes no new version. Raises ForgottenError when the user, or an event
    that was read, has been forgotten meanwhile.
    """
    user_id, evidence = reading.history.user_id, tuple(event.id for event in reading.history.events)
    encoding.valid(text, f"the summary of {user_id!r}")
    if similar is not None and reading.current:  # An embedding model is asked now, not while others wait.
        compose(text, reading.current.sentences, store.rules(user_id), similar)
    with store.transaction() as connection:
        user = store.user(user_id)
        there = {row[0] for row in connection.execute("SELECT event_id FROM events WHERE user = ?", (user.number,))}
        if user.number != reading.number or not there.issuperset(evidence):
            raise ForgottenError(
                f"what this summary of {user_id!r} was written from has been forgotten; summarize again"
            )
        current = store.current(user_id)
        composed = compose(text, current.sentences if current else (), store.rules(user_id), similar)
        connection.execute(
            "UPDATE users SET read_upto = max(read_upto, ?) WHERE number = ?", (reading.upto, user.number)
        )
        if current and current.text == composed.text:
            return current, composed
        new = Version(user_id, 0, composed.text, (), "model", model, run, _now(), evidence)
        return _insert(connection, store, user, new, current), composed


def save_user(
    store: Store,
    user_id: str,
    text: str,
    base: int,
    keep: Mapping[str, str] | None = None,
    gone: Collection[str] = (),
    note: str = "",
) -> Version:
    """Save a person's text, made from version `base` (0: from nothing; a new user is made).

    `keep` (words -> id) and `gone` (ids) are what the edit says of sentences, see `sentences.carry`. Raises
    ConflictError, with the diff, when there is a newer version, and ProfileError when a locked sentence
    would go or a forbidden one come.
    """
    encoding.valid(text, f"the summary of {user_id!r}")
    with store.transaction() as connection:
        if base == 0:
            store.refuse_forgotten("user", user_id)
            store.enrol(connection, user_id)
        user = store.user(user_id)
        current = store.current(user_id)
        if user.current != base:
            changed = versions.diff(
                store.version(user_id, base) if base else None,
                current.text if current else "",
                f"version {user.current}",
            )
            raise ConflictError(
                f"{user_id!r} was changed meanwhile: version {user.current} is there, your edit was made from {base}; nothing was written, look at the change and edit again",
                changed,
            )  # fmt: skip
        if current and current.text == text:
            return current
        _obey(connection, store, user, current.sentences if current else (), text)
        return _insert(
            connection,
            store,
            user,
            Version(user_id, 0, text, (), "user", "", "", _now(), (), None, note),
            current,
            keep,
            gone,
        )


def restore(store: Store, user_id: str, number: int) -> Version:
    """Show an older version again, as a new one with the same sentences. Raises UnknownUserError."""
    with store.transaction() as connection:
        user, old = store.user(user_id), store.version(user_id, number)
        current = store.current(user_id)
        if current and current.text == old.text:
            return current
        _obey(connection, store, user, current.sentences if current else (), old.text)
        new = Version(
            user_id, user.newest + 1, old.text, old.spans, "user", "", "", _now(), (), None, f"version {number} again"
        )
        return _write(connection, user, new, user.next_sentence)


def put(connection: sqlite3.Connection, user: User, version: Version, next_sentence: int) -> None:
    """Write a version as it is, with its number: what comes back from an export."""
    _write(connection, user, version, next_sentence)


def set_rule(store: Store, user_id: str, kind: str, text: str, on: bool = True) -> None:
    """Add or lift a lock or a ban."""
    with store.transaction() as connection:
        user = store.user(user_id)
        if on:
            connection.execute("INSERT OR IGNORE INTO rules VALUES (?, ?, ?)", (user.number, kind, text))
        else:
            connection.execute("DELETE FROM rules WHERE user = ? AND kind = ? AND text = ?", (user.number, kind, text))


def _obey(connection: sqlite3.Connection, store: Store, user: User, before: Sequence[Sentence], text: str) -> None:
    """Hold a person's own text to their locks and bans, and remember what they took out."""
    user_id = connection.execute("SELECT user_id FROM users WHERE number = ?", (user.number,)).fetchone()[0]
    rules = store.rules(user_id)
    words = [text[start:end] for start, end in split(text)]
    said = {normalized(word) for word in words}
    lost = next((locked for locked in rules.lock if locked not in words), None)
    if lost is not None:
        name = next((sentence.id for sentence in before if sentence.text == lost), "it")
        raise ProfileError(
            f"{name} of {user_id!r} is locked; unlock it first with plus profile lock {user_id} {name} --off"
        )
    if any(normalized(ban) in said for ban in rules.forbid):  # The statement itself stays out of the message.
        raise ProfileError(
            f"the text holds a statement that is forbidden for {user_id!r}; plus profile show {user_id} lists those, plus profile forbid {user_id} TEXT --off allows one"
        )
    removed = [(user.number, "removed", s.text) for s in before if normalized(s.text) not in said]
    back = [(user.number, text) for text in rules.removed if normalized(text) in said]
    connection.executemany("INSERT OR IGNORE INTO rules VALUES (?, ?, ?)", removed)
    connection.executemany("DELETE FROM rules WHERE user = ? AND kind = 'removed' AND text = ?", back)


def _insert(
    connection: sqlite3.Connection,
    store: Store,
    user: User,
    new: Version,
    current: Version | None,
    keep: Mapping[str, str] | None = None,
    gone: Collection[str] = (),
) -> Version:
    """Number the version and its sentences, and write it."""
    number = user.newest + 1
    before = current.sentences if current else ()
    sentences, next_sentence = carry(new.text, before, user.next_sentence, new.origin, number, keep, gone)
    return _write(connection, user, replace(new, version=number, spans=versions.as_spans(sentences)), next_sentence)


def _write(connection: sqlite3.Connection, user: User, version: Version, next_sentence: int) -> Version:
    connection.execute(
        f"INSERT INTO versions(user, {versions.COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (user.number, *versions.to_row(version)),
    )
    connection.execute(
        "UPDATE users SET current = ?, newest = max(newest, ?), next_sentence = max(next_sentence, ?) WHERE number = ?",
        (version.version, version.version, next_sentence, user.number),
    )
    return version


def _now() -> float:
    """Now, in whole milliseconds, which every format can hold."""
    return round(time.time(), 3)


def set_score(store: Store, version: Version, score: Mapping[str, Any]) -> None:
    """Keep with a version what it scored; a version that has gone meanwhile takes none."""
    with store.transaction() as connection:
        connection.execute(
            "UPDATE versions SET score = ? WHERE version = ? AND user = (SELECT number FROM users WHERE user_id = ?)",
            (json.dumps(score), version.version, version.user_id),
        )


def forbid(store: Store, user_id: str, text: str) -> Version | None:
    """Ban a statement, and take it out of the current version if it is there. Raises ProfileError if it is locked."""
    with store.transaction():
        current = store.current(user_id)
        said = [s.id for s in current.sentences if normalized(s.text) == normalized(text)] if current else []
        if current and said:
            current = save_user(
                store, user_id, without(current, said), current.version, gone=said, note="a statement was forbidden"
            )
            for words in store.rules(user_id).removed:
                if normalized(words) == normalized(text):
                    set_rule(store, user_id, "removed", words, False)  # The ban says it already.
        set_rule(store, user_id, "forbid", text)
    return current
