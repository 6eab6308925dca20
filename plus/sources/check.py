"""Check and card of a data set: counts of one pass over its rows, in bounded memory."""

from __future__ import annotations

import unicodedata
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plus.sources.columns import ColumnMap, Renaming
from plus.sources.generic import read
from plus.sources.rows import CONVERSATION, Row
from plus.sources.tables import OnBytes
from plus.types import Dropped, Preference, Reaction

_ONES = 2**64 - 1
_MOST_ODD = 100_000  # ids with capitals, blanks and the like that are remembered
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_COLUMNS = {
    "prompt, chosen, rejected": "TRL's preference columns, each a list of messages",
    "completion, label": "instead of chosen and rejected where the user liked or disliked one answer",
    "messages": "instead of a prompt where a conversation has no label",
    "user_id": "whose row it is, as text",
    "session_id": "what belongs together, or empty",
    "timestamp": "seconds since 1970 (UTC), or null",
    "source": "where the row comes from",
    "split": "train, validation or test",
}


@dataclass
class Check:
    """Counts of one pass: rows = kept + everything in `dropped`."""

    source: str
    shapes: Counter[str] = field(default_factory=Counter)
    times: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    dropped: Dropped = field(default_factory=Dropped)
    events: list[int] = field(default_factory=list)  # per user, ascending
    unread: Counter[str] = field(default_factory=Counter)  # rows by the columns that are not read
    repeats: int = 0
    kept: int = 0
    glued: int = 0
    multi_turn: int = 0
    characters: int = 0

    @property
    def shape(self) -> str:
        """All row shapes, the commonest first."""
        return " + ".join(shape for shape, _ in self.shapes.most_common()) or "unknown"

    @property
    def per_user(self) -> dict[str, int]:
        """Fewest, median and most events of a user; empty without a user."""
        if not self.events:
            return {}
        return {"min": self.events[0], "median": self.events[(len(self.events) - 1) // 2], "max": self.events[-1]}

    @property
    def mean_characters(self) -> int:
        """Mean length of an answer, in characters."""
        return round(self.characters / max(1, self.kept))

    def to_json(self) -> dict[str, Any]:
        """Return the mapping that `plus data check --json` prints."""
        return {
            "source": self.source,
            "shape": self.shape,
            "rows": self.kept + sum(self.dropped.values()),
            "kept": self.kept,
            "users": len(self.events),
            "dropped": dict(self.dropped),
            "first_dropped": dict(self.dropped.first),
            "shapes": dict(self.shapes),
            "timestamps": dict(self.times),
            "splits": dict(self.splits),
            "events_per_user": self.per_user,
            "multi_turn": self.multi_turn,
            "mean_answer_characters": self.mean_characters,
            "unread": dict(self.unread),
            "repeats": self.repeats,
            "notes": self.notes(),
        }

    def notes(self) -> list[str]:
        """List findings that matter before training, in words."""
        found = []
        if self.unread:
            found.append(f"columns that are not read: {listed(self.unread)}; --map says which of them is which")
        if self.repeats:
            found.append(f"{self.repeats:,} rows say what an earlier row of the same user says")
        if self.glued:
            found.append(
                f"{self.glued:,} prompts and answers have no space between them: trl reward joins standard texts "
                "as they are; plus reads them as turns, and plus data split writes messages"
            )
        # Times: none, some, or in several formats.
        if {"none"} < self.times.keys():
            found.append(
                f"{self.times['none']:,} rows have no timestamp: "
                "users with such a row get a seeded order, not their own"
            )
        if self.times.keys() == {"none"}:
            found.append("no timestamps: the order of each user's events is a seeded shuffle")
        if len(self.times.keys() - {"none"}) > 1:
            formats = ", ".join(f"{count:,} {name}" for name, count in self.times.most_common() if name != "none")
            found.append(f"timestamps come in several formats, all read as seconds: {formats}")
        # Users without a target.
        if self.events and self.shapes.keys() <= {CONVERSATION}:
            found.append("there is no choice between two answers, so nothing to predict: contexts only")
        if single := sum(count == 1 for count in self.events):
            found.append(f"{single:,} users have one event only, which leaves nothing to predict")
        return found

    def add(self, row: Row) -> None:
        """Count one usable row."""
        self.kept += 1
        self.shapes[row.shape] += 1
        self.times[row.time_format] += 1
        self.splits[row.split or "none"] += 1
        if isinstance(pair := row.event.content, Preference):
            self.characters += (len(pair.chosen) + len(pair.rejected)) // 2
            self.multi_turn += bool(pair.earlier)
            ends, begins = pair.prompt[-1:], pair.chosen[:1]
            apart = ends.isspace() or begins.isspace()
            self.glued += row.shape == "standard preference, explicit prompt" and bool(ends) and not apart
        elif isinstance(reaction := row.event.content, Reaction):
            self.characters += len(reaction.completion)
            self.multi_turn += bool(reaction.earlier)


def check(
    source: str | Path,
    user_id_column: str = "user_id",
    on_bytes: OnBytes = lambda done, total: None,
    columns: ColumnMap = None,
) -> Check:
    """Read `source` once and count it, in 12 to 48 bytes of memory a user, and 24 to 96 a row."""
    found = Check(str(source))
    users, ids, said = Tally(), Tally(), Tally()
    rows = read(
        source, found.dropped, on_bytes=on_bytes, renaming=Renaming(columns, user_id_column), unread=found.unread
    )
    # Of rows that share a user and an id the first one counts.
    for row in rows:
        if row.event.id and ids.add((row.user_id, row.event.id)):
            found.dropped.add("rows with an id that the user already has", f"user {row.user_id}, id {row.event.id}")
            continue
        users.add(row.user_id)
        found.repeats += said.add((row.user_id, row.event.content)) > 0
        found.add(row)
    found.events = users.counts()
    return found


def listed(columns: Counter[str], most: int = 12) -> str:
    """List the commonest columns with their rows."""
    shown = ", ".join(f"{name} ({count:,} rows)" for name, count in columns.most_common(most))
    return shown + (f" and {len(columns) - most:,} more" if len(columns) > most else "")


def card(found: Check, licence: str = "unknown", title: str = "") -> str:
    """Write a data set card in Markdown: YAML front matter that the Hub reads, then counts and what was left out."""
    size = next((name for limit, name in _SIZES if found.kept < limit), "n>1M")
    spread = found.per_user
    # Front matter, counts, columns, and the reasons for rows left out.
    lines = [
        "---", f"license: {licence}", "tags:", "- preference", "- personalization", "- trl", "- plus",
        "size_categories:", f"- {size}", "---", "",
        f"# {title or Path(found.source).name}", "",
        f"{found.kept:,} rows of {len(found.events):,} users"
        + (f", {spread['min']} to {spread['max']} each (median {spread['median']})." if spread else "."), "",
        f"- shape: {found.shape}",
        f"- timestamps: {_counts(found.times)}",
        f"- splits: {_counts(found.splits)}",
        f"- prompts in the middle of a conversation: {found.multi_turn:,}",
        f"- mean answer: {found.mean_characters:,} characters", "",
        "## Columns", "", "As `plus data split` writes them; `trl reward` trains on the choices unchanged.", "",
        "| column | what |", "|---|---|", *(f"| {name} | {what} |" for name, what in _COLUMNS.items()), "",
        "## Left out", "", *([f"- {line}" for line in found.dropped.lines()] or ["Nothing."]),
    ]  # fmt: skip
    notes = found.notes()
    return "\n".join([*lines, *(["", "## Notes", "", *(f"- {note}" for note in notes)] if notes else [])]) + "\n"


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"


class Tally:
    """Counter of keys by their 64-bit hash: 12 bytes a slot where a dict takes more than 100 bytes a key.

    Two keys share a hash with a chance of about n * n / 2**65: one in a million for five million keys.
    """

    def __init__(self) -> None:
        self._keys, self._counts = array("Q", bytes(8 * 1024)), array("I", bytes(array("I").itemsize * 1024))
        self._size = 0

    def __len__(self) -> int:
        """Number of distinct keys."""
        return self._size

    def add(self, key: object) -> int:
        """Count `key` once more; returns the count before."""
        if 2 * self._size > len(self._keys):
            self._grow()
        # 0 marks a free slot; Python gives no key the hash -1, which is all ones, so 0 can take it.
        slot = self._slot((hash(key) & _ONES) or _ONES)
        before = self._counts[slot]
        self._size += before == 0
        self._counts[slot] = before + 1
        return before

    def __contains__(self, key: object) -> bool:
        """Tell whether `key` was counted."""
        return self._counts[self._slot((hash(key) & _ONES) or _ONES, claim=False)] > 0

    def counts(self) -> list[int]:
        """List the count of each distinct key, in ascending order."""
        return sorted(count for count in self._counts if count)

    def _slot(self, hashed: int, claim: bool = True) -> int:
        """The slot that holds `hashed`, or the first free one after its own, to `claim`. 0 marks a free one."""
        mask = len(self._keys) - 1
        slot = hashed & mask
        while self._keys[slot] not in (0, hashed):
            slot = (slot + 1) & mask
        if claim:
            self._keys[slot] = hashed
        return slot

    def _grow(self) -> None:
        keys, counts = self._keys, self._counts
        self._keys, self._counts = (
            array("Q", bytes(2 * len(keys) * keys.itemsize)),
            array("I", bytes(2 * len(counts) * counts.itemsize)),
        )
        for hashed, count in zip(keys, counts, strict=True):
            if count:
                self._counts[self._slot(hashed)] = count


class LookAlikes:
    """Ids that look alike to people: composed and decomposed letters, blanks, capitals and leading zeros apart."""

    def __init__(self) -> None:
        self._odd: dict[str, str] = {}  # how an id looks -> the first id that looks so and is written otherwise

    def find(self, key: str, seen: Tally) -> str:
        """Return the id among those `seen` that a new one looks like, or ""."""
        if key.isascii() and key.islower() and key == key.strip():
            return self._odd.get(key, "")
        look = unicodedata.normalize("NFKC", key).strip().casefold()
        look = look.lstrip("0") or "0" if look.isdigit() else look
        if look == key:
            return self._odd.get(key, "")
        if (other := self._odd.get(look)) is not None:
            return other
        if len(self._odd) < _MOST_ODD:
            self._odd[look] = key
        return look if look in seen else ""
