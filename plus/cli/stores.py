"""What every verb about profiles shares: which store, which run, and how results are printed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from plus.cli.show import loading, notes, print_json, results, say

if TYPE_CHECKING:
    from plus.models.run import Run
    from plus.profiles.store import Store

# Exit statuses of the verbs about profiles.
STATUSES = (
    "Exit status: 0 done; 2 bad input, nothing changed; 3 somebody else changed the summary, nothing written; "
    "4 no such user or version; 5 forgotten, refused; 1 a fault of plus."
)
Shape = Literal["table", "json", "jsonl", "md"]
StoreFile = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="PLUS_STORE",
        help="The store's file, or a run folder. Default: in your data folder.",
        show_envvar=True,
    ),
]
RunFolder = Annotated[
    Path | None, typer.Option("--run", help="Run folder whose models are used. Default: the one that the store knows.")
]
AsJson = Annotated[bool, typer.Option("--json", help="As -o json: one JSON object on stdout, nothing else.")]
Output = Annotated[Shape, typer.Option("-o", "--output_shape", help="How the result is printed.")]
User = Annotated[str, typer.Argument(help="The user's id.")]


def store_path(store: Path | None) -> Path:
    """The file of the store that is meant."""
    from plus.profiles.runs import STORE

    if store is None:
        from platformdirs import user_data_path

        return user_data_path("plus", appauthor=False) / STORE
    return store / STORE if (store / "config.json").is_file() else store


def open_store(store: Path | None, create: bool = False) -> Store:
    """Open it. A run folder gets a store of its own users when it is first opened."""
    from plus.profiles.store import Store

    path = store_path(store)
    if store is not None and path != store and not path.exists():
        return _from_run(store, path)
    return Store(path, create)


def add_run(store: Store, folder: Path) -> int:
    """A run folder's users, their histories, held-out choices and summaries; returns the summaries."""
    from plus import datasets
    from plus.profiles import runs

    summaries = runs.read_summaries(folder)
    with notes.status(f"reading {folder}"):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return runs.add_run(store, folder, datasets.from_settings(config), summaries)


def load_run(store: Store, run: Path | None) -> tuple[Run, Path]:
    """The models of `run`, or of the run folder that the store knows. Raises ProfileError when it knows none."""
    from plus.errors import ProfileError

    known = [folder for folder in store.runs() if folder.is_dir()]
    if run is None and not known:
        raise ProfileError("scoring needs a reward model and the store knows no run folder; give --run RUN")
    folder = run or known[-1]
    with loading("loading the run"):
        from plus.models.run import load
    return load(folder), folder


def print_rows(rows: Iterable[Mapping[str, Any]], shape: Shape, title: str = "", name: str = "rows") -> None:
    """Rows as a table, one JSON object {name: [...]}, JSON lines, or a Markdown table."""
    if shape == "jsonl":
        for row in rows:
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
        return
    rows = list(rows)
    if shape == "json":
        print_json({name: rows})
    elif shape == "md":
        _print_markdown(rows)
    else:
        _print_table(rows, title)


def print_facts(facts: Mapping[str, Any], shape: Shape) -> None:
    """One result for programs (json, jsonl) or as a Markdown list; tables are drawn by who knows their columns."""
    if shape == "json":
        print_json(facts)
    elif shape == "jsonl":
        print(json.dumps(facts, ensure_ascii=False))
    else:
        for key, value in facts.items():
            print(f"- {key}: {' '.join(cell(value).split())}")


def shape_of(output: Shape, as_json: bool) -> Shape:
    """--json is -o json."""
    return "json" if as_json else output


def cell(value: Any) -> str:
    """One value as people read it."""
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value))
    return "" if value is None else str(value)


def _print_table(rows: list[Mapping[str, Any]], title: str) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, title_justify="left")
    for column in rows[0] if rows else ():
        table.add_column(column)
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row.values()))  # Text: a summary's brackets are no markup.
    results.print(table if rows else "nothing")


def _print_markdown(rows: list[Mapping[str, Any]]) -> None:
    if rows:
        print(f"| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        cells = (cell(value).replace("\\", "\\\\").replace("|", "\\|") for value in row.values())
        print(f"| {' | '.join(' '.join(text.split()) for text in cells)} |")


def _from_run(folder: Path, path: Path) -> Store:
    """The store of a run folder: made under another name first, so that a crash leaves none half filled."""
    from plus.profiles.store import Store

    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with Store(partial) as store:
            count = add_run(store, folder)
        try:
            os.link(partial, path)
            say(f"{count:,} users of {folder} are now in {path}")
        except FileExistsError:
            pass  # Another process was faster: its store is as good.
    finally:
        partial.unlink(missing_ok=True)
    return Store(path)
