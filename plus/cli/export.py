"""`plus export` and `plus import`: profiles out to other programs, and back."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plus.cli.show import notes, print_json, say
from plus.cli.stores import AsJson, Output, RunFolder, StoreFile, add_run, load_run, open_store, print_facts, shape_of

if TYPE_CHECKING:
    from plus.profiles.attribution import Kept
    from plus.profiles.export import Change
    from plus.profiles.rows import Profile
    from plus.profiles.store import Store

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
    from plus.profiles.export import export as write

    with open_store(store) as opened:
        masked: Counter[str] = Counter()
        kept: list[Kept] = []
        change = _change(opened, redact_pii, masked, max_tokens, kept, run)
        moment = _moment(since)
        if dry_run:
            _dry_run(opened, users, moment, change)
            return
        stdout = sys.stdout.buffer if output == "-" else None
        found = write(opened, form, Path(output), users, moment, change, stdout)
    facts: dict[str, Any] = {
        "path": found.path, "users": found.users, "rows": found.rows, "bytes": found.bytes, "flagged": dict(found.flagged),
        "left_out": dict(found.left_out), "masked": dict(masked), "value_kept": _value(kept),
    }  # fmt: skip
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
    from plus.profiles.forget_runs import is_run

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
    counts = {
        "new": receipt.new,
        "edited": receipt.edited,
        "unchanged": receipt.unchanged,
        "forgotten": receipt.forgotten,
    }
    shape = shape_of(output, as_json)
    if shape != "table":
        facts = {**counts, "conflicts": [line for line, _ in receipt.conflicts], "dropped": dict(receipt.dropped)}
        print_facts(facts, shape)
    else:
        say(
            ", ".join(f"{count:,} {name}" for name, count in counts.items()) + f", {len(receipt.conflicts):,} conflicts"
        )
    if receipt.conflicts or receipt.dropped:
        raise typer.Exit(3 if receipt.conflicts else 2)


def _change(
    store: Store, redact_pii: bool, masked: Counter[str], max_tokens: int | None, kept: list[Kept], run: Path | None
) -> Change | None:
    """What each profile goes through on its way out."""
    if not redact_pii and max_tokens is None:
        return None
    from plus.profiles import attribution
    from plus.profiles.redact import redact

    loaded = load_run(store, run)[0] if max_tokens is not None else None

    def tokens(text: str) -> int:
        assert loaded is not None
        return len(loaded.summarizer.tokenizer(text, add_special_tokens=False)["input_ids"])

    def change(profile: Profile) -> Profile:
        if loaded is not None and max_tokens is not None:
            user_id = profile.version.user_id
            events = attribution.held_out(store, user_id, profile.version)
            text, value = attribution.choose(
                loaded.reward_model, profile.version, events, tokens, max_tokens, profile.rules.lock
            )
            profile = profile.with_text(text)
            kept.extend([value] if value is not None else [])
        if redact_pii:
            profile = profile.masked(lambda text: redact(text, masked))
        return profile

    return change


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


def _dry_run(store: Store, users: list[str] | None, since: float | None, change: Change | None) -> None:
    from plus.profiles.rows import profiles, to_row

    for user in users or ():
        store.user(user)
    count, first = 0, None
    for profile in profiles(store, users, since):
        count += 1
        first = first or (change(profile) if change else profile)
    print_json({"users": count, "first": to_row(first) if first else None, "written": False})


def _notes(facts: dict[str, Any], max_tokens: int | None) -> None:
    for flag, count in facts["flagged"].items():
        say(f"look at them: {count:,} summaries with {flag.replace('_', ' ')} in the text (kept as text)")
    for reason, count in facts["left_out"].items():
        say(f"left out: {count:,} x {reason}")
    if facts["masked"]:
        say("masked: " + ", ".join(f"{count:,} {kind}" for kind, count in facts["masked"].items()))
    if max_tokens is not None:
        say(f"at most {max_tokens} tokens a summary: {_value_line(facts['value_kept'])}")


def _value(kept: list[Kept]) -> dict[str, Any] | None:
    """Means over the shortened summaries that could be judged."""
    from plus.measures import mean
    from plus.profiles.attribution import Kept

    if not kept:
        return None
    means = Kept(mean(k.whole for k in kept), mean(k.kept for k in kept), mean(k.empty for k in kept))
    return {"users": len(kept), "whole": means.whole, "kept": means.kept, "empty": means.empty, "share": means.share}


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
