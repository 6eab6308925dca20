"""`plus push`: a run to the Hugging Face Hub."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from plus.cli.show import loading, notes, print_json, results, say


def push(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    repo_id: Annotated[str | None, typer.Argument(help="OWNER/NAME on the Hub; made when there is none.")] = None,
    output_dir: Annotated[Path | None, typer.Option(help="Write what would be sent here, and send nothing.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public. Default: private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be sent, and send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")] = False,
) -> None:
    """Publish both models of a run with their card: options, metrics and report, no summary and no sample of any user.

    `plus.load("OWNER/NAME")` opens it anywhere. The token is that of `hf auth login`, or HF_TOKEN.

    Example: plus push runs/demo me/pets-plus --dry-run
    """
    from plus.errors import SettingError

    if repo_id is None and output_dir is None and not dry_run:
        raise SettingError("nowhere to push to; give OWNER/NAME, or --output_dir FOLDER to look at it first")
    with loading("reading the run"):
        from plus.models import hub
    with tempfile.TemporaryDirectory() as scratch:
        folder = output_dir or Path(scratch) / "run"
        files = hub.stage(run, folder)
        sizes = {str(path): (folder / path).stat().st_size for path in files}
        address = None
        if repo_id is not None and output_dir is None and not dry_run:
            with notes.status(f"sending {sum(sizes.values()) / 2**20:,.1f} MiB to {repo_id}"):
                address = hub.push_to_hub(folder, repo_id, private=not public)
        personal = _personal_data(folder, files)
    if as_json:
        print_json({"files": sizes, "sent_to": address, "personal_data": personal})
        return
    for name, size in sizes.items():
        results.print(f"{size:>12,}  {name}")
    counts = ", ".join(f"{count} x {kind}" for kind, count in personal.items()) or "none"
    say(f"personal data by its shape (names and places have none): {counts}; --output_dir writes the exact bytes")
    say(f"sent to {address}" if address else "nothing was sent")


def _personal_data(folder: Path, files: Iterable[Path]) -> dict[str, int]:
    """What looks personal in the texts that people could have written: the card and the reports."""
    from plus.profiles.text_filters import redact

    found: Counter[str] = Counter()
    for path in files:
        if path.suffix in (".md", ".jsonl") or path.name in ("config.json", "report.json"):
            redact((folder / path).read_text(encoding="utf-8"), found)
    return dict(found)
