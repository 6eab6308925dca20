"""Receipts of forgetting, and the texts that are looked for afterwards."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Receipt:
    """Receipt of a forget, without a name in it: `subject` can be checked with the id and the store.

    rewritten: whether what was left in the store's pages was overwritten, or a user's key on a server destroyed; if
    not, not_rewritten says why. kept: what a database server keeps of it until its log and its backups are replaced.
    found: files that still hold a text or the id. shared: those where only rows of other users hold one.
    searched: counts of texts and files, and of what was not searched.
    """

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
    not_rewritten: str = ""
    kept: str = ""
    searched: dict[str, int] = field(default_factory=dict)
    shared: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain values and the hash over all of them."""
        values = asdict(self)
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
        return {**values, "sha256": hashlib.sha256(canonical).hexdigest()}


@dataclass
class Subject:
    """Subject of a forget, a user or a conversation: its users, its receipt, the texts to look for, keys to destroy."""

    receipt: Receipt
    user_ids: list[str]
    texts: set[str]
    ids: set[str]
    keys: list[int] = field(default_factory=list)


def texts_of(content: str) -> set[str]:
    """Collect the texts in an event's JSON."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, dict):
            for item in value.values():
                walk(item)

    walk(json.loads(content))
    return found
