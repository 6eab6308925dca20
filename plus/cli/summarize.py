"""`plus summarize`: write a summary for every user of a file of choices."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from plus.cli.show import loading, notes, say


def summarize(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    choices: Annotated[
        Path,
        typer.Argument(
            help="JSONL of past choices: user_id, prompt, chosen, rejected (or completion, label); - reads stdin."
        ),
    ],
    output: Annotated[Path | None, typer.Option(help="JSONL to write; a new file. Default: stdout.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object {user_id: summary} on stdout instead of lines.")
    ] = False,
) -> None:
    """Write {user_id, summary} for every user, from their past choices, oldest first.

    Example: plus summarize runs/demo choices.jsonl --output summaries.jsonl
    """
    from plus.errors import RunError
    from plus.sources.choices import read_histories

    if output is not None and output.exists():
        raise RunError(f"{output} exists and nothing is overwritten; give another --output")
    histories, dropped = read_histories(sys.stdin if str(choices) == "-" else choices)
    for line in dropped.lines():
        say(f"left out: {line}")
    with loading("loading the run"):
        from plus.models.run import load

        loaded = load(run)
    with notes.status(f"summarizing {len(histories):,} users"):
        texts = loaded.summarizer.summarize(list(histories.values()))
    summaries = dict(zip(histories, texts, strict=True))
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
