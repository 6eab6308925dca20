"""New versions of a summary: written by a model under people's rules, by a person, or left after forgetting."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from plus.errors import ConflictError, ForgottenError, ProfileError
from plus.profiles import actions, schema, versions
from plus.profiles.sentences import Sentence, carry, normalized, split
from plus.profiles.store import Store, SummaryInput
from plus.profiles.text_filters import holds
from plus.profiles.users import UserRow
from plus.profiles.versions import Composed, Similar, Version, compose, joined


def save_model(
    store: Store,
    reading: SummaryInput,
    text: str,
    model: str = "",
    run: str = "",
    similar: Similar | None = None,
) -> tuple[Version, Composed]:
    """Save a model's text under people's rules, those set since `reading` too; returns (version, composed text).

    The same text as before makes no new version. Raises ForgottenError when the user, or an event that was read, has
    been forgotten meanwhile.
    """
    user_id, evidence = reading.history.user_id, tuple(event.id for event in reading.history.events)
    schema.checked(text, f"the summary of {user_id!r}")
    erased = erased_from(store, user_id)
    if similar is not None and reading.current:  # An embedding model is asked now, not while others wait.
        compose(text, reading.current.sentences, store.rules(user_id), similar, erased)
    with store.transaction():
        # 1. Refuse a text written from anything that is gone.
        user = store.user(user_id)
        there = {name for (name,) in store.rows(store.sql.event_ids, (user.number,))}
        if user.number != reading.number or not there.issuperset(evidence):
            raise ForgottenError(
                f"what this summary of {user_id!r} was written from has been forgotten; summarize again"
            )
        # 2. Put people's rules over it.
        current = store.current(user_id)
        composed = compose(text, current.sentences if current else (), store.rules(user_id), similar, erased)
        # 3. Note what was read, and save the text if it is a new one.
        store.do(store.sql.note_read, (reading.upto, user.number, reading.upto))
        if current and current.text == composed.text:
            return current, composed
        new = Version(user_id, 0, composed.text, (), "model", model, run, _now(), evidence)
        return _insert(store, user, new, current), composed


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

    keep: words -> id, gone: ids, see `sentences.carry`. Raises ConflictError, with the diff, when there is a newer
    version, and ProfileError when a locked sentence would go or a forbidden one come.
    """
    schema.checked(text, f"the summary of {user_id!r}")
    with store.transaction():
        # 1. Refuse an edit of any other version than the current one.
        if base == 0:
            store.refuse_forgotten("user", user_id)
            store.enrol(user_id)
        user = store.user(user_id)
        current = check_base(store, user_id, base)
        if current and current.text == text:
            return current
        # 2. Hold the text to the rules, and save it.
        _obey(store, user, user_id, current.sentences if current else (), text)
        new = Version(user_id, 0, text, (), "user", "", "", _now(), (), None, note)
        saved = _insert(store, user, new, current, keep, gone)
        _follow(store, user, current, saved)
        actions.note(store, "edit", user_id, f"version {saved.version}")
        return saved


def check_base(store: Store, user_id: str, base: int) -> Version | None:
    """Return the current version, inside a transaction. Raises ConflictError, with the diff, where it is not `base`."""
    number, current = store.user(user_id).current, store.current(user_id)
    if number != base:
        old = store.version(user_id, base) if base else None
        raise ConflictError(
            f"{user_id!r} was changed meanwhile: version {number} is there, your edit was made from {base}; "
            "nothing was written, look at the change and edit again",
            versions.diff(old, current.text if current else "", f"version {number}"),
        )
    return current


def restore(store: Store, user_id: str, number: int, base: int | None = None) -> Version:
    """Save an older version again, as a new one with the same sentences.

    base: the version that was current when the user asked. Raises UnknownUserError, and ConflictError.
    """
    with store.transaction():
        user, old = store.user(user_id), store.version(user_id, number)
        current = store.current(user_id) if base is None else check_base(store, user_id, base)
        if current and current.text == old.text:
            return current
        _obey(store, user, user_id, current.sentences if current else (), old.text)
        new = Version(
            user_id, user.newest + 1, old.text, old.spans, "user", "", "", _now(), (), None, f"version {number} again"
        )
        _write(store, user, new, user.next_sentence)
        _follow(store, user, current, new)
        actions.note(store, "restore", user_id, f"version {number} as version {new.version}")
        return new


def put(store: Store, user: UserRow, version: Version, next_sentence: int) -> None:
    """Write a version as it is, with its number, as an import brings it."""
    _write(store, user, version, next_sentence)


def erased_from(store: Store, user_id: str) -> Callable[[str], bool]:
    """Return what tells whether a sentence was erased from the user's summary."""
    if not store.forgotten():
        return lambda sentence: False
    return lambda sentence: store.is_forgotten("sentence", user_id, normalized(sentence))


def set_rule(store: Store, user_id: str, kind: str, text: str, on: bool = True) -> None:
    """Add or lift a lock, a ban or a pause of a sentence."""
    with store.transaction():
        user = store.user(user_id)
        sql = store.sql.add_rule if on else store.sql.drop_rule
        store.do(sql, (user.number, kind, text))
        note_change(store, user.number)


def set_score(store: Store, version: Version, score: Mapping[str, Any]) -> None:
    """Keep a score with a version; one that has gone meanwhile is left alone."""
    with store.transaction():
        if (user := store.find(version.user_id)) is not None:
            store.do(store.sql.score, (json.dumps(score), user.number, version.version))


def rebuild(store: Store, user_id: str, events: Collection[str]) -> tuple[int, set[str], bool]:
    """Delete, inside a transaction, each version of a user that was written from `events`, and each sentence of those.

    Of the current version the other sentences stay, as a new version. The user counts as having new events, so that the
    next update reads the remaining ones. Returns (versions deleted, texts deleted, was a new version needed?).
    """
    # 1. Which versions have read the events, and which hold a sentence of those.
    history = store.history(user_id)
    read = {version.version for version in history if set(version.evidence) & set(events)}
    tainted = [v for v in history if v.version in read or any(s.since in read for s in v.sentences)]
    clean = {s.text for v in history for s in v.sentences if s.since not in read}
    texts = {s.text for v in tainted for s in v.sentences if s.since in read} - clean
    # 2. Delete them, and the rules about their sentences.
    user, current, sql = store.user(user_id), store.current(user_id), store.sql
    number = user.number
    store.do_many(sql.drop_version, [(number, version.version) for version in tainted])
    for kind, text in list(store.rows(sql.rules, (number,))):
        if text in texts:
            store.do(sql.drop_rule, (number, kind, text))
    rechain(store, number)
    store.do(sql.unread, (number, number))
    # 3. Show what is left of the current version.
    if current is None or current not in tainted:
        return len(tainted), texts, False
    rest = [sentence.text for sentence in current.sentences if sentence.since not in read]
    store.do(sql.hide, (number,))
    if rest:
        note = "what is left after forgetting a conversation"
        left = replace(current, text=joined(rest), spans=(), created=_now(), evidence=(), score=None, note=note)
        _insert(store, user, left, current)
    return len(tainted), texts, bool(rest)


def _obey(store: Store, user: UserRow, user_id: str, before: Sequence[Sentence], text: str) -> None:
    """Hold a person's text to their locks and bans, and remember the sentences they took out."""
    rules = store.rules(user_id)
    words = [text[start:end] for start, end in split(text)]
    statements = {normalized(word) for word in words}
    # A locked sentence must be there, word for word; a forbidden one must not.
    lost = next((locked for locked in rules.lock if locked not in words), None)
    if lost is not None:
        name = next((sentence.id for sentence in before if sentence.text == lost), "it")
        raise ProfileError(
            f"{name} of {user_id!r} is locked; unlock it first with plus profile lock {user_id} {name} --off"
        )
    if any(normalized(ban) in statements for ban in rules.forbid):  # The statement itself stays out of the message.
        raise ProfileError(
            f"the text holds a statement that is forbidden for {user_id!r}; plus profile show {user_id} lists those, "
            f"plus profile forbid {user_id} TEXT --off allows one"
        )
    if found := next((ban for ban in rules.bans if any(holds((ban,), one) for one in words)), ""):
        raise ProfileError(
            f"the text holds {found!r}, which a rule keeps out of every summary here; plus profile rules lists those"
        )
    erased = erased_from(store, user_id)
    if any(erased(word) for word in words):
        raise ProfileError(
            f"the text holds a sentence that was erased for {user_id!r}; plus profile forbid {user_id} TEXT --off "
            "allows its words again"
        )
    # A sentence taken out is not to come back from a model; one added again may.
    removed = [(user.number, "removed", s.text) for s in before if normalized(s.text) not in statements]
    back = [(user.number, "removed", text) for text in rules.removed if normalized(text) in statements]
    store.do_many(store.sql.add_rule, removed)
    store.do_many(store.sql.drop_rule, back)


def _follow(store: Store, user: UserRow, before: Version | None, after: Version) -> None:
    """Let a pause go with its sentence: to its new words, or away with it."""
    rules, there = store.rules(after.user_id), {one.id: one for one in after.sentences}
    for old in before.sentences if before and rules.paused else ():
        if not rules.pauses(old.text) or any(normalized(one.text) == normalized(old.text) for one in after.sentences):
            continue
        same = [text for text in rules.paused if normalized(text) == normalized(old.text)]
        store.do_many(store.sql.drop_rule, [(user.number, "paused", text) for text in same])
        if old.id in there:
            store.do(store.sql.add_rule, (user.number, "paused", there[old.id].text))


def _insert(
    store: Store,
    user: UserRow,
    new: Version,
    current: Version | None,
    keep: Mapping[str, str] | None = None,
    gone: Collection[str] = (),
) -> Version:
    """Number the version and its sentences, and write it."""
    number = user.newest + 1
    before = current.sentences if current else ()
    sentences, next_sentence = carry(new.text, before, user.next_sentence, new.origin, number, keep, gone)
    return _write(store, user, replace(new, version=number, spans=versions.as_spans(sentences)), next_sentence)


def _write(store: Store, user: UserRow, version: Version, next_sentence: int) -> Version:
    number, sql = user.number, store.sql
    row = versions.to_row(version)
    before = store.row(sql.chain_before, (number, version.version)) if user.newest else None
    chain = versions.chained(before[0] if before else "", row)
    store.do(sql.add_version, (number, *row, chain))
    newest, upto = max(user.newest, version.version), max(user.next_sentence, next_sentence)
    store.do(sql.show, (version.version, newest, upto, number))
    note_change(store, number)
    return version


def note_change(store: Store, number: int) -> None:
    """Note when a user's text or rules changed, never before an earlier change: a clock may go backwards."""
    store.do(store.sql.note_change, (_now(), number))


def rechain(store: Store, number: int) -> None:
    """Link the versions that are left after some were deleted."""
    chain = ""
    for row in list(store.rows(store.sql.versions, (number,))):
        chain = versions.chained(chain, row)
        store.do(store.sql.chain, (chain, number, row[0]))


def _now() -> float:
    """Now, in whole milliseconds, which every format can hold."""
    return round(time.time(), 3)
