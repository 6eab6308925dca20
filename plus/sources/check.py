"""What is in a file of choices, read once and never held in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plus.sources.counter import Tally
from plus.sources.files import OnBytes
from plus.sources.generic import read
from plus.sources.rows import CONVERSATION, REACTION, Row
from plus.types import Dropped, Preference


@dataclass
class Check:
    """Counts of one pass: rows = kept + everything in `dropped`."""

    source: str
    shapes: Counter[str] = field(default_factory=Counter)
    times: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    dropped: Dropped = field(default_factory=Dropped)
    events: list[int] = field(default_factory=list)  # per user, ascending
    kept: int = 0
    glued: int = 0
    multi_turn: int = 0
    characters: int = 0

    @property
    def shape(self) -> str:
        """What the rows look like, the commonest shape first."""
        return " + ".join(shape for shape, _ in self.shapes.most_common()) or "unknown"

    def as_dict(self) -> dict[str, Any]:
        """What `plus data check --json` prints."""
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
            "events_per_user": self._quantiles(),
            "multi_turn": self.multi_turn,
            "mean_answer_characters": round(self.characters / max(1, self.kept)),
            "notes": self.notes(),
        }

    def notes(self) -> list[str]:
        """What is worth knowing before training, in words."""
        found = []
        if self.glued:
            found.append(
                f"{self.glued:,} prompts and answers have no space between them: trl reward joins standard texts as they are; "
                "plus reads them as turns, and plus data split writes messages"
            )
        if {"none"} < self.times.keys():
            found.append(
                f"{self.times['none']:,} rows have no timestamp: users with such a row get a seeded order, not their own"
            )
        if self.times.keys() == {"none"}:
            found.append("no timestamps: the order of each user's events is a seeded shuffle")
        if len(self.times.keys() - {"none"}) > 1:
            formats = ", ".join(f"{count:,} {name}" for name, count in self.times.most_common() if name != "none")
            found.append(f"timestamps come in several formats, all read as seconds: {formats}")
        if self.events and self.shapes.keys() <= {REACTION, CONVERSATION}:
            found.append("there is no choice between two answers, so nothing to predict: contexts only")
        if single := sum(count == 1 for count in self.events):
            found.append(f"{single:,} users have one event only, which leaves nothing to predict")
        return found

    def _quantiles(self) -> dict[str, int]:
        last = len(self.events) - 1
        return {
            "min": self.events[0], "median": self.events[last // 2], "max": self.events[-1]
        } if self.events else {}  # fmt: skip


def check(source: str | Path, user_id_column: str = "user_id", on_bytes: OnBytes = lambda done, total: None) -> Check:
    """Read `source` once. Memory stays small: 12 to 48 bytes a user, and as much a row with an id."""
    found = Check(str(source))
    users, ids = Tally(), Tally()
    for row in read(source, found.dropped, user_id_column, on_bytes):
        if row.event.id and ids.add((row.user_id, row.event.id)):
            found.dropped.add("rows with an id that the user already has", f"user {row.user_id}, id {row.event.id}")
            continue
        users.add(row.user_id)
        _count(found, row)
    found.events = users.counts()
    return found


def _count(found: Check, row: Row) -> None:
    found.kept += 1
    found.shapes[row.shape] += 1
    found.times[row.time_format] += 1
    found.splits[row.split or "none"] += 1
    if isinstance(pair := row.event.content, Preference):
        found.characters += (len(pair.chosen) + len(pair.rejected)) // 2
        found.multi_turn += bool(pair.earlier)
        ends, begins = pair.prompt[-1:], pair.chosen[:1]
        if row.shape == "standard preference, explicit prompt" and ends and not (ends.isspace() or begins.isspace()):
            found.glued += 1
