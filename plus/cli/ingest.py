"""`plus ingest`: the logs that people have, into the profile store."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from plus.cli.show import notes, print_json, results, say
from plus.cli.stores import AsJson, StoreFile, open_store


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
    from plus.errors import SourceError
    from plus.feedback.ingest import Listed, Read, entries, files_of

    if dropped_to is not None and dropped_to.exists():
        raise SourceError(f"{dropped_to} is there already and is not overwritten; give another --dropped_to")
    known = files_of(files)
    with ExitStack() as stack:
        read = Read()
        if dropped_to is not None:
            file = stack.enter_context(dropped_to.open("w", encoding="utf-8"))
            read.dropped = Listed(
                lambda reason, where: print(json.dumps({"where": where, "reason": reason}), file=file)
            )
        opened = stack.enter_context(open_store(store, create=True))
        stack.enter_context(notes.status("reading"))
        added = opened.add_events(entries(known, read, user_id))
    facts: dict[str, Any] = {
        "format": ", ".join(read.formats), "users": len(read.users), "events": read.events, "kinds": dict(read.kinds),
        "dropped": dict(read.dropped), "mended": dict(read.mended),
        "added": added.added, "known": added.known, "refused": added.refused,
    }  # fmt: skip
    if as_json:
        print_json(facts)
    else:
        _print(facts, [*read.dropped.lines()], read.mended.lines())
    ups = read.kinds["reaction"]
    if ups and read.ups in (0, ups):
        say(f"all {ups:,} reactions are {'up' if read.ups else 'down'}: alone they teach nothing about what is better")


def _print(facts: dict[str, Any], dropped: list[str], mended: list[str]) -> None:
    kinds = ", ".join(f"{count:,} x {kind}" for kind, count in facts["kinds"].items())
    lines = [
        f"{facts['format']}: {facts['events']:,} events of {facts['users']:,} users ({kinds})",
        f"{facts['added']:,} new, {facts['known']:,} known, {facts['refused']:,} refused (forgotten)",
        *(f"left out: {line}" for line in dropped),
        *(f"mended: {line}" for line in mended),
    ]
    for line in lines:
        results.print(line, markup=False, soft_wrap=True)
