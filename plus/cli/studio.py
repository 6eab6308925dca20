"""`plus studio`: the page on this machine, to see summaries and runs and to change what may be changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plus.cli.dry_run import BaseUrl
from plus.cli.show import SCREEN, say
from plus.cli.stores import StoreFile

Runs = Annotated[
    list[Path] | None,
    typer.Option("--run", help="A run folder to look at; the first one's reward model says what sentences are worth."),
]
ReadOnly = Annotated[bool, typer.Option("--read_only", help="Show everything and change nothing.")]
OneUser = Annotated[str | None, typer.Option("--user", help="Show this user alone; prints a link for them too.")]
Port = Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)]
Model = Annotated[str | None, typer.Option(help="A served model, for the blind comparison and for edits in words.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the exact bytes that would go to the model, and send nothing.")
]


def studio(
    store: StoreFile = None,
    run: Runs = None,
    read_only: ReadOnly = False,
    user: OneUser = None,
    port: Port = 0,
    model: Model = None,
    base_url: BaseUrl = "https://api.openai.com/v1",
    dry_run: DryRun = False,
) -> None:
    """Open a page on this machine: read what is known about people, see what it is worth, change it, forget it.

    Prints the address, with a token that only you have; ends on Ctrl-C. Nothing leaves the machine, unless --model
    names a model for the blind comparison and for edits in words: what you ask there goes to --base_url.

    Example: plus studio --store runs/demo-0
    """
    from plus.studio import listen
    from plus.studio.studio import Served, Studio, open_profiles

    profiles = open_profiles(store, SCREEN)
    only = profiles.store.user(user).number if user is not None else None
    served = Served(base_url, model, dry_run) if model is not None else None
    listen.listen(Studio(profiles, tuple(run or ()), read_only, only, served), port, say)
