"""`plus summarize`: write a summary for every user of a file of choices, however many there are."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from plus.cli.dry_run import DryRun, catcher, show_outgoing
from plus.cli.show import loading, say
from plus.cli.stores import StoreFile
from plus.cli.update import update_store
from plus.types import UserHistory


def summarize(
    run: Annotated[
        str, typer.Argument(help="A run folder, or the base URL of an OpenAI-compatible endpoint, with --model.")
    ],
    choices: Annotated[
        Path | None,
        typer.Argument(
            help="JSONL of past choices: user_id, prompt, chosen, rejected (or completion, label); - reads stdin. --update can do without."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="JSONL to write; a new file. Default: stdout.")] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with an --output that is there: users whose history has not changed are skipped."
        ),
    ] = False,
    model: Annotated[str | None, typer.Option(help="The endpoint's name for its model.")] = None,
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
    dry_run: DryRun = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object {user_id: summary} on stdout instead of lines.")
    ] = False,
) -> None:
    """Write {user_id, summary} for every user, from their past choices, oldest first.

    With --update what people edited, locked or forbade stays, and the same choice twice changes nothing.

    Example: plus summarize runs/demo choices.jsonl --output summaries.jsonl
    """
    from plus.errors import RunError
    from plus.profiles.update import SummaryFile
    from plus.sources.choices import read_histories

    if dry_run and (update or not run.startswith(("http://", "https://"))):
        raise RunError(f"{run} is on this machine and nothing would be sent; --dry-run is for an endpoint's address")
    if output is not None and output.exists() and (update or not resume):
        raise RunError(
            f"{output} exists and nothing is overwritten; give another --output, or --resume to go on with this one"
        )
    if update:
        texts = update_store(Path(run), choices, store, held_out, past_events)
        _store_written(texts, output, as_json)
        return
    if choices is None:
        raise RunError("a file of choices is missing; give one, or --update to read the store's")
    histories, dropped = read_histories(sys.stdin if str(choices) == "-" else choices)
    for line in dropped.lines():
        say(f"left out: {line}")
    maker, start = _engine(run, model)
    file = SummaryFile(output) if output is not None and not (dry_run and not output.exists()) else None
    todo = [history for history in histories.values() if file is None or not file.unchanged(history, maker)]
    if len(todo) < len(histories):
        say(f"{len(histories) - len(todo):,} users are unchanged since their summary was written")
    if dry_run:
        _show_outgoing(todo, run, model, as_json)
        return
    summaries = _write(todo, start, file, maker, lines=output is None and not as_json) if todo else {}
    if file is not None:
        file.close()
        summaries = file.summaries
        say(f"{len(summaries):,} summaries in {output}")
    if as_json:
        ordered = {user: summaries[user] for user in histories if user in summaries}
        print(json.dumps(ordered, ensure_ascii=False, indent=2))


def _write(todo: Sequence[UserHistory], start: Callable, file, maker: str, lines: bool) -> dict[str, str]:
    """Summarize with progress; each text goes to the file or to stdout as soon as it is there."""
    from plus.cli.show import bar
    from plus.profiles.update import written

    with loading("loading the model"):
        engine = start()
    summaries: dict[str, str] = {}
    with bar("users") as show:
        for history, text in written(todo, engine):
            summaries[history.user_id] = text
            if file is not None:
                file.add(history, text, maker)
            elif lines:
                print(json.dumps({"user_id": history.user_id, "summary": text}, ensure_ascii=False), flush=True)
            show(len(summaries), len(todo), {})
    for why, count in getattr(engine, "failed", {}).items():
        say(f"left out: {count:,} users for whom the endpoint gave {why}; --resume tries them again")
    for what, count in engine.cut.items():
        say(f"cut: {count:,} {what}")
    return summaries


def _show_outgoing(todo: Sequence[UserHistory], run: str, model: str | None, as_json: bool) -> None:
    from plus.serve.endpoint import EndpointSummarizer

    caught = catcher()
    engine = EndpointSummarizer(run, model or "", concurrency=1, http_client=caught.client)
    for _ in engine.stream(todo):
        pass  # Every answer is empty.
    show_outgoing(caught.outgoing, as_json)


def _engine(run: str, model: str | None) -> tuple[str, Callable]:
    """Who writes, as part of each line's hash, and how to start it: only when there is something to write."""
    from plus.errors import ModelError
    from plus.profiles.update import fingerprint
    from plus.prompts import INSTRUCTION

    if run.startswith(("http://", "https://")):
        if model is None:
            raise ModelError(f"{run} may serve several models; say which with --model")

        def connect():
            from plus.serve.endpoint import EndpointSummarizer

            return EndpointSummarizer(run, model)

        return repr((run, model, INSTRUCTION)), connect

    def open_run():
        from plus.models.run import load

        return load(run).summarizer

    folder = Path(run)
    config = folder / "config.json"
    if not (folder / "summarizer").is_dir() or not config.exists():
        open_run()  # which says what is wrong
    settings = json.loads(config.read_text(encoding="utf-8"))
    windows = [settings.get(key) for key in ("max_prompt_length", "max_completion_length")]
    return fingerprint(folder / "summarizer", *windows, INSTRUCTION), open_run


def _store_written(texts: dict[str, str], output: Path | None, as_json: bool) -> None:
    """What an update wrote, where it was asked for beside the store."""
    if as_json:
        print(json.dumps(texts, ensure_ascii=False, indent=2))
        return
    rows = [json.dumps({"user_id": user, "summary": text}, ensure_ascii=False) + "\n" for user, text in texts.items()]
    if output is None:
        sys.stdout.writelines(rows)
    else:
        output.write_text("".join(rows), encoding="utf-8")
        say(f"{len(texts):,} summaries in {output}")
