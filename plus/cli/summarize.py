"""`plus summarize`: write a summary for every user of a file of choices."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from plus.cli.show import loading, notes, say
from plus.cli.stores import StoreFile
from plus.cli.update import update_store


def summarize(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    choices: Annotated[
        Path | None,
        typer.Argument(
            help="JSONL of past choices: user_id, prompt, chosen, rejected (or completion, label); - reads stdin. --update can do without."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="JSONL to write; a new file. Default: stdout.")] = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update", help="Keep choices and summaries in the store: summarize anew whoever has new choices."
        ),
    ] = False,
    store: StoreFile = None,
    held_out: Annotated[
        float,
        typer.Option(
            help="With --update: share of the new choices that no summary reads, for plus profile score.",
            min=0,
            max=0.9,
        ),
    ] = 0.2,
    past_events: Annotated[
        int | None,
        typer.Option(
            help="With --update: how many of a user's newest choices are read. Default: as many as the run learned on.",
            min=1,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object {user_id: summary} on stdout instead of lines.")
    ] = False,
) -> None:
    """Write {user_id, summary} for every user, from their past choices, oldest first.

    With --update what people edited, locked or forbade stays, and the same choice twice changes nothing.

    Example: plus summarize runs/demo choices.jsonl --output summaries.jsonl
    """
    from plus.errors import RunError
    from plus.sources.choices import read_histories

    if output is not None and output.exists():
        raise RunError(f"{output} exists and nothing is overwritten; give another --output")
    if update:
        summaries = update_store(run, choices, store, held_out, past_events)
        _write(summaries, output, as_json)
        return
    if choices is None:
        raise RunError("a file of choices is missing; give one, or --update to read the store's")
    histories, dropped = read_histories(sys.stdin if str(choices) == "-" else choices)
    for line in dropped.lines():
        say(f"left out: {line}")
    with loading("loading the run"):
        from plus.models.run import load

        loaded = load(run)
    with notes.status(f"summarizing {len(histories):,} users"):
        texts = loaded.summarizer.summarize(list(histories.values()))
    summaries = dict(zip(histories, texts, strict=True))
    _write(summaries, output, as_json)


def _write(summaries: dict[str, str], output: Path | None, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summaries, ensure_ascii=False, indent=2))
        return
    lines = "".join(
        json.dumps({"user_id": user, "summary": text}, ensure_ascii=False) + "\n" for user, text in summaries.items()
    )
    if output is None:
        sys.stdout.write(lines)
    else:
        output.write_text(lines, encoding="utf-8")
        say(f"{len(summaries):,} summaries in {output}")
