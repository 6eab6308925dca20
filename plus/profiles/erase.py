"""Erase one sentence about a user out of every version, with a receipt.

Its words are nowhere in the store afterwards. What keeps a model from writing them again is a hash, among the
tombstones and in the ledger beside the store. The events that the summary was written from stay: `plus forget
--conversation` takes those.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

from plus.profiles import actions, ledger, versions
from plus.profiles.forget import begin, finish, folders_of, tombstone
from plus.profiles.receipts import Receipt, Subject
from plus.profiles.saving import rechain
from plus.profiles.sentences import normalized
from plus.profiles.store import Store
from plus.profiles.users import UserRow
from plus.profiles.versions import Version


def erase_sentence(store: Store, user_id: str, name: str, runs: Iterable[Path] = ()) -> Receipt:
    """Erase a sentence of the current summary by its id, in every wording that it had, and the rules that hold it.

    Raises UnknownUserError, and ProfileError for an unknown id.
    """
    folders = folders_of(store, runs)
    now = round(time.time(), 3)
    with ledger.undone(store.file.ledger), store.transaction():
        # 1. Its wordings.
        user = store.user(user_id)
        versions.find(store.current(user_id), name)
        history = store.history(user_id)
        texts = {one.text for version in history for one in version.sentences if one.id == name}
        words = {normalized(text) for text in texts}
        # 2. Their hashes, which refuse them from now on.
        marks = [("sentence", store.fingerprint("sentence", user_id, one), now) for one in sorted(words)]
        tombstone(store, marks)
        # 3. Out of the versions and the rules.
        changed = [version for version in history if _cut(store, user, version, words)]
        rules = list(store.rows(store.sql.rules, (user.number,)))
        gone = [(user.number, kind, text) for kind, text in rules if normalized(text) in words]
        store.do_many(store.sql.drop_rule, gone)
        rechain(store, user.number)
        removed = {"sentences": len(texts), "versions": len(changed), "rules": len(gone)}
        actions.note(store, "erase", user_id, name)
        receipt = Receipt("sentence", marks[0][1], now, removed)
        leaving = Subject(receipt, [user_id], texts | {text for _, _, text in gone}, set())
        journal = begin(store, [leaving], folders)
    return finish(store, [leaving], folders, [journal])[0]


def _cut(store: Store, user: UserRow, version: Version, words: set[str]) -> bool:
    """Write a version without the sentences of these words; false where it has none."""
    ids = {one.id for one in version.sentences if normalized(one.text) in words}
    if not ids:
        return False
    left = versions.leave_out(version, ids, user.next_sentence)
    place = (user.number, version.version)
    store.do(store.sql.reword, (left.text, json.dumps(left.spans, separators=(",", ":")), *place))
    return True
