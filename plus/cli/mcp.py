"""`plus mcp`: users' summaries for assistants that speak MCP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plus.cli.stores import RunFolder, StoreFile, load_run, open_store, store_path

Users = Annotated[
    list[str] | None, typer.Option("--user", help="The only user who may be asked for; may be given again.")
]


def mcp(user: Users = None, run: RunFolder = None, store: StoreFile = None) -> None:
    """Serve summaries to an assistant over stdin and stdout (MCP): it can read, propose an edit, and ask why.

    Nothing is written: a proposed edit is a difference and the command that makes it. The assistant sends what it reads
    to its model: --user names whose summaries those may be. An assistant starts this command itself.

    Example: plus mcp --user ann
    """
    from plus.serve.mcp_server import ProfileServer

    with open_store(store):
        pass  # A file that is none is refused before the assistant asks.
    path = store_path(store)
    place = path.absolute() if isinstance(path, Path) else path
    ProfileServer(place, lambda opened: load_run(opened, run)[0].reward_model, user or ()).build().run()
