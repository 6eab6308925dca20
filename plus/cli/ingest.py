"""`plus ingest`: logs into the profile store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plus.cli.show import SCREEN, print_json, results, say
from plus.cli.stores import AsJson, StoreFile, open_store

if TYPE_CHECKING:
    from plus.feedback.ingest import IngestReport


def ingest(
    files: Annotated[list[Path], typer.Argument(help="Logs: files, or folders of them. Their format is recognised.")],
    store: StoreFile = None,
    user_id: Annotated[str, typer.Option(help="Whose the rows are that do not say it.")] = "",
    dropped_to: Annotated[Path | None, typer.Option(help="Write each thing left out there, as JSONL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read logs into the store: what people said, chose and thumbed. The same file twice adds nothing.

    Knows OpenAI's chat and preference rows, ShareGPT, ChatGPT's conversations.json, Langfuse, Open WebUI, WildChat,
    WildFeedback and plus's own rows. Interrupted, it is completed by the same command again.

    Example: plus ingest conversations.json --user_id ann --store profiles.db
    """
    from plus.feedback import ingest as job

    report = job.ingest(files, lambda: open_store(store, create=True), user_id, dropped_to, SCREEN)
    if as_json:
        print_json(report.to_json())
    else:
        _print(report)
    if report.one_sided:
        ups = report.logs.kinds["reaction"]
        say(f"all {ups:,} reactions are {report.one_sided}: alone they teach nothing about what is better")


def _print(report: IngestReport) -> None:
    logs, added = report.logs, report.added
    kinds = ", ".join(f"{count:,} x {kind}" for kind, count in logs.kinds.items())
    lines = [
        f"{', '.join(logs.formats)}: {logs.events:,} events of {len(logs.users):,} users ({kinds})",
        f"{added.added:,} new, {added.known:,} known, {added.refused:,} refused (forgotten)",
        *(f"left out: {line}" for line in logs.dropped.lines()),
        *(f"mended: {line}" for line in logs.repaired.lines()),
    ]
    for line in lines:
        results.print(line, markup=False, soft_wrap=True)
