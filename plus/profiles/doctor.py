"""Check of a store: faults of its file and its summaries, and notes for its owner."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from plus.profiles import ledger, versions
from plus.profiles.forget import finish_interrupted
from plus.profiles.rows import profiles
from plus.profiles.store import Store
from plus.profiles.text_filters import flags, holds
from plus.profiles.upkeep import Upkeep, upkeep

_NO_JSON = "versions whose sentences, evidence or score are no JSON"


@dataclass
class Findings:
    """Findings about a store: faults to mend, notes to look at, counts of what it holds, and receipts of forgets
    that were cut short and are completed now.
    """

    path: str
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    receipts: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain values."""
        return asdict(self)


def examine(store: Store, finish: bool = True) -> Findings:
    """Check the file and every current summary; with `finish`, complete an interrupted forget."""
    # 1. Counts and sizes.
    found, care = Findings(store.place), upkeep(store.file)
    sql = store.sql
    counted = (sql.count_users, sql.count_events, sql.count_versions, sql.forgotten)
    names = ("users", "events", "versions", "tombstones")
    found.counts = {name: store.number(query) for name, query in zip(names, counted, strict=True)}
    found.counts |= care.sizes()
    # 2. The file or the server, and what a crash left in it.
    found.faults, found.notes = care.check()
    if finish and store.writable:
        if left := finish_interrupted(store):
            found.notes.append(f"{len(left)} interrupted forgets were completed")
            found.receipts = [receipt.as_dict() for receipt in left]
    elif store.row(sql.unfinished):
        found.faults.append("a forget was interrupted; plus doctor completes it")
    elif store.row(sql.meta, ("rewrite",)):
        found.faults.append("the file is still to be cleaned after a forget; plus doctor does it")
    # 3. The users and their summaries.
    _forgotten(store, found)
    _news(store, found)
    if _versions(care, found):
        _summaries(store, found)
    return found


def _forgotten(store: Store, found: Findings) -> None:
    """Users who are there though they were forgotten, as after a part of an old file was copied in."""
    if store.file.ledger.exists():
        secret, rows = ledger.read(store.file.ledger)
        if lost := sum(store.row(store.sql.tombstone, key) is None for key in rows):
            found.faults.append(
                f"{lost:,} marks of the forgotten that stand in {store.file.ledger} are not in the store"
            )
        if rows and secret not in store.file.secrets:
            found.faults.append(f"the secret of {store.file.ledger} is not the store's; put a copy of both back")
    if not store.forgotten():
        return
    back = sum(store.is_forgotten("user", user_id) for user_id in store.users())
    if back:
        found.faults.append(f"{back:,} users are there though they were forgotten; plus forget takes them out again")


def _versions(care: Upkeep, found: Findings) -> bool:
    """Pointers, JSON, spans and the chain of hashes of every version, by user; false where some cannot be read."""
    faults: Counter[str] = Counter()
    first: dict[str, str] = {}
    before, numbers, chain = None, set[int](), ""
    for user_id, current, newest, *row in care.versions():
        if user_id != before:
            before, numbers, chain = user_id, set(), ""
        numbers.add(row[1] or 0)
        last = not row[1] or row[1] >= newest
        reasons, chain = _of_version(row, chain, care.unreadable)
        if last and ((current and current not in numbers) or newest < max(numbers)):
            reasons.append("a pointer to a version that is not there")
        for reason in reasons:
            faults[reason] += 1
            first.setdefault(reason, user_id if isinstance(user_id, str) else user_id.decode("utf-8", "replace"))
    found.faults += [f"{count:,} x {reason} (first: user {first[reason]!r})" for reason, count in faults.items()]
    return not faults.keys() & {care.unreadable, _NO_JSON}


def _of_version(row: Sequence[Any], before: str, unreadable: str) -> tuple[list[str], str]:
    """The faults of one version, and its chain."""
    if row[1] is None:
        return [], ""
    try:
        chain, *values = (value.decode() if isinstance(value, bytes) else value for value in row)
    except UnicodeDecodeError:
        return [unreadable], ""
    try:
        spans, _, _ = json.loads(values[2]), json.loads(values[7]), json.loads(values[8] or "{}")
        ends = [(int(start), int(end), str(name)) for name, start, end, _, _ in spans]
    except (ValueError, TypeError):
        return [_NO_JSON], chain
    reasons = []
    if any(not 0 <= start < end <= len(values[1]) for start, end, _ in ends):
        reasons.append("sentences that end past the text")
    if len({name for *_, name in ends}) != len(ends):
        reasons.append("two sentences with one id")
    if chain and chain != versions.chained(before, values):
        reasons.append("versions that were changed by something else than plus")
    return reasons, chain


def _news(store: Store, found: Findings) -> None:
    """Users whose summary is out of date or missing."""
    stale, bare = store.number(store.sql.count_stale), store.number(store.sql.count_bare)
    if stale:
        found.notes.append(f"{stale:,} users have events that their summary has not read; plus summarize RUN --update")
    if bare:
        found.notes.append(f"{bare:,} users have no summary")


def _summaries(store: Store, found: Findings) -> None:
    """Summaries that lost a locked sentence, and flagged ones."""
    flagged: Counter[str] = Counter()
    first: dict[str, str] = {}
    bans, holding = store.bans(), 0
    for profile in profiles(store):
        user_id = profile.version.user_id
        words = {profile.version.text[start:end] for _, start, end, _, _ in profile.version.spans}
        if missing := [text for text in profile.rules.lock if text not in words]:
            found.faults.append(
                f"user {user_id!r} has lost {len(missing)} locked sentences; plus profile history {user_id}"
            )
        holding += any(holds(bans, text) for text in words) if bans else False
        for flag in flags(profile.version.text):
            flagged[flag] += 1
            first.setdefault(flag, user_id)
    if holding:
        found.faults.append(
            f"{holding:,} summaries hold words that a rule for all users keeps out; plus profile rules --add them again"
        )
    found.notes += [
        f"{count:,} summaries with {flag.replace('_', ' ')} in them (first: {first[flag]!r})"
        for flag, count in flagged.items()
    ]
