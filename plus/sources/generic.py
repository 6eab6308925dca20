"""Anybody's own preferences: rows of any of TRL's shapes with a `user_id`, as a population."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path

from plus.errors import SourceError
from plus.sources.contexts import build
from plus.sources.files import OnBytes, records
from plus.sources.messages import UnusableError
from plus.sources.population import Dropped, Population
from plus.sources.rows import Row, read_row
from plus.sources.splits import Plan
from plus.types import Event, Split, Turn

MAX_DROPPED = 0.05


def load(
    source: str | Path,
    seed: int = 0,
    user_id_column: str = "user_id",
    allow_dropped: bool = False,
    plan: Plan | None = None,
) -> Population:
    """The population of a file, a folder or a Hub id.

    Without a `plan`, splits that the data states (a `split` column, or files called train, ...)
    are kept, and else users are dealt. Raises SourceError when nothing is usable, or more than
    5 % of the rows are not and `allow_dropped` is false.
    """
    dropped = Dropped()
    rows = list(read(source, dropped, user_id_column))
    refuse(source, len(rows), dropped, allow_dropped, user_id_column)
    events, splits = _identified(rows, dropped)
    stated = set(splits.values()) - {None}
    given = {key: split or "train" for key, split in splits.items()} if plan is None and len(stated) > 1 else None
    return build(Path(source).stem, events, plan or Plan(seed=seed), dropped, given)


def read(
    source: str | Path,
    dropped: Dropped,
    user_id_column: str = "user_id",
    on_bytes: OnBytes = lambda done, total: None,
) -> Iterator[Row]:
    """The usable rows one by one; each other is counted with its reason."""
    for where, record, split in records(source, dropped, on_bytes):
        try:
            row = read_row(record, user_id_column, split)
        except UnusableError as error:
            dropped.add(str(error), where)
            if not dropped.columns:
                dropped.columns = tuple(str(name) for name in record)
        else:
            yield row if row.event.source else replace(row, event=replace(row.event, source=Path(source).stem))


def refuse(
    source: str | Path, kept: int, dropped: Dropped, allow_dropped: bool, user_id_column: str = "user_id"
) -> None:
    """Stop where too much is left out to go on unasked. Raises SourceError with the commonest reason."""
    left_out = sum(dropped.values())
    if kept and (left_out <= MAX_DROPPED * (kept + left_out) or allow_dropped):
        return
    if not left_out:
        raise SourceError(f"{source} is empty; each row needs user_id, prompt, chosen, rejected")
    reason, count = dropped.most_common(1)[0]
    found = f"{count:,} x {reason} (first: {dropped.first[reason]})"
    if not kept:
        columns = f"; the row's columns are {', '.join(dropped.columns[:12])}" if dropped.columns else ""
        remedy = "; name the user's column with --user_id_column" if reason == _no_user(user_id_column) else ""
        raise SourceError(f"{source} has no usable row of {left_out:,}: {found}{columns}{remedy}")
    share = left_out / (kept + left_out)
    raise SourceError(
        f"{source}: {share:.1%} of {kept + left_out:,} rows cannot be used, mostly {found}; mend them, or go on without them with --allow_dropped"
    )


def _no_user(column: str) -> str:
    return f"rows without a {column!r}"


def _identified(
    rows: Iterable[Row], dropped: Dropped
) -> tuple[dict[str, list[Event]], dict[tuple[str, str], Split | None]]:
    """(events by user, split by (user, event id)). A row without an id gets one made of what it
    says, so that the order of the rows is irrelevant; of rows that share an id one is kept."""
    events: dict[str, list[Event]] = defaultdict(list)
    splits: dict[tuple[str, str], Split | None] = {}
    chosen: dict[tuple[str, str], tuple[str, Row]] = {}
    same: Counter[tuple[str, str]] = Counter()
    for row in rows:
        digest = _digest(row)
        key = (row.user_id, row.event.id or digest)
        if not row.event.id:
            same[key] += 1  # The same choice twice is two events.
            key = (key[0], f"{digest}-{same[key]}") if same[key] > 1 else key
        elif key in chosen:
            dropped.add("rows with an id that the user already has", f"user {row.user_id}, id {row.event.id}")
        if key not in chosen or digest < chosen[key][0]:
            chosen[key] = (digest, row)
    for (user_id, event_id), (_, row) in chosen.items():
        events[user_id].append(replace(row.event, id=event_id))
        splits[user_id, event_id] = row.split
    return dict(events), splits


def _digest(row: Row) -> str:
    content = row.event.content
    said = asdict(content) if is_dataclass(content) else [asdict(t) if isinstance(t, Turn) else t for t in content]
    text = json.dumps([row.user_id, row.event.time, said, row.split], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
