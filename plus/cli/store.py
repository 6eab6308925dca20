"""Verbs of `plus store`: copy."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from plus.cli.show import EITHER, SCREEN, notes, results
from plus.cli.stores import AsJson, print_facts
from plus.cli.verb import Verb, example_first

app = typer.Typer(no_args_is_help=True, help="Move whole stores, between a file and PostgreSQL too.")
Source = Annotated[str, typer.Argument(help="The store to copy: a file, a run folder, or postgresql://...")]
Target = Annotated[str, typer.Argument(help="Where to: a new file, or postgresql://... with no store yet.")]


def copy(source: Source, target: Target, as_json: AsJson = False) -> None:
    """Copy a store, all of it: users, events, versions, rules, what was forgotten. Both stay, and are compared.

    All or nothing. Meanwhile others may read and write the first; the copy is of one moment.

    Example: plus store copy profiles.db postgresql://plus@localhost/plus
    """
    from plus import recipes

    with notes.status("copying"):
        found = recipes.copy_store(source, target, SCREEN)
    if as_json:
        print_facts(asdict(found), "json")
        return
    counts = ", ".join(f"{count:,} {table}" for table, count in found.counts.items())
    results.print(f"{found.source} -> {found.target}: {counts}; read again, the same", markup=False, soft_wrap=True)


app.callback()(lambda: None)  # A name of its own for the only verb.
app.command("copy", cls=Verb, help=example_first(copy), context_settings=EITHER)(copy)
