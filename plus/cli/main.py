"""`plus VERB`: the entry point. Heavy imports wait until a verb runs."""

from __future__ import annotations

import os
import sys

import typer

from plus.cli import (
    audit,
    chat,
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
    signals,
    summarize,
    train,
)
from plus.cli.show import EITHER, visible
from plus.errors import MissingExtraError, PlusError, missing_extra

app = typer.Typer(
    name="plus", no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False,
    help="Learn a short text about each user from what they chose, and give it to any model. "
    "Every verb takes --help; --debug anywhere shows tracebacks.",
)  # fmt: skip
app.command(context_settings=EITHER)(train.demo)
app.command(context_settings={**EITHER, "allow_extra_args": True, "ignore_unknown_options": True})(train.train)
app.command(context_settings=EITHER)(summarize.summarize)
app.command(context_settings=EITHER)(audit.evaluate)
app.command(context_settings=EITHER)(audit.audit)
app.command(context_settings=EITHER)(audit.benchmark)
app.command(context_settings={**EITHER, "allow_extra_args": True, "ignore_unknown_options": True})(policy.policy)
app.command(context_settings=EITHER)(export.push)
app.add_typer(data.app, name="data")
profile.app.command("list", context_settings=EITHER)(profile.list_users)
for verb in (
    *(profile.show, profile.history, profile.diff, edit.restore, edit.edit, edit.lock, edit.forbid, edit.pause),
    *(profile.score, profile.why, profile.events),
):
    profile.app.command(context_settings=EITHER)(verb)
app.add_typer(profile.app, name="profile")
app.command(context_settings=EITHER)(export.export)
app.command("import", context_settings=EITHER)(export.import_)
app.command(context_settings=EITHER)(signals.ingest)
app.command(context_settings=EITHER)(signals.signals)
app.command(context_settings=EITHER)(love.love)
app.command(context_settings=EITHER)(signals.pairs)
app.command(context_settings=EITHER)(forget.forget)
app.command(context_settings=EITHER)(forget.doctor)
app.command(context_settings=EITHER)(forget.backup)
app.command(context_settings=EITHER)(forget.restore)
app.command(context_settings=EITHER)(dry_run.prompt)
app.command(context_settings=EITHER)(proxy.proxy)
app.command(context_settings=EITHER)(proxy.gate)
app.command(context_settings=EITHER)(mcp.mcp)
app.command(context_settings=EITHER)(chat.chat)
app.command(context_settings=EITHER)(judge.judge)


def main() -> None:
    """Run a verb; what a person can mend is one line on stderr and exit status 2 (or the error's own)."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # Nothing is sent that no command says.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.pop("OPENAI_LOG", None)  # With it the official client logs whole requests, and people with them.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Waiting threads sleep instead of spinning: beside another busy process an update of the tiny
    # model takes 1.1 s instead of up to 16 (notebooks/LOG.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(args=[word for word in arguments if word != "--debug"])
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


def _fail(error: BaseException, debug: bool, status: int, line: str) -> None:
    if debug:
        raise error
    print(visible(f"plus: {' '.join(line.split())}"), file=sys.stderr)
    raise SystemExit(status) from None
