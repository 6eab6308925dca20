"""`plus VERB`: the entry point. Heavy imports wait until a verb runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import NoReturn

import typer

from plus.cli import (
    audit,
    chat,
    control,
    data,
    dry_run,
    edit,
    export,
    forget,
    judge,
    love,
    mcp,
    policy,
    profile,
    proxy,
    show,
    signals,
    store,
    studio,
    summarize,
    tell,
    train,
)
from plus.cli.show import EITHER, visible
from plus.cli.verb import Verb, example_first
from plus.errors import MissingExtraError, PlusError, missing_extra

app = typer.Typer(
    name="plus", no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False,
    help="Learn a short text about each user from what they chose, and give it to any model. "
    "Every verb takes --help; --debug anywhere shows tracebacks.",
)  # fmt: skip
_TRL = {"allow_extra_args": True, "ignore_unknown_options": True}  # Any field of TRL's configuration is an option too.
# Panel of `plus --help` -> (verb, its line there, its function or its app).
VERBS: dict[str, list[tuple[str, str, Callable[..., None] | typer.Typer]]] = {
    "Start": [
        ("demo", "See the method work: synthetic users, then real voters.", train.demo),
        ("train", "Learn summaries and a reward model from choices.", train.train),
        ("summarize", "Write or update the summaries of users.", summarize.summarize),
    ],
    "Data": [
        ("data", "Check, look at, split and describe files of choices.", data.app),
        ("ingest", "Read logs and exports of chats into a store.", signals.ingest),
        ("signals", "Label turns: satisfied, dissatisfied, none, unsure.", signals.signals),
        ("pairs", "Make preference pairs of feedback in a store.", signals.pairs),
    ],
    "Profiles": [
        ("profile", "Read, edit, prove and undo what is known about a user.", profile.app),
        ("studio", "Open a page to see, change and prove all of it.", studio.studio),
        ("export", "Write summaries for people and other programs.", export.export),
        ("import", "Read profiles and memories of other assistants.", export.import_),
        ("forget", "Forget users or conversations, with a receipt.", forget.forget),
        ("doctor", "Check a store, and complete what was interrupted.", forget.doctor),
        ("backup", "Copy a store that is in use.", forget.backup),
        ("restore", "Put a backup back.", forget.restore),
        ("store", "Copy a store between a file and PostgreSQL.", store.app),
    ],
    "Serve": [
        ("prompt", "Show the bytes that a request would send; send nothing.", dry_run.prompt),
        ("proxy", "Personalize any program that has a base URL.", proxy.proxy),
        ("mcp", "Give an assistant access to summaries (MCP).", mcp.mcp),
        ("gate", "Find when a summary has no bearing on a prompt.", proxy.gate),
        ("wording", "Measure which placement of a summary a model heeds.", proxy.wording),
        ("chat", "Compare answers with and without a summary, blind.", chat.chat),
    ],
    "Evidence": [
        ("evaluate", "Evaluate a run on users it never met.", audit.evaluate),
        ("audit", "Find out whether a run is personal or only seems so.", audit.audit),
        ("benchmark", "Compare with every baseline, on your people or ours.", audit.benchmark),
        ("judge", "Ask other models whose choice it is.", judge.judge),
    ],
    "Rewards and policies": [
        ("love", "Predict what users will love, from their likes.", love.love),
        ("policy", "Train a response model on several goals.", policy.policy),
        ("push", "Publish both models of a run with their card.", export.push),
    ],
}
PROFILE: dict[str, Callable[..., None]] = {
    "list": profile.list_users, "show": profile.show, "history": profile.history, "diff": profile.diff,
    "restore": edit.restore, "edit": edit.edit, "tell": tell.tell, "lock": edit.lock, "forbid": edit.forbid,
    "pause": control.pause, "resume": control.resume, "rules": control.rules, "actions": control.actions,
    "score": profile.score, "why": profile.why, "events": profile.events, "export": profile.export,
    "erase": forget.erase,
}  # fmt: skip
for panel, verbs in VERBS.items():
    for name, line, door in verbs:
        if isinstance(door, typer.Typer):
            app.add_typer(door, name=name, short_help=line, rich_help_panel=panel)
        else:
            settings = {**EITHER, **(_TRL if name in ("train", "policy") else {})}
            app.command(
                name,
                cls=Verb,
                help=example_first(door),
                short_help=line,
                context_settings=settings,
                rich_help_panel=panel,
            )(door)
for name, verb in PROFILE.items():
    profile.app.command(name, cls=Verb, help=example_first(verb), context_settings=EITHER)(verb)


def main() -> None:
    """Run a verb; what a person can mend is one line on stderr and exit status 2 (or the error's own)."""
    arguments = sys.argv[1:]
    show.reply = show.Reply()
    debug = "--debug" in arguments
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # Nothing is sent that no command says.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.pop("OPENAI_LOG", None)  # With it the official client logs whole requests, and people with them.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Waiting threads sleep instead of spinning: beside another busy process an update of the tiny
    # model takes 1.1 s instead of up to 16 (notebooks/LOG.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        _run([word for word in arguments if word != "--debug"])
    except MissingExtraError as error:
        _fail(error, debug, error.status, f"{_verb(arguments)}: {error}")
    except PlusError as error:
        _fail(error, debug, error.status, str(error))
    except ModuleNotFoundError as error:
        _fail(error, debug, *_missing(_verb(arguments), error))
    except KeyboardInterrupt as error:
        _fail(error, debug, 130, "interrupted; a training run continues with --resume_from_checkpoint")
    except OSError as error:
        _fail(error, debug, 2, f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
    except Exception as error:  # A fault of ours: one line for people, the traceback on request.
        _fail(
            error,
            debug,
            1,
            f"unexpected {type(error).__name__}: {''.join(str(error).strip().splitlines()[:1])}; "
            "add --debug for the traceback",
        )


def _run(arguments: list[str]) -> None:
    """Run a verb. With --json a command line that cannot be read is told as JSON too."""
    if not _wants_json(arguments):
        app(args=arguments)
        return
    try:
        status = app(args=arguments, standalone_mode=False)
    except Exception as error:
        if not hasattr(error, "format_message"):  # An error of the command line's.
            raise
        _fail(error, False, 2, error.format_message(), "usage")
    if status == 130:
        _fail(KeyboardInterrupt(), False, 130, "interrupted")
    if status:
        raise SystemExit(status)


def _wants_json(arguments: list[str]) -> bool:
    """Look for --json, -o json or --format json."""
    shapes = {("-o", "json"), ("--format", "json")}
    return "--json" in arguments or "-ojson" in arguments or not shapes.isdisjoint(pairwise(arguments))


def _verb(arguments: list[str]) -> str:
    """Name the verb of a command line, such as "plus judge" or "plus profile score"."""
    return " ".join(["plus", *arguments[: 2 if arguments[:1] in (["data"], ["profile"]) else 1]])


def _missing(verb: str, error: ModuleNotFoundError) -> tuple[int, str]:
    """Status and line for a package that is not installed: an extra's, or a fault of ours."""
    known = missing_extra(verb, error)
    return (
        (known.status, str(known))
        if known
        else (1, f"unexpected {type(error).__name__}: {error}; add --debug for the traceback")
    )


def _fail(error: BaseException, debug: bool, status: int, line: str, kind: str = "") -> NoReturn:
    if debug:
        raise error
    if _wants_json(sys.argv[1:]) and not show.reply.is_printed:
        show.print_json(None, show.failure(status, kind or show.kind_of(error)[1], line))
    print(visible(f"plus: {' '.join(line.split())}"), file=sys.stderr)
    raise SystemExit(status) from None
