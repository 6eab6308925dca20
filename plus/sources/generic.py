"""Preferences of one's own: a file, a folder or a Hub id with a user column, read, split and written.

Rows may have any of TRL's shapes (`rows.py`), under any column names (`columns.py`). Written folders hold the
one row format, so that `trl reward` and `plus train` both train on them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from plus.errors import SourceError
from plus.sources.columns import EXAMPLE, ColumnMap, Renaming
from plus.sources.contexts import build, by_user, in_order
from plus.sources.fields import UnusableError, is_minus_one, is_zero
from plus.sources.files import records
from plus.sources.rows import NEITHER, REACTION, READ, Row, as_row, content_id, read_row, user_id_of
from plus.sources.splits import Plan, Splits, UserSplit, assign, in_sample
from plus.sources.tables import OnBytes
from plus.types import Dropped, Event, Population, Preference, Split

MAX_DROPPED = 0.05
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
OTHER = "events"  # Rows that are no choice lie in a file that no trainer takes for a split.


def load(
    source: str | Path,
    seed: int = 0,
    user_id_column: str = "user_id",
    allow_dropped: bool = False,
    plan: Plan | None = None,
    user_split: UserSplit = "hash",
    user_share: float = 1.0,
    columns: ColumnMap = None,
) -> Population:
    """Load the population of a file, a folder or a Hub id, or of a sample of its users (`user_share`).

    `columns` says which of its columns are which of ours.

    Without a `plan`, splits that the data states (a `split` column, or files called train, ...)
    are kept, and else users are split. Raises SourceError when nothing is usable, or more than
    5 % of the rows are not and `allow_dropped` is false.
    """
    dropped = Dropped()
    rows = list(read(source, dropped, user_share=user_share, renaming=Renaming(columns, user_id_column)))
    refuse(source, len(rows), dropped, allow_dropped, user_id_column)
    known = _identified(rows, dropped)
    events = by_user((row.user_id, row.event) for row in known.values())
    return build(
        Path(source).stem,
        events,
        plan or Plan(seed=seed, user_split=user_split),
        dropped,
        None if plan else _stated(known),
    )


def split_rows(
    source: str | Path,
    dropped: Dropped,
    plan: Plan,
    user_id_column: str = "user_id",
    allow_dropped: bool = False,
    keep_stated: bool = True,
    columns: ColumnMap = None,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `source` in the one format, each with its split; users in order, oldest first.

    `keep_stated` prefers the splits that the data states to the plan's. Raises as `load` does.
    """
    rows = list(read(source, dropped, renaming=Renaming(columns, user_id_column)))
    refuse(source, len(rows), dropped, allow_dropped, user_id_column)
    known = _identified(rows, dropped)
    events = by_user((row.user_id, row.event) for row in known.values())
    # Splits that the data states, else those of the plan.
    splits = (_stated(known) if keep_stated else None) or assign(events, plan, dropped)
    for user_id in sorted(events):
        for event in in_order(events[user_id], plan.seed):
            if split := splits.get((user_id, event.id)):
                yield as_row(user_id, event, split, known[user_id, event.id].session_id)


def read(
    source: str | Path,
    dropped: Dropped,
    user_id_column: str = "user_id",
    on_bytes: OnBytes = lambda done, total: None,
    user_share: float = 1.0,
    renaming: Renaming | None = None,
    unread: Counter[str] | None = None,
) -> Iterator[Row]:
    """Yield the usable rows one by one, of a sample of the users; each row that cannot be used is counted.

    renaming: the columns of the rows, the user's among them. unread: counts the usable rows by the columns that hold
        something and are not read. Raises SettingError after the last row where none had a column that is renamed.
    """
    name, renaming = Path(source).stem, renaming or Renaming(user_id_column=user_id_column)
    passes = cache(partial(_has_minus_one, source, renaming))  # Asked at the first label of 0, if there is one.
    for where, record, split in records(source, dropped, on_bytes):
        try:
            renamed = renaming.row(record)
            if user_share < 1 and not in_sample(user_id_of(renamed, renaming.user_id), user_share):
                continue
            row = read_row(renamed, renaming.user_id, split, name)
            if row.shape == REACTION and is_zero(renamed["label"]) and passes():
                raise UnusableError("rows whose label is 0 where others are -1, so neither for nor against")
        except UnusableError as error:
            dropped.add(str(error), where)
            if not dropped.columns:
                dropped.columns = tuple(str(name) for name in record)
        else:
            if unread is not None:
                unread.update(unread_columns(renamed, renaming.user_id))
            yield row
    renaming.refuse_unseen(source)


def unread_columns(row: Mapping[str, Any], user_id_column: str = "user_id") -> list[str]:
    """List the columns of a row that hold something and that no shape reads."""
    empty: tuple[Any, ...] = (None, "", [], {})
    return [
        str(name) for name, value in row.items() if name not in READ and name != user_id_column and value not in empty
    ]


def read_events(
    source: str | Path,
    dropped: Dropped,
    user_id_column: str = "user_id",
    allow_dropped: bool = False,
    columns: ColumnMap = None,
) -> dict[str, list[Event]]:
    """Read user_id -> all events, in no order; ids are unique within a user. Raises as `load` does."""
    rows = list(read(source, dropped, renaming=Renaming(columns, user_id_column)))
    refuse(source, len(rows), dropped, allow_dropped, user_id_column)
    return by_user((row.user_id, row.event) for row in _identified(rows, dropped).values())


def users_of(source: str | Path, renaming: Renaming) -> set[str]:
    """Collect the users that the rows name, usable or not: a fast pass that parses no event."""
    found: set[str] = set()
    for _, record, _ in records(source, Dropped()):
        with suppress(UnusableError):
            found.add(user_id_of(renaming.row(record), renaming.user_id))
    return found


def refuse(
    source: str | Path, kept: int, dropped: Dropped, allow_dropped: bool, user_id_column: str = "user_id"
) -> None:
    """Raise SourceError with the commonest reason where nothing is usable, or over 5 % are not and none may be."""
    # A few bad rows are normal in a log.
    left_out = sum(dropped.values())
    if kept and (left_out <= MAX_DROPPED * (kept + left_out) or allow_dropped):
        return
    if not left_out:
        raise SourceError(f"{source} is empty; each row needs user_id, prompt, chosen, rejected")
    # The commonest reason says most about the file.
    reason, count = dropped.most_common(1)[0]
    found = f"{count:,} x {reason} (first: {dropped.first[reason]})"
    if not kept:
        columns = f"; the row's columns are {', '.join(dropped.columns[:12])}" if dropped.columns else ""
        remedy = ""
        if reason == _no_user(user_id_column):
            remedy = f"; name the user's column with --user_id_column, or every other name with --map, as {EXAMPLE}"
        elif reason == NEITHER:
            remedy = f"; say with --map which column is which, as {EXAMPLE} or prompt=question,chosen=a,rejected=b"
        raise SourceError(f"{source} has no usable row of {left_out:,}: {found}{columns}{remedy}")
    share = left_out / (kept + left_out)
    raise SourceError(
        f"{source}: {share:.1%} of {kept + left_out:,} rows cannot be used, mostly {found}; mend them, "
        "or go on without them with --allow_dropped"
    )


def population_rows(population: Population) -> Iterator[dict[str, Any]]:
    """Yield contexts and targets of a population as rows, in sessions "context" and "target".

    Targets have no time of their own: where the context has times, they are numbered on from its newest.
    """
    targets: dict[str, list[tuple[Preference, Split]]] = {}
    for example in population.examples:
        targets.setdefault(example.history.user_id, []).append((example.target, example.split))
    for user_id, history in population.histories.items():
        own = targets.get(user_id, [])
        # The context takes the split of its targets; where they differ, it is read in training.
        of_user = {split for _, split in own}
        context_split: Split = of_user.pop() if len(of_user) == 1 else "train"
        for event in history.events:
            yield as_row(user_id, event, context_split, "context")
        times = [event.time for event in history.events if event.time is not None]
        timed = bool(times) and len(times) == len(history.events)
        for number, (target, split) in enumerate(own, start=1):
            time = max(times) + number if timed else None
            event = Event(f"{user_id}-target-{number}", "choice", target, time, population.name)
            yield as_row(user_id, event, split, "target")


def write(rows: Iterable[Mapping[str, Any]], folder: Path) -> dict[str, int]:
    """Write train, validation, test and events .jsonl into a new folder; returns rows by file.

    Raises SourceError when the folder holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SourceError(f"{folder} exists and nothing is overwritten; give a new --output_dir")
    rows = iter(rows)
    first = list(islice(rows, 1))  # Before the folder: rows that cannot be read leave none.
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    files: dict[str, TextIO] = {}
    with ExitStack() as stack:
        for row in chain(first, rows):
            name = row["split"] if "chosen" in row else OTHER
            # A file is opened when its first row comes.
            if name not in files:
                files[name] = stack.enter_context((folder / f"{name}.jsonl").open("w", encoding="utf-8"))
            files[name].write(json.dumps(row, ensure_ascii=False) + "\n")
            counts[name] = counts.get(name, 0) + 1
    return {name: counts[name] for name in (*SPLITS, OTHER) if name in counts}


def _stated(known: Mapping[tuple[str, str], Row]) -> Splits | None:
    """The splits that the data states, unless they are all the same."""
    if len({row.split for row in known.values()} - {None}) < 2:
        return None
    return {key: row.split or "train" for key, row in known.items()}


def _has_minus_one(source: str | Path, renaming: Renaming) -> bool:
    """Tell whether some label of the rows is -1, by reading them once more as far as the first."""
    return any(is_minus_one(renaming.row(record).get("label")) for _, record, _ in records(source, Dropped()))


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
