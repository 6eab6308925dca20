"""`plus ingest`, `plus signals` and `plus pairs`: logs into the store, and what they say of answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from plus.cli.data import ColumnNames
from plus.cli.dry_run import DryRun, catcher, show_outgoing
from plus.cli.show import SCREEN, print_json, print_json_rows, results, say
from plus.cli.stores import AsJson, StoreFile, open_store
from plus.types import Dropped

if TYPE_CHECKING:
    from plus.feedback.ingest import IngestReport
    from plus.profiles.store import Store
    from plus.signals.find import Engine, TurnSignal
    from plus.types import Message

EngineName = Literal["rules", "trained"]
Conversations = Annotated[
    Path, typer.Argument(help="Rows of {conversation: [messages]} or {messages: [...]}, as JSONL or JSON.")
]
LabelModel = Annotated[
    str | None, typer.Option("--model", help="A model behind --base_url labels; each conversation is sent to it once.")
]
PairsModel = Annotated[str | None, typer.Option("--model", help="A model behind --base_url that labels turns instead.")]
RewriteModel = Annotated[
    str | None,
    typer.Option(
        help="A model behind --base_url that states the preferences behind complaints, "
        "writes new answers under them and checks them."
    ),
]
BaseUrl = Annotated[str | None, typer.Option(envvar="OPENAI_BASE_URL", show_envvar=True, help="Its address.")]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Its replies are kept there and never asked for again. Holds what users said; yours alone (0600)."
    ),
]
EngineOption = Annotated[
    EngineName,
    typer.Option(
        help="Without --model: rules for plain English, or a small trained classifier (needs the embed extra), "
        "which claims too much on dialogues that people rated (docs/howto/pairs.md)."
    ),
]
PairsFile = Annotated[Path, typer.Option(help="Where the pairs go, as JSONL; never overwritten.")]
MinWeight = Annotated[float, typer.Option(help="Leave out pairs that weigh less.", min=0, max=1)]
HeldOut = Annotated[int, typer.Option(help="Mark so many pairs, spread over all subjects, as split test.", min=0)]
Preferences = Annotated[
    Path | None,
    typer.Option(
        help="Write what each user said they want there: rows {user_id, preferences}, a checklist for a judge."
    ),
]


def signals(
    file: Conversations,
    engine: EngineOption = "rules",
    model: LabelModel = None,
    base_url: BaseUrl = None,
    cache: Cache = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Label each turn of the user's: satisfied, dissatisfied, none or unsure, with the words that show it.

    On this machine, unless --model names one that is asked: then every conversation is sent to --base_url, with your
    OPENAI_API_KEY.

    Example: plus signals conversations.jsonl --json
    """
    from plus.signals import find

    if dry_run and model is not None:
        _show_label_requests(file, model, base_url, as_json)
        return
    find.require_file(file)
    chosen, dropped = find.choose_engine(engine, model, base_url, cache, SCREEN), Dropped()
    turns = find.label_file(file, chosen, dropped)
    if as_json:
        print_json_rows((turn.to_json() for turn in turns), "turns", lambda: chosen.facts(dropped))
    else:
        _print_signals(turns, chosen)
    for line in dropped.lines():
        say(f"left out: {line}")


def pairs(
    output: PairsFile,
    store: StoreFile = None,
    engine: EngineOption = "rules",
    model: PairsModel = None,
    rewrite_model: RewriteModel = None,
    base_url: BaseUrl = None,
    cache: Cache = None,
    min_weight: MinWeight = 0.2,
    held_out: HeldOut = 0,
    preferences: Preferences = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Turn the feedback of ingested logs into preference pairs, each with its evidence and a weight.

    An answer that drew dissatisfaction against the one accepted after it; regenerated and edited branches; thumbs on
    answers to one prompt; choices as they are. Silence is no evidence. With --model and --rewrite_model conversations
    are sent to --base_url, with your OPENAI_API_KEY; else nothing leaves this machine.

    Example: plus pairs --store profiles.db --output pairs.jsonl
    """
    from plus.signals import find_pairs

    find_pairs.refuse_existing(output, preferences)
    with open_store(store) as opened:
        if dry_run:
            _show_pair_requests(opened, model, rewrite_model, base_url, engine, as_json)
            return
        report = find_pairs.find_pairs(
            opened, output, engine, model, rewrite_model, base_url, cache, min_weight, held_out, preferences,
            SCREEN,
        )  # fmt: skip
    if as_json:
        print_json(report.to_json())
        return
    for name, value in report.to_json().items():
        counts = value.items() if isinstance(value, dict) else None
        shown = value if counts is None else ", ".join(f"{count:,} x {kind}" for kind, count in counts)
        results.print(f"{name}: {shown}")


def _show_label_requests(file: Path, model: str, base_url: str | None, as_json: bool) -> None:
    """Show what labelling a file would send."""
    from plus.signals import asked_signals, find

    find.require_file(file)
    talks = (talk.turns for talk in find.conversations(file, Dropped()))
    _show_requests(asked_signals.label_requests(talks), model, base_url, asked_signals.REPLY_TOKENS, as_json)


def _show_pair_requests(
    store: Store, model: str | None, rewrite_model: str | None, base_url: str | None, engine: EngineName, as_json: bool
) -> None:
    """Show what labelling would send, else what rewriting would, as far as complaints are known without it."""
    from plus.signals import asked_signals, find, find_pairs
    from plus.signals.pairs import preference_request

    if model is not None:
        users = list(store.users())
        talks = (talk.turns for user_id in users for talk in find_pairs.user_talks(store, user_id))
        _show_requests(asked_signals.label_requests(talks), model, base_url, asked_signals.REPLY_TOKENS, as_json)
    elif rewrite_model is not None:
        local = find.local_engine(engine, SCREEN)
        with SCREEN.status("reading feedback"):
            _, complaints = find_pairs.collect(store, local)
        requests = map(preference_request, complaints)
        _show_requests(requests, rewrite_model, base_url, find_pairs.ANSWER_TOKENS, as_json)
        say(f"then at most {3 * len(complaints):,} more requests: a new answer to each complaint, and two checks")
    else:
        say("nothing would be sent: no --model and no --rewrite_model")


def _show_requests(
    requests: Iterable[Sequence[Message]], model: str, base_url: str | None, max_tokens: int, as_json: bool
) -> None:
    """Show the exact bytes of each request; nothing is sent."""
    from plus.serve.endpoint import Endpoint
    from plus.signals.find import required_address

    caught = catcher()
    endpoint = Endpoint(required_address(base_url, model), model, max_tokens=max_tokens, http_client=caught.client)
    for messages in requests:
        endpoint.complete(messages)
    show_outgoing(caught.outgoing, as_json)
    say(f"each reply is of at most {max_tokens:,} tokens, mostly far fewer")


def _print_signals(turns: Iterable[TurnSignal], engine: Engine) -> None:
    counts: Counter[str] = Counter()
    for turn in turns:
        counts[turn.label] += 1
        if turn.label != "none":
            words = "; ".join(f"{span.rubric}: {span.text}" for span in turn.evidence)
            line = f"{turn.where} turn {turn.turn}: {turn.label} {turn.probability:.2f} ({words})"
            results.print(line, markup=False, soft_wrap=True)
    for reason, count in (engine.dropped or {}).items():
        say(f"left out: {count:,} x {reason}")
    shown = ", ".join(f"{count:,} {label}" for label, count in counts.most_common())
    results.print(f"{counts.total():,} turns by {engine.name}: {shown}")


def ingest(
    files: Annotated[list[Path], typer.Argument(help="Logs: files, or folders of them. Their format is recognised.")],
    store: StoreFile = None,
    user_id: Annotated[str, typer.Option(help="Whose the rows are that do not say it.")] = "",
    user_id_column: Annotated[
        str,
        typer.Option(help="The column that says whose a row is, with dots for what lies inside: metadata.customer."),
    ] = "",
    columns: ColumnNames = None,
    thumb: Annotated[
        list[str] | None,
        typer.Option(
            help="A score of this name is the user's thumb, beside user-feedback, thumbs, rating and the like."
        ),
    ] = None,
    dropped_to: Annotated[Path | None, typer.Option(help="Write each thing left out there, as JSONL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read logs into the store: what people said, chose and thumbed. The same file twice adds nothing.

    Knows the account exports of ChatGPT and claude.ai (folder, .zip or conversations.json), Open WebUI, LibreChat,
    Langfuse, logged calls of OpenAI's APIs and its chat, Responses and preference rows, Claude Code, Codex, Dify,
    ShareGPT, WildChat, WildFeedback, PRISM, Arena, UltraFeedback, OASST, plus's own rows, and with --map any table.
    Interrupted, it is completed by the same command again.

    Example: plus ingest conversations.json --user_id ann --store profiles.db
    """
    from plus.feedback import ingest as job

    report = job.ingest(
        files, lambda: open_store(store, create=True), user_id, dropped_to, SCREEN, user_id_column, columns, thumb or ()
    )
    if as_json:
        print_json(report.to_json())
    else:
        _print_ingest(report)
    if report.one_sided:
        ups = report.logs.kinds["reaction"]
        say(f"all {ups:,} reactions are {report.one_sided}: alone they teach nothing about what is better")


def _print_ingest(report: IngestReport) -> None:
    from plus.sources.check import listed

    logs, added = report.logs, report.added
    kinds = ", ".join(f"{count:,} x {kind}" for kind, count in logs.kinds.items())
    lines = [
        f"{', '.join(logs.formats)}: {logs.events:,} events of {len(logs.users):,} users ({kinds})",
        f"{added.added:,} new, {added.changed:,} changed, {added.known:,} known, {added.refused:,} refused (forgotten)",
        *(f"left out: {line}" for line in logs.dropped.lines()),
        *(f"mended: {line}" for line in logs.repaired.lines()),
        *([f"not read: {listed(logs.unread)}"] if logs.unread else []),
    ]
    for line in lines:
        results.print(line, markup=False, soft_wrap=True)
