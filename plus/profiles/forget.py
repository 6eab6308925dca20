"""Forgetting users or a conversation, with a receipt each.

A transaction takes everything out of the store and leaves tombstones, in the ledger beside it too; a row in
`unfinished` says which run folders are still to be cleaned, so that a crash only postpones that. Then what deleted rows
left in SQLite's pages, secure delete or not (notebooks/LOG.md), is overwritten (pages.py) and the log emptied. Last,
the bytes on disk are searched for the forgotten texts. However many users: one pass over the run folders, one over the
pages, one search; other writers wait for a transaction of `BATCH` users at most.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from plus.errors import ProfileError, UnknownUserError
from plus.profiles import actions, ledger, schema
from plus.profiles import runs as run_folders
from plus.profiles.engine import FORGETTING
from plus.profiles.identity import tombstones
from plus.profiles.markdown_files import file_name
from plus.profiles.receipts import Receipt, Subject, texts_of
from plus.profiles.saving import rebuild
from plus.profiles.scrub import search, sweep
from plus.profiles.sentences import split
from plus.profiles.statements import delete_user
from plus.profiles.store import Store
from plus.profiles.upkeep import is_store, upkeep
from plus.types import Event

BATCH = 100  # users a transaction: other writers wait for one


def forget_user(store: Store, user_id: str, runs: Iterable[Path] = ()) -> Receipt:
    """Forget everything of a user. A second time it only cleans what is left, such as another run folder.

    Raises UnknownUserError when neither store nor run folders know the user.
    """
    receipts, unknown = forget_users(store, [user_id], runs)
    if unknown:
        store.user(user_id)  # Raises, with the nearest ids.
    return receipts[0]


def forget_users(store: Store, user_ids: Sequence[str], runs: Iterable[Path] = ()) -> tuple[list[Receipt], list[str]]:
    """Forget users; returns (a receipt each, ids that neither store nor run folders know).

    Raises ProfileError for a folder that is no run of plus.
    """
    # 1. Look whether there is anything to forget.
    folders = folders_of(store, runs)
    names = list(dict.fromkeys(user_ids))
    known = {name for name in names if store.find(name) is not None}
    rest = {name for name in names if name not in known and not store.is_forgotten("user", name)}
    listed = {name for folder in folders for name in run_folders.listed(folder, rest)} if rest else set()
    unknown = [name for name in names if name in rest - listed]
    # 2. Out of the store, `BATCH` a transaction.
    now = round(time.time(), 3)
    leaving = [
        Subject(Receipt("user", store.fingerprint("user", name), now), [name], set(), {name})
        for name in names
        if name not in unknown
    ]
    if not leaving:
        return [], unknown
    left, journal = iter(leaving), list[int]()
    while batch := list(islice(left, BATCH)):
        journal.append(_remove(store, batch, folders, now))
    # 3. Out of everything else.
    return finish(store, leaving, folders, journal), unknown


def forget_conversation(
    store: Store, session_id: str, runs: Iterable[Path] = (), user_id: str | None = None
) -> Receipt:
    """Forget a conversation of a user: its events, and every version and sentence that was written from them.

    The rest of a summary stays; `plus summarize --update` writes it anew from the other events. user_id: whose it is,
    where several users have one of this id. Raises UnknownUserError when the store holds no such conversation.
    """
    folders = folders_of(store, runs)
    owner = _owner(store, session_id, user_id)
    receipt = Receipt("conversation", store.fingerprint("conversation", owner, session_id), round(time.time(), 3))
    leaving = Subject(receipt, [owner], set(), {session_id})
    with ledger.undone(store.file.ledger), store.transaction():
        # 1. Tombstones, and the events.
        number = store.user(owner).number
        rows = [row for row in store.rows(store.sql.events, (number,)) if row[3] == session_id]
        marks = [("conversation", receipt.subject, receipt.time)]
        for name, kind, moment, _, _, content, _ in rows:
            event = Event(name, kind, schema.decode_content(content), moment)
            hashes = (store.fingerprint("event", owner, one) for one in tombstones(name, owner, event))
            marks += [("event", one, receipt.time) for one in hashes]
            leaving.ids.add(name)
            leaving.texts |= texts_of(content)
        tombstone(store, marks)
        store.do(store.sql.drop_conversation, (number, session_id))
        # 2. What the user's summary says because of them.
        gone, sentences, again = rebuild(store, owner, {name for name, *_ in rows})
        leaving.texts |= sentences
        receipt.rebuilt, receipt.removed = int(again), {"events": len(rows), "versions": gone, "users": 0}
        actions.note(store, "forget", owner, "a conversation")
        journal = begin(store, [leaving], folders)
    # 3. Out of everything else.
    return finish(store, [leaving], folders, [journal])[0]


def planned(store: Store, user_ids: Sequence[str], runs: Iterable[Path] = ()) -> list[dict[str, Any]]:
    """Count what forgetting users would take out of the store and of each file, and take nothing out."""
    folders, found = folders_of(store, runs), []
    for name in dict.fromkeys(user_ids):
        user = store.find(name)
        tables = {"events": store.sql.events, "versions": store.sql.versions, "rules": store.sql.rules}
        counts = {table: len(list(store.rows(sql, (user.number,)))) if user else 0 for table, sql in tables.items()}
        files = {str(folder): run_folders.forget(folder, {name}, dry_run=True)[name] for folder in folders}
        found.append({"user_id": name, "store": counts, "runs": {key: value for key, value in files.items() if value}})
    return found


def finish_interrupted(store: Store) -> list[Receipt]:
    """Complete forgets that a crash cut short: partial exports, run folders, the rewriting; returns their receipts."""
    sweep(store)
    left = {number: json.loads(work) for number, work in list(store.rows(store.sql.unfinished))}
    subjects = []
    for work in left.values():
        for one in work.get("subjects") or [{"kind": "user", **work}]:  # Before one forget could be of many.
            receipt = Receipt(one["kind"], one["subject"], one["time"], one.get("removed", {}))
            subjects.append(Subject(receipt, one["users"], set(), set(one["users"]), one.get("keys", [])))
    if left or store.row(store.sql.meta, ("rewrite",)):
        finish(store, subjects, [Path(run) for work in left.values() for run in work["runs"]], list(left))
    return [one.receipt for one in subjects]


def lift(store: Store, user_id: str) -> bool:
    """Let a forgotten user's id be used again; False where it was not forgotten. The data does not come back."""
    spelled = store.fingerprint("spelling", ledger.spelling(user_id))
    with store.transaction():
        lifted = store.lift([("user", store.fingerprint("user", user_id)), ("spelling", spelled)])
        if lifted:
            actions.note(store, "lift", user_id)
    return lifted


def folders_of(store: Store, runs: Iterable[Path]) -> list[Path]:
    """List the run folders that the store knows and those that were named, which must be runs of plus."""
    named = [run.resolve() for run in runs]
    for folder in named:
        if folder.is_dir() and not run_folders.is_ours(folder):
            raise ProfileError(
                f"{folder} is no folder that plus wrote (no config.json with rows beside it); nothing was changed, "
                "give --run a run folder"
            )
    return list(dict.fromkeys([*store.runs(), *named]))


def _owner(store: Store, session_id: str, user_id: str | None) -> str:
    """The user whose conversation it is. Raises ProfileError where several have one of this id."""
    owners: list[str] = [name for name, _ in store.rows(store.sql.owners, (session_id,)) if user_id in (None, name)]
    if len(owners) > 1:
        raise ProfileError(
            f"{len(owners)} users have a conversation {session_id!r} ({', '.join(map(repr, owners[:5]))}); nothing was "
            "changed, say whose with --user_id"
        )
    if owners:
        return owners[0]
    if user_id is None or not store.is_forgotten("conversation", user_id, session_id):
        raise UnknownUserError(f"the store holds no event of a conversation {session_id!r}; nothing was changed")
    return user_id


def tombstone(store: Store, marks: Sequence[tuple[str, str, float]]) -> None:
    """Add tombstones, to the ledger too; no export is published meanwhile."""
    store.hold([FORGETTING])
    store.do_many(store.sql.add_tombstone, marks)
    ledger.append(store.file.ledger, store.salt, marks)
    store.do(store.sql.set_meta, ("ledger", store.file.ledger.stat().st_size))


def _remove(store: Store, leaving: Sequence[Subject], folders: Sequence[Path], now: float) -> int:
    """Take users out of the store; the ledger first, so that nobody comes back who was asked to go."""
    marks = [("user", one.receipt.subject, now) for one in leaving]
    marks += [("spelling", store.fingerprint("spelling", ledger.spelling(one.user_ids[0])), now) for one in leaving]
    with ledger.undone(store.file.ledger), store.transaction():
        store.hold(one.user_ids[0] for one in leaving)
        tombstone(store, marks)
        for one in leaving:
            found = store.find(one.user_ids[0])
            actions.note(store, "forget", one.user_ids[0])
            one.receipt.removed = _remove_user(store, found.number, one) if found else {}
            one.keys = [found.number] if found else []
        return begin(store, leaving, folders)


def _remove_user(store: Store, number: int, leaving: Subject) -> dict[str, int]:
    """Delete a user's rows, collecting the texts to look for afterwards."""
    for name, _, _, session, _, content, _ in store.rows(store.sql.events, (number,)):
        leaving.texts |= {name, session, *texts_of(content)}
    for sql in (store.sql.versions, store.sql.rules):
        for _, text, *_ in store.rows(sql, (number,)):  # A row begins with the number or kind, then the text.
            leaving.texts |= {text, *(text[start:end] for start, end in split(text))}
    return delete_user(store.do, store.sql, number)


def begin(store: Store, leaving: Sequence[Subject], folders: Sequence[Path]) -> int:
    """Journal what is left to do, in the transaction that forgets; returns the entry's number."""
    store.do(store.sql.set_meta, ("rewrite", 1))
    subjects = [_noted(one, one.user_ids if one.receipt.kind == "user" else []) for one in leaving]
    return store.file.journal(json.dumps({"subjects": subjects, "runs": [str(folder) for folder in folders]}))


def _noted(one: Subject, users: Sequence[str]) -> dict[str, Any]:
    return {"users": users, "keys": one.keys, **asdict(one.receipt)}


def finish(store: Store, leaving: Sequence[Subject], folders: Sequence[Path], journal: Sequence[int]) -> list[Receipt]:
    """Do what follows the transaction that forgets: exports, run folders, the cleaning, the search, the receipts."""
    # 1. Files that plus made: those of others are named, our own cleaned.
    sweep(store)
    _exports(store, leaving)
    _clean(store, leaving, folders)
    with store.transaction():  # The journal holds no name from here on, since pages keep what is deleted.
        nameless = json.dumps({"subjects": [_noted(one, []) for one in leaving], "runs": []})
        store.do_many(store.sql.drop_unfinished, [(number,) for number in journal])
        notes, journal = journal, [store.file.journal(nameless)]
    # 2. The store's file, or the keys on a server; then look whether anything is left.
    care = upkeep(store.file)
    undone = care.clean([*(key for one in leaving for key in one.keys), *notes])
    search(store, leaving, folders)
    programs = care.programs()
    # 3. The receipts, kept as hashes; what was to be done is done.
    with store.transaction():
        for one in leaving:
            one.receipt.rewritten, one.receipt.not_rewritten = not undone, undone
            one.receipt.programs, one.receipt.kept = programs, care.kept(one.receipt.kind)
            row = (one.receipt.kind, one.receipt.subject, one.receipt.as_dict()["sha256"], one.receipt.time)
            store.do(store.sql.add_receipt, row)
        store.do_many(store.sql.drop_unfinished, [(number,) for number in journal])
    return [one.receipt for one in leaving]


def _clean(store: Store, leaving: Sequence[Subject], folders: Sequence[Path]) -> None:
    """Take users out of run folders: one pass over each, for all of them."""
    users = {one.user_ids[0]: one.receipt for one in leaving if one.receipt.kind == "user" and one.user_ids}
    for folder in dict.fromkeys(folders):
        if not folder.is_dir():
            for one in leaving:
                one.receipt.runs_not_found.append(str(folder))
            continue
        other = folder / run_folders.STORE
        is_other = other.exists() and not is_store(store.file, other)
        removed = run_folders.forget(folder, set(users), {name: (r.subject, r.time) for name, r in users.items()})
        for one in leaving:
            one.receipt.other_stores += [str(other)] if is_other else []
        for name, receipt in users.items():
            receipt.runs |= {str(folder): removed[name]} if removed[name] else {}
            receipt.retrain += run_folders.weights(folder) if run_folders.noted(folder, receipt.subject) else []


def exports_with(store: Store, user_ids: Sequence[str]) -> list[str]:
    """List the exported files that may hold the users: of a folder of Markdown the person's own file."""
    return _listed(store, user_ids, list(store.rows(store.sql.exports)))


def _exports(store: Store, leaving: Sequence[Subject]) -> None:
    rows = list(store.rows(store.sql.exports))
    for one in leaving:
        one.receipt.exports += _listed(store, one.user_ids, rows)


def _listed(store: Store, user_ids: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> list[str]:
    hashes, found = {store.fingerprint("user", user) for user in user_ids}, []
    for path, users in ((Path(path), users) for _, path, _, _, users, finished in rows if finished):
        if path.exists() and (not users or hashes & set(json.loads(users))):
            own = path / file_name(user_ids[0]) if path.is_dir() and user_ids else path
            found += [str(own)] if own.exists() else []
    return found
