"""`plus summarize`: write a summary for every user of a file of choices, however many there are."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from plus.cli.dry_run import DryRun, show_outgoing
from plus.cli.show import SCREEN, print_json
from plus.cli.stores import StoreFile

RunOrUrl = Annotated[
    str, typer.Argument(help="A run folder, or the base URL of an OpenAI-compatible endpoint, with --model.")
]
Choices = Annotated[
    Path | None,
    typer.Argument(
        help="JSONL of past choices: user_id, prompt, chosen, rejected (or completion, label); - reads stdin. "
        "--update can do without."
    ),
]
OutputFile = Annotated[Path | None, typer.Option(help="JSONL to write; a new file. Default: stdout.")]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on with an --output that is there: users whose history has not changed are skipped."
    ),
]
Model = Annotated[str | None, typer.Option(help="The endpoint's name for its model.")]
Update = Annotated[
    bool,
    typer.Option("--update", help="Keep choices and summaries in the store: summarize anew whoever has new choices."),
]
HeldOut = Annotated[
    float,
    typer.Option(
        help="With --update: share of the new choices that no summary reads, for plus profile score.", min=0, max=0.9
    ),
]
PastEvents = Annotated[
    int | None,
    typer.Option(
        help="With --update: how many of a user's newest choices are read. Default: as many as the run learned on.",
        min=1,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object {user_id: summary} on stdout instead of lines.")]


def summarize(
    run: RunOrUrl,
    choices: Choices = None,
    output: OutputFile = None,
    resume: Resume = False,
    model: Model = None,
    update: Update = False,
    store: StoreFile = None,
    held_out: HeldOut = 0.2,
    past_events: PastEvents = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Write {user_id, summary} for every user, from their past choices, oldest first.

    With --update what people edited, locked or forbade stays, and the same choice twice changes nothing.

    Example: plus summarize runs/demo choices.jsonl --output summaries.jsonl
    """
    from plus import recipes
    from plus.errors import RunError

    # 1. Refuse options that contradict each other.
    source = sys.stdin if str(choices) == "-" else choices
    if dry_run and (update or not run.startswith(("http://", "https://"))):
        raise RunError(f"{run} is on this machine and nothing would be sent; --dry-run is for an endpoint's address")
    # 2. Into the store, to nowhere, or into a file or stdout.
    lines = output is None and not as_json
    summaries: Mapping[str, str]
    if update:
        summaries = recipes.update(run, source, store, held_out, past_events, output, SCREEN, model).summaries
        for user_id, summary in summaries.items() if lines else ():
            _print_line(user_id, summary)
    elif source is None:
        raise RunError("a file of choices is missing; give one, or --update to read the store's")
    elif dry_run:
        show_outgoing(recipes.summarize_requests(run, source, model, output, resume, SCREEN), as_json)
        return
    else:
        show = _print_line if lines else None
        summaries = recipes.summarize(run, source, output, resume, model, show, SCREEN).summaries
    # 3. Lines were printed as they came; JSON is one object.
    if as_json:
        print_json(dict(summaries))


def _print_line(user_id: str, summary: str) -> None:
    print(json.dumps({"user_id": user_id, "summary": summary}, ensure_ascii=False), flush=True)
