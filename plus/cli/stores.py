"""Options, opening and printing that the verbs about profiles share."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from plus.cli.show import SCREEN, print_json, print_json_rows, results, visible
from plus.cli.show import as_json as as_json_line

if TYPE_CHECKING:
    from plus.models.run import Run
    from plus.profiles.store import Store

# Exit statuses of the verbs about profiles.
STATUSES = (
    "Exit status: 0 done; 2 bad input, nothing changed; 3 somebody else changed the summary, nothing written; "
    "4 no such user or version; 5 forgotten, refused; 6 done in part, what was left out is named; 1 a fault of plus."
)
IN_PART = 6
Shape = Literal["table", "json", "jsonl", "md"]
StoreFile = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="PLUS_STORE",
        help="The store's file, a run folder, or postgresql://... Default: a file in your data folder.",
        show_envvar=True,
    ),
]
RunFolder = Annotated[
    Path | None, typer.Option("--run", help="Run folder whose models are used. Default: the one that the store knows.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As -o json: one JSON object on stdout, nothing else.")]
Output = Annotated[Shape, typer.Option("-o", "--format", help="How the result is printed.")]
User = Annotated[str, typer.Argument(help="The user's id.")]
Who = Annotated[
    str, typer.Option("--as", envvar="PLUS_AS", help="Who does this, for plus profile actions.", show_envvar=True)
]


def store_path(store: str | None) -> Path | str:
    """Return the file of the store that --store means, or the address."""
    from plus import recipes

    return recipes.store_path(store)


def open_store(store: str | None, create: bool = False, who: str = "") -> Store:
    """Open the store that --store means. A run folder gets a store of its own users when it is first opened.

    who: said by --as, for the log of actions.
    """
    from plus import recipes

    opened = recipes.open_store(store, create, SCREEN)
    opened.who = who
    return opened


def load_run(store: Store, run: Path | None) -> tuple[Run, Path]:
    """Load the models of --run, or of the run folder that the store knows. Raises ProfileError when it knows none."""
    from plus import recipes

    return recipes.load_run(store, run, SCREEN)


def print_rows(
    rows: Iterable[Mapping[str, Any]],
    shape: Shape,
    title: str = "",
    name: str = "rows",
    error: Mapping[str, Any] | None = None,
) -> None:
    """Print rows as a table, one JSON object with {name: [...]} as its data, JSON lines, or a Markdown table."""
    if shape == "jsonl":
        for row in rows:
            sys.stdout.write(as_json_line(row) + "\n")
        return
    if shape == "json":
        print_json_rows(rows, name, error=error)
        return
    rows = list(rows)
    if shape == "md":
        _print_markdown(rows)
    else:
        _print_table(rows, title)


def print_facts(facts: Mapping[str, Any], shape: Shape, error: Mapping[str, Any] | None = None) -> None:
    """Print one result as JSON (json, jsonl) or as a Markdown list; a verb draws its own table."""
    if shape == "json":
        print_json(facts, error)
    elif shape == "jsonl":
        print(as_json_line(facts))
    else:
        for key, value in facts.items():
            print(visible(f"- {key}: {' '.join(cell(value).split())}"))


def shape_of(output: Shape, as_json: bool) -> Shape:
    """Choose the shape: --json is -o json."""
    return "json" if as_json else output


def cell(value: Any) -> str:
    """Write one value for a table: numbers to three places, lists with commas, None as nothing."""
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value))
    return "" if value is None else str(value)


def _print_table(rows: list[Mapping[str, Any]], title: str) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(visible(title)) if title else None, title_justify="left")
    for column in rows[0] if rows else ():
        table.add_column(column)
    for row in rows:
        table.add_row(
            *(Text(visible(cell(value))) for value in row.values())
        )  # Text: a summary's brackets are no markup.
    results.print(table if rows else "nothing")


def _print_markdown(rows: list[Mapping[str, Any]]) -> None:
    if rows:
        print(f"| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        cells = (cell(value).replace("\\", "\\\\").replace("|", "\\|") for value in row.values())
        print(visible(f"| {' | '.join(' '.join(text.split()) for text in cells)} |"))
