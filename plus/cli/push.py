"""`plus push`: a run to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plus.cli.dry_run import named
from plus.cli.show import SCREEN, loading, print_json, results, say

Run = Annotated[Path, typer.Argument(help="A run folder.")]
RepoId = Annotated[str | None, typer.Argument(help="OWNER/NAME on the Hub; made when there is none.")]
OutputDir = Annotated[Path | None, typer.Option(help="Write what would be sent here, and send nothing.")]
Public = Annotated[bool, typer.Option("--public", help="Make a new repository public. Default: private.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List what would be sent, and send nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]


def push(
    run: Run,
    repo_id: RepoId = None,
    output_dir: OutputDir = None,
    public: Public = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Publish both models of a run with their card: options, metrics and report, no summary and no sample of any user.

    `plus.load("OWNER/NAME")` opens it anywhere. The token is that of `hf auth login`, or HF_TOKEN.

    Example: plus push runs/demo me/pets-plus --dry-run
    """
    with loading("reading the run"):
        from plus.models import hub
    done = hub.push(run, repo_id, output_dir, public, dry_run, SCREEN)
    if as_json:
        print_json(done.to_json())
        return
    # Files on stdout, the summary on stderr.
    for name, size in done.files.items():
        results.print(f"{size:>12,}  {name}")
    found = named(done.personal_data)
    say(f"personal data by its shape (names and places have none): {found}; --output_dir writes the exact bytes")
    say(f"sent to {done.sent_to}" if done.sent_to else "nothing was sent")
