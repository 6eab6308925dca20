"""Verbs of `plus data`: check, head, split and card."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plus.cli.show import EITHER, failure, kind_of, notes, print_json, results, say
from plus.cli.verb import Verb, example_first
from plus.errors import PlusError

if TYPE_CHECKING:
    from rich.table import Table

    from plus.sources.check import Check

app = typer.Typer(no_args_is_help=True, help="Check, look at, split and describe files of choices.")
SOURCE = "A JSONL, CSV or Parquet file, a folder of them, or a Hub id such as owner/name."
MAP_HELP = "Columns of your own, as OURS=THEIRS: prompt=question,completion=statement,label=vote,user_id=who."
Source = Annotated[str, typer.Argument(help=SOURCE)]
UserColumn = Annotated[str, typer.Option(help="The column that says whose row it is.")]
ColumnNames = Annotated[str | None, typer.Option("--map", help=MAP_HELP)]
AllowDropped = Annotated[
    bool, typer.Option("--allow_dropped", help="Go on where more than 5 % of the rows cannot be used.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]
DataDir = Annotated[str | None, typer.Option(help="Folder with a named data set's files.")]
SplitBy = Annotated[
    str | None,
    typer.Option(help="users (never trained on), topics (new prompts) or later (each user's newest choices)."),
]
Share = Annotated[float, typer.Option(help="Share of users, topics or choices.")]


def check(
    source: Source,
    user_id_column: UserColumn = "user_id",
    columns: ColumnNames = None,
    allow_dropped: AllowDropped = False,
    as_json: AsJson = False,
) -> None:
    """Say what a file holds: its shape, users and times, and every row that cannot be used, counted with its reason.

    Nothing is kept in memory, so a file may be larger than it. Exit status 2 where nothing, or too little, can be used.

    Example: plus data check my.jsonl
    """
    from plus.sources.generic import refuse

    found, error = _checked(source, user_id_column, columns), None
    try:
        refuse(source, found.kept, found.dropped, allow_dropped, user_id_column)
    except PlusError as wrong:
        error = wrong
    if as_json:
        print_json(found.to_json(), failure(*kind_of(error), str(error)) if error else None)
    else:
        results.print(_table(found))
    if error:
        raise error


def head(
    source: Annotated[str, typer.Argument(help=f"{SOURCE} Or the name of a data set, such as pets.")],
    n: Annotated[int, typer.Option("--rows", "-n", help="How many rows.", min=1)] = 5,
    data_dir: DataDir = None,
    user_id_column: UserColumn = "user_id",
    columns: ColumnNames = None,
) -> None:
    """Print the first usable rows in the one row format, one JSON object a line.

    Example: plus data head my.jsonl --rows 2
    """
    from plus import datasets

    for row in datasets.head(source, n, data_dir, user_id_column, columns):
        print(json.dumps(row, ensure_ascii=False))


def split(
    source: Annotated[str, typer.Argument(help=f"{SOURCE} Or the name of a data set, such as polis.")],
    output_dir: Annotated[Path, typer.Option(help="A new folder for train, validation, test and events .jsonl.")],
    data_dir: DataDir = None,
    split_by: SplitBy = None,
    validation: Share = 0.1,
    test: Share = 0.3,
    seed: Annotated[int, typer.Option(help="Of who goes where.")] = 42,
    user_id_column: UserColumn = "user_id",
    columns: ColumnNames = None,
    allow_dropped: AllowDropped = False,
    as_json: AsJson = False,
) -> None:
    """Write rows with TRL's preference columns and user_id, session_id, timestamp, source and split.

    `trl reward --dataset_name FOLDER` and `plus train --dataset_name FOLDER` both train on the folder. Splits that the
    file states are kept unless --split_by asks for others.

    Example: plus data split my.jsonl --split_by users --output_dir my_splits
    """
    from plus import datasets

    with notes.status(f"reading {source}"):
        written = datasets.split(
            source, output_dir, data_dir, split_by, validation, test, seed, user_id_column, allow_dropped, columns
        )
    for line in written.dropped.lines():
        say(f"left out: {line}")
    if as_json:
        print_json(written.to_json())
    else:
        results.print(f"{output_dir}: " + ", ".join(f"{count:,} {name}" for name, count in written.rows.items()))


def card(
    source: Source,
    licence: Annotated[str, typer.Option("--license", help="As the Hub spells it, such as cc-by-4.0.")] = "unknown",
    title: Annotated[str, typer.Option(help="Default: the source.")] = "",
    user_id_column: UserColumn = "user_id",
    columns: ColumnNames = None,
) -> None:
    """Print a data set card in Markdown, with the front matter that the Hub reads.

    Example: plus data card my.jsonl --license cc-by-4.0 > README.md
    """
    from plus.sources.check import card as write

    print(write(_checked(source, user_id_column, columns), licence, title), end="")


def _checked(source: str, user_id_column: str, columns: str | None) -> Check:
    from plus.sources.check import check as read

    with _bytes_bar(source) as show:
        return read(source, user_id_column, show, columns)


@contextmanager
def _bytes_bar(source: str) -> Iterator[Callable[[int, int], None]]:
    """A bar over the bytes of files, drawn once reading has taken more than two seconds; a spinner
    for a source of unknown length."""
    if not Path(source).exists() or (Path(source) / "state.json").exists():
        with notes.status(f"reading {source}"):
            yield lambda done, total: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    # The bar is drawn by hand, so that short reads show none.
    columns = (TextColumn("reading {task.description}"), BarColumn(24), DownloadColumn(), TimeRemainingColumn())
    started = time.monotonic()
    with Progress(*columns, console=notes, transient=True, auto_refresh=False) as progress:
        task = progress.add_task(Path(source).name, total=None, visible=False)

        def show(done: int, total: int) -> None:
            late = time.monotonic() - started > 2
            progress.update(task, completed=done, total=total, visible=late, refresh=late)

        yield show


def _table(found: Check) -> Table:
    from rich.table import Table

    spread = found.per_user
    table = Table(title=found.source, title_justify="left", show_header=False)
    table.add_column("what")
    table.add_column("found")
    table.add_row("shape", found.shape)
    table.add_row("rows", f"{found.kept + sum(found.dropped.values()):,}, of which {found.kept:,} can be used")
    of_user = f", {spread['min']} to {spread['max']} rows each (median {spread['median']})" if spread else ""
    table.add_row("users", f"{len(found.events):,}{of_user}")
    for name, counts in (("timestamps", found.times), ("splits", found.splits)):
        table.add_row(name, ", ".join(f"{count:,} {kind}" for kind, count in counts.items()))
    table.add_row("answers", f"{found.mean_characters:,} characters on average")
    for line in found.dropped.lines():
        table.add_row("left out", line)
    for line in found.notes():
        table.add_row("note", line)
    return table


for verb in (check, head, split, card):
    app.command(cls=Verb, help=example_first(verb), context_settings=EITHER)(verb)
