"""`plus export` and `plus import`: profiles out to other programs, and back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plus.cli.show import notes, print_json, say
from plus.cli.stores import AsJson, Output, RunFolder, StoreFile, add_run, load_run, open_store, print_facts, shape_of

if TYPE_CHECKING:
    pass

FORMATS = "jsonl, markdown (a folder, a file a user), csv, parquet, openai (developer messages), trl (choices with the summary as system message)"


def export(
    output: Annotated[str, typer.Option("--output", help="A new file or folder; - is stdout.")],
    form: Annotated[str, typer.Option("--format", help=FORMATS)] = "jsonl",
    users: Annotated[list[str] | None, typer.Option("--users", help="One user's id; may be given again.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only summaries written since: 2026-11-01, or seconds since 1970.")
    ] = None,
    redact_pii: Annotated[
        bool,
        typer.Option(
            "--redact_pii",
            help="Mask e-mail, phone, card, account, IP numbers and links by their shape; names it cannot, and user ids stay.",
        ),
    ] = False,
    max_tokens: Annotated[
        int | None, typer.Option(help="Keep the sentences worth most that fit (needs a run's reward model).", min=1)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count and print the first, write nothing.")] = False,
    run: RunFolder = None,
    store: StoreFile = None,
    as_json: AsJson = False,
) -> None:
    """Write summaries where other programs read them; JSONL and Markdown come back with plus import, edits included.

    Example: plus export --format markdown --output profiles
    """
    from plus.profiles.export import Changes, preview
    from plus.profiles.export import export as write

    with open_store(store) as opened:
        change = Changes(opened, redact_pii, max_tokens)
        if max_tokens is not None:
            loaded = load_run(opened, run)[0]
            tokenizer = loaded.summarizer.tokenizer
            change.scorer = loaded.reward_model
            change.tokens = lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])
        moment = _moment(since)
        if dry_run:
            print_json(preview(opened, users, moment, change))
            return
        stdout = sys.stdout.buffer if output == "-" else None
        found = write(opened, form, Path(output), users, moment, change, stdout)
    facts = found.to_json(change)
    if as_json and stdout is None:
        print_json(facts)
        return
    say(f"{found.users:,} users, {found.rows:,} rows, {found.bytes:,} bytes in {found.path}")
    _notes(facts, max_tokens)


def import_(
    source: Annotated[
        str, typer.Argument(help="JSONL, a Markdown file or a folder of them, a run folder; - is JSONL on stdin.")
    ],
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Read profiles back: what a file changes becomes a new version, written by the user.

    Example: plus import profiles
    """
    from plus.profiles import imports
    from plus.profiles.runs import is_run

    with open_store(store, create=True) as opened:
        receipt = imports.Imported()
        if source != "-" and is_run(Path(source)):
            receipt.new = add_run(opened, Path(source))
        else:
            stdin = sys.stdin.buffer if source == "-" else None
            with notes.status(f"reading {source}"):
                imports.add(opened, imports.read(Path(source), receipt.dropped, stdin), receipt)
    for line in receipt.dropped.lines():
        say(f"left out: {line}")
    for line, diff in receipt.conflicts:
        say(f"conflict: {line}\n{diff}")
    shape = shape_of(output, as_json)
    if shape != "table":
        print_facts(receipt.to_json(), shape)
    else:
        counts = ", ".join(f"{count:,} {name}" for name, count in receipt.counts().items())
        say(f"{counts}, {len(receipt.conflicts):,} conflicts")
    if receipt.conflicts or receipt.dropped:
        raise typer.Exit(3 if receipt.conflicts else 2)


def _moment(since: str | None) -> float | None:
    from plus.errors import ProfileError
    from plus.sources.messages import UnusableError
    from plus.sources.timestamps import seconds

    if since is None:
        return None
    try:
        moment, _ = seconds(since)
    except UnusableError:
        moment = None
    if moment is None:
        raise ProfileError(f"--since is {since!r}; give a date such as 2026-11-01, or seconds since 1970")
    return moment


def _notes(facts: dict[str, Any], max_tokens: int | None) -> None:
    for flag, count in facts["flagged"].items():
        say(f"look at them: {count:,} summaries with {flag.replace('_', ' ')} in the text (kept as text)")
    for reason, count in facts["left_out"].items():
        say(f"left out: {count:,} x {reason}")
    if facts["masked"]:
        say("masked: " + ", ".join(f"{count:,} {kind}" for kind, count in facts["masked"].items()))
    if max_tokens is not None:
        say(f"at most {max_tokens} tokens a summary: {_value_line(facts['value_kept'])}")


def _value_line(value: dict[str, Any] | None) -> str:
    if value is None:
        return "none was shortened, or none has held-out choices to judge the loss by"
    share = (
        f"{value['share']:.1%} of the predictive value kept"
        if value["share"]
        else "the whole texts predict no better than none"
    )
    return (
        f"{share} (log-likelihood a choice of {value['users']:,} shortened: "
        f"{value['kept']:.3f} kept, {value['whole']:.3f} whole, {value['empty']:.3f} none)"
    )
