"""`plus export`, `plus import` and `plus push`: profiles out and in, and a run to the Hugging Face Hub."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plus.cli.show import SCREEN, failure, print_json, say
from plus.cli.stores import (
    IN_PART,
    AsJson,
    Output,
    RunFolder,
    StoreFile,
    Who,
    load_run,
    open_store,
    print_facts,
    shape_of,
)

if TYPE_CHECKING:
    from plus.profiles.export import Changes
    from plus.profiles.store import Store
from plus.cli.dry_run import named
from plus.cli.show import loading, results

FORMATS = (
    "jsonl, full (with every version and event), markdown (a folder, a file a user), csv, parquet, "
    "openai (developer messages), trl (choices with the summary as system message), memory (dated lines), pam, mem0, "
    "letta, honcho"
)
Target = Annotated[str, typer.Option("--output", help="A new file or folder; - is stdout.")]
Format = Annotated[str, typer.Option("--format", help=FORMATS)]
Users = Annotated[list[str] | None, typer.Option("--users", help="One user's id; may be given again.")]
Since = Annotated[str | None, typer.Option(help="Only summaries written since: 2026-11-01, or seconds since 1970.")]
RedactPii = Annotated[
    bool,
    typer.Option(
        "--redact_pii",
        help="Mask e-mail, phone, card, account, IP numbers and links by their shape; "
        "names it cannot, and user ids stay.",
    ),
]
MaxTokens = Annotated[
    int | None, typer.Option(help="Keep the sentences worth most that fit (needs a run's reward model).", min=1)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count and print the first, write nothing.")]
UserId = Annotated[str, typer.Option(help="Whose memories a file of another program holds, where it names nobody.")]
Source = Annotated[
    str, typer.Argument(help="JSONL, a Markdown file or a folder of them, a run folder; - is JSONL on stdin.")
]


def export(
    output: Target,
    form: Format = "jsonl",
    users: Users = None,
    since: Since = None,
    redact_pii: RedactPii = False,
    max_tokens: MaxTokens = None,
    dry_run: DryRun = False,
    run: RunFolder = None,
    store: StoreFile = None,
    as_json: AsJson = False,
) -> None:
    """Write summaries for other programs to read; JSONL and Markdown come back with plus import, edits included.

    Example: plus export --format markdown --output profiles
    """
    from plus.profiles import export as exporting

    # 1. Write, or only count.
    with open_store(store) as opened:
        changes = _changes(opened, redact_pii, max_tokens, run)
        moment = _moment(since)
        if dry_run:
            print_json(exporting.preview(opened, users, moment, changes))
            return
        stdout = sys.stdout.buffer if output == "-" else None
        change = changes if redact_pii or max_tokens is not None else None
        found = exporting.export(opened, form, Path(output), users, moment, change, stdout)
    # 2. Report; stdout holds the rows alone.
    facts = found.to_json(changes)
    if as_json and stdout is None:
        print_json(facts)
        return
    say(f"{found.users:,} users, {found.rows:,} rows, {found.bytes:,} bytes in {found.path}")
    _notes(facts, max_tokens)


def import_(
    source: Source,
    user_id: UserId = "",
    who: Who = "",
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Read profiles back: a change in a file becomes a new version, written by the user.

    Memories of other programs come in too: lines "[date] - content" (.txt), USER.md, PAM, Mem0, Letta, Honcho (.json).

    Example: plus import profiles
    """
    from plus import recipes

    # The store is made if need be: an import may be the first thing in it.
    with open_store(store, True, who) as opened:
        receipt = recipes.import_profiles(source, opened, sys.stdin.buffer if source == "-" else None, SCREEN, user_id)
    for line in receipt.dropped.lines():
        say(f"left out: {line}")
    for line, diff in receipt.conflicts:
        say(f"conflict: {line}\n{diff}")
    shape, error = shape_of(output, as_json), None
    if receipt.conflicts or receipt.dropped:
        done = receipt.new + receipt.edited
        status, kind = (IN_PART, "in_part") if done else (3, "conflict") if receipt.conflicts else (2, "source")
        left = f"{len(receipt.conflicts):,} conflicts, {receipt.dropped.total():,} left out"
        error = failure(status, kind, f"{done:,} profiles were imported; {left}")
    if shape != "table":
        print_facts(receipt.to_json(), shape, error)
    else:
        counts = ", ".join(f"{count:,} {name}" for name, count in receipt.counts().items())
        say(f"{counts}, {len(receipt.conflicts):,} conflicts")
    if error:
        raise typer.Exit(error["status"])


def _changes(store: Store, redact_pii: bool, max_tokens: int | None, run: Path | None) -> Changes:
    """What each profile goes through on its way out; a length limit needs a run's reward model and tokenizer."""
    from plus.profiles.export import Changes

    if max_tokens is None:
        return Changes(store, redact_pii)
    loaded, _ = load_run(store, run)
    return Changes(store, redact_pii, max_tokens, loaded.reward_model, loaded.count_tokens)


def _moment(since: str | None) -> float | None:
    """Seconds since 1970. Raises ProfileError for what is no date."""
    from plus.errors import ProfileError
    from plus.sources.fields import UnusableError, seconds

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


Run = Annotated[Path, typer.Argument(help="A run folder.")]
RepoId = Annotated[str | None, typer.Argument(help="OWNER/NAME on the Hub; made when there is none.")]
OutputDir = Annotated[Path | None, typer.Option(help="Write what would be sent here, and send nothing.")]
Public = Annotated[bool, typer.Option("--public", help="Make a new repository public. Default: private.")]
PushDryRun = Annotated[bool, typer.Option("--dry-run", help="List what would be sent, and send nothing.")]


def push(
    run: Run,
    repo_id: RepoId = None,
    output_dir: OutputDir = None,
    public: Public = False,
    dry_run: PushDryRun = False,
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
