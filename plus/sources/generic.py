"""Anybody's own preferences: rows of any of TRL's shapes with a `user_id`, as a population."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from plus.errors import SourceError
from plus.sources.contexts import build, by_user, in_order
from plus.sources.export import as_row
from plus.sources.files import OnBytes, records
from plus.sources.messages import UnusableError
from plus.sources.rows import Row, content_id, read_row
from plus.sources.splits import Plan, Splits, assign
from plus.types import Dropped, Population

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
    known = _identified(rows, dropped)
    events = by_user((row.user_id, row.event) for row in known.values())
    return build(Path(source).stem, events, plan or Plan(seed=seed), dropped, None if plan else _given(known))


def split_rows(
    source: str | Path,
    dropped: Dropped,
    plan: Plan,
    user_id_column: str = "user_id",
    allow_dropped: bool = False,
    keep_stated: bool = True,
) -> Iterator[dict[str, Any]]:
    """The rows of `source` in the one format, each with its split; users in order, oldest first.

    `keep_stated` prefers the splits that the data states to the plan's. Raises as `load` does.
    """
    rows = list(read(source, dropped, user_id_column))
    refuse(source, len(rows), dropped, allow_dropped, user_id_column)
    known = _identified(rows, dropped)
    events = by_user((row.user_id, row.event) for row in known.values())
    splits = (_given(known) if keep_stated else None) or assign(events, plan, dropped)
    for user_id in sorted(events):
        for event in in_order(events[user_id], plan.seed):
            if split := splits.get((user_id, event.id)):
                yield as_row(user_id, event, split, known[user_id, event.id].session_id)


def read(
    source: str | Path,
    dropped: Dropped,
    user_id_column: str = "user_id",
    on_bytes: OnBytes = lambda done, total: None,
) -> Iterator[Row]:
    """The usable rows one by one; each other is counted with its reason."""
    name = Path(source).stem
    for where, record, split in records(source, dropped, on_bytes):
        try:
            row = read_row(record, user_id_column, split, name)
        except UnusableError as error:
            dropped.add(str(error), where)
            if not dropped.columns:
                dropped.columns = tuple(str(name) for name in record)
        else:
            yield row


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


def _given(known: Mapping[tuple[str, str], Row]) -> Splits | None:
    """The splits that the data states, unless they are all the same."""
    if len({row.split for row in known.values()} - {None}) < 2:
        return None
    return {key: row.split or "train" for key, row in known.items()}


def _no_user(column: str) -> str:
    return f"rows without a {column!r}"


def _identified(rows: Iterable[Row], dropped: Dropped) -> dict[tuple[str, str], Row]:
    """The rows by (user, event id). A row without an id gets one made of what it says, so that the
    order of the rows is irrelevant; of rows that share an id one is kept."""
    kept: dict[tuple[str, str], tuple[str, Row]] = {}
    same: Counter[tuple[str, str]] = Counter()
    for row in rows:
        digest = content_id(row.user_id, row.event)
        key = (row.user_id, row.event.id or digest)
        if not row.event.id:
            same[key] += 1  # The same choice twice is two events.
            key = (key[0], f"{digest}-{same[key]}") if same[key] > 1 else key
        elif key in kept:
            dropped.add("rows with an id that the user already has", f"user {row.user_id}, id {row.event.id}")
        if key not in kept or digest < kept[key][0]:
            kept[key] = (digest, replace(row, event=replace(row.event, id=key[1])))
    return {key: row for key, (_, row) in kept.items()}
