"""Rules for all users of a store: words that no summary may hold ("never health").

A ban is a word or several, as whole words, a star for any ending (`text_filters.holds`): it sees what is named, and no
topic. It wins over locks and over a person's own sentences. Older versions keep what they say; `erase` takes it out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from plus.errors import ProfileError
from plus.profiles import actions
from plus.profiles.rows import profiles
from plus.profiles.saving import save_user, set_rule
from plus.profiles.sentences import Sentence
from plus.profiles.store import Store
from plus.profiles.text_filters import holds
from plus.profiles.versions import Version, without

BATCH = 100  # users a transaction: other writers wait for one


@dataclass
class Banned:
    """Counts of what bans take out of current summaries: sentences, those by their user, and those that are locked."""

    users: int = 0
    sentences: int = 0
    own: int = 0
    locked: int = 0

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values."""
        return asdict(self)


def planned(store: Store, words: Collection[str]) -> Banned:
    """Count what bans would take out of current summaries, and change nothing. Raises ProfileError for no word."""
    _refuse_empty(words)
    found = Banned()
    for version, locked in _holding(store, words):
        _count(found, version, locked, words)
    return found


def ban(store: Store, words: Collection[str]) -> Banned:
    """Keep words out of every summary from now on, and take the sentences that hold them out of the current ones.

    The rule comes first, then a transaction for every `BATCH` users; one that was cut short is completed by asking
    again. Raises ProfileError for no word.
    """
    _refuse_empty(words)
    # 1. From here on no summary is saved with them.
    with store.transaction():
        store.do_many(store.sql.add_ban, [(" ".join(one.split()),) for one in words])
        actions.note(store, "rule", what=f"{len(words)} more")
    # 2. Out of the summaries that are there.
    found, holding = Banned(), iter(list(_holding(store, words)))
    while batch := list(islice(holding, BATCH)):
        with store.transaction():
            store.hold(seen.user_id for seen, _ in batch)
            for seen, _ in batch:
                user_id = seen.user_id
                if store.find(user_id) is None or (now := store.current(user_id)) is None:
                    continue
                _count(found, now, store.rules(user_id).lock, words)
                _take_out(store, now, words)
    return found


def enforce(store: Store, user_id: str) -> None:
    """Take out of a user's current summary what the bans of the store keep out."""
    words, current = store.bans(), store.current(user_id)
    if words and current is not None:
        _take_out(store, current, words)


def lift(store: Store, words: Collection[str]) -> None:
    """Allow words again; the sentences that they took out do not come back. Raises ProfileError for an unknown ban."""
    with store.transaction():
        for one in words:
            if not store.do(store.sql.drop_ban, (" ".join(one.split()),)):
                raise ProfileError(f"there is no rule {one!r} for all users; plus profile rules lists those there are")
        actions.note(store, "rule", what=f"{len(words)} fewer")


def _refuse_empty(words: Collection[str]) -> None:
    if not words or any(not part.strip("*") for one in words for part in one.split() or [""]):
        raise ProfileError('a rule for all users needs words, such as "health" or "diabet*"')


def _holding(store: Store, words: Collection[str]) -> Iterator[tuple[Version, Collection[str]]]:
    """Current versions that hold the words, with the texts that are locked."""
    for profile in profiles(store):
        if _gone(profile.version, words):
            yield profile.version, profile.rules.lock


def _gone(version: Version, words: Collection[str]) -> list[Sentence]:
    return [one for one in version.sentences if holds(words, one.text)]


def _count(found: Banned, version: Version, locked: Collection[str], words: Collection[str]) -> None:
    gone = _gone(version, words)
    found.users += bool(gone)
    found.sentences += len(gone)
    found.own += sum(one.origin == "user" for one in gone)
    found.locked += sum(one.text in locked for one in gone)


def _take_out(store: Store, version: Version, words: Collection[str]) -> None:
    """Save a version without the sentences; a lock that would keep one is lifted, and nothing counts as removed."""
    gone = _gone(version, words)
    if not gone:
        return
    user_id, rules = version.user_id, store.rules(version.user_id)
    for text in rules.lock:
        if holds(words, text):
            set_rule(store, user_id, "lock", text, False)
    ids = [one.id for one in gone]
    save_user(store, user_id, without(version, ids), version.version, gone=ids, note="a rule for all users")
    for text in {one.text for one in gone} - set(rules.removed):
        set_rule(store, user_id, "removed", text, False)
