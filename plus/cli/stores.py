"""Options, opening and printing that the verbs about profiles share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from plus.cli.show import SCREEN, print_json, results, visible
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


def store_path(store: str | None) -> Path | str:
    """Return the file of the store that --store means, or the address."""
    from plus import recipes

    return recipes.store_path(store)


def open_store(store: str | None, create: bool = False) -> Store:
    """Open the store that --store means. A run folder gets a store of its own users when it is first opened."""
    from plus import recipes

    return recipes.open_store(store, create, SCREEN)


def load_run(store: Store, run: Path | None) -> tuple[Run, Path]:
    """Load the models of --run, or of the run folder that the store knows. Raises ProfileError when it knows none."""
    from plus import recipes

    return recipes.load_run(store, run, SCREEN)


def print_rows(rows: Iterable[Mapping[str, Any]], shape: Shape, title: str = "", name: str = "rows") -> None:
    """Print rows as a table, one JSON object {name: [...]}, JSON lines, or a Markdown table."""
    if shape == "jsonl":
        for row in rows:
            sys.stdout.write(as_json_line(row) + "\n")
        return
    if shape == "json":
        print_json_rows(rows, name)
        return
    rows = list(rows)
    if shape == "md":
        _print_markdown(rows)
    else:
        _print_table(rows, title)


def print_facts(facts: Mapping[str, Any], shape: Shape) -> None:
    """Print one result as JSON (json, jsonl) or as a Markdown list; a verb draws its own table."""
    if shape == "json":
        print_json(facts)
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


def print_json_rows(
    rows: Iterable[Mapping[str, Any]], name: str, facts: Callable[[], Mapping[str, Any]] = dict
) -> None:
    """Print one JSON object row by row, as rows come: a million are never in memory at once.

    facts: what stands after the rows, known when they are out. Nothing is printed before the first row is there.
    """
    start = f"{{\n  {as_json_line(name)}: ["
    between = f"{start}\n"
    for row in rows:
        sys.stdout.write(between + "    " + as_json_line(row, 2).replace("\n", "\n    "))
        between = ",\n"
    sys.stdout.write("\n  ]" if between == ",\n" else f"{start}]")
    for key, value in facts().items():
        sys.stdout.write(f",\n  {as_json_line(key)}: " + as_json_line(value, 2).replace("\n", "\n  "))
    sys.stdout.write("\n}\n")


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
