"""`plus signals`: which turns of conversations say that the answer before was good, or was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from plus.cli.dry_run import DryRun, catcher, show_outgoing
from plus.cli.show import loading, notes, print_json, results, say
from plus.cli.stores import AsJson

if TYPE_CHECKING:
    from plus.judge.reply_cache import Replies
    from plus.signals.asked_signals import AskedSignals
    from plus.signals.rules import Signal
    from plus.types import Dropped, Message, Turn

Labels = Callable[[Sequence[Sequence["Turn"]]], list[list["Signal"]]]
REPLY_TOKENS = 1024
BATCH = 64  # conversations at a time
LabelModel = Annotated[
    str | None, typer.Option("--model", help="A model behind --base_url labels; each conversation is sent to it once.")
]
BaseUrl = Annotated[str | None, typer.Option(envvar="OPENAI_BASE_URL", show_envvar=True, help="Its address.")]
Cache = Annotated[
    Path | None,
    typer.Option(help="Its replies are kept there and never asked for again. Holds what users said; yours alone (0600)."),
]  # fmt: skip
Engine = Annotated[
    Literal["auto", "trained", "rules"],
    typer.Option(help="Without --model: a small trained classifier (needs the embed extra), or rules for plain English. auto: the first that is there."),
]  # fmt: skip


def signals(
    file: Annotated[
        Path, typer.Argument(help="Rows of {conversation: [messages]} or {messages: [...]}, as JSONL or JSON.")
    ],
    engine: Engine = "auto",
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
    from plus.errors import SourceError
    from plus.types import Dropped

    if not file.is_file():
        raise SourceError(f"there is no file {file}; give conversations as JSONL or JSON")
    dropped = Dropped()
    if model is not None:
        if dry_run:
            from plus.signals.asked_signals import requests_of

            show_requests(
                requests_of(talk for *_, talk in _talks(file, dropped)), model, base_url, REPLY_TOKENS, as_json
            )
            return
        asked, replies = asking(model, base_url, cache)
        found = list(_rows(file, dropped, asked))
        cost = {"sent": replies.sent, "known": replies.known} if replies is not None else {}
        facts: dict[str, Any] = {"engine": model, **cost, "claims left out": dict(asked.dropped)}
    else:
        name, labels = on_this_machine(engine)
        found, facts = list(_rows(file, dropped, labels)), {"engine": name}
    for line in dropped.lines():
        say(f"left out: {line}")
    if not found and dropped:
        raise SourceError(f"{file}: nothing can be used; {dropped.lines()[0]}; each row needs conversation: [messages]")
    if as_json:
        print_json({"turns": found, "dropped": dict(dropped), **facts})
        return
    for reason, count in facts.get("claims left out", {}).items():
        say(f"left out: {count:,} x {reason}")
    _print(found, facts["engine"])


def asking(model: str, base_url: str | None, cache: Path | None) -> tuple[AskedSignals, Replies | None]:
    """The engine that asks a model, and where its replies are kept."""
    from plus.signals.asked_signals import AskedSignals

    writer_of, replies = writers(model, base_url, cache, REPLY_TOKENS)
    return AskedSignals(writer_of), replies


def writers(model: str, base_url: str | None, cache: Path | None, max_tokens: int) -> tuple[Callable, Replies | None]:
    """Owner -> Writer for a model behind an address, remembering in `cache`. Raises SettingError, EndpointError."""
    from plus.judge.reply_cache import Replies
    from plus.serve.endpoint import Endpoint

    endpoint = Endpoint(_needed(base_url, model), model, max_tokens=max_tokens)
    if cache is None:
        return (lambda owner: endpoint), None
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.touch(mode=0o600)
    replies = Replies(cache)
    return (lambda owner: replies.of(endpoint, f"{model}, {max_tokens} tokens", owner)), replies


def on_this_machine(engine: str) -> tuple[str, Labels]:
    """(name, engine): the trained head where sentence embeddings are to be had, else rules, which is said."""
    if engine != "rules":
        from plus.errors import ModelError

        try:
            with loading("loading the sentence model"):
                try:
                    from plus.models.embeddings import minilm
                    from plus.signals.head import SignalHead
                except ImportError as error:
                    raise ModelError(
                        f"the trained classifier needs {error.name}; pip install 'plus-preferences[train,embed]'"
                    ) from error
                return "trained", SignalHead.load(minilm())
        except ModelError as error:
            if engine == "trained":
                raise
            say(f"rules label, which know plain English only: {error}")
    from plus.signals.rules import signals as by_rules

    return "rules", lambda talks: [by_rules(talk) for talk in talks]


def show_requests(requests: Iterable[Sequence[Message]], model: str, base_url: str | None, max_tokens: int, as_json: bool) -> None:  # fmt: skip
    """The exact bytes of each request; nothing is sent."""
    from plus.serve.endpoint import Endpoint

    caught = catcher()
    endpoint = Endpoint(_needed(base_url, model), model, "none", max_tokens, http_client=caught.client)
    for messages in requests:
        endpoint.complete(messages)
    show_outgoing(caught.outgoing, as_json)
    say(f"each reply is of at most {max_tokens:,} tokens, mostly far fewer")


def _needed(base_url: str | None, model: str) -> str:
    from plus.errors import SettingError

    if not base_url:
        raise SettingError(f"--model {model} needs --base_url, the address that it is served at")
    return base_url


def _print(found: list[dict[str, Any]], engine: str) -> None:
    counts = Counter(row["label"] for row in found)
    shown = ", ".join(f"{count:,} {label}" for label, count in counts.most_common())
    results.print(f"{len(found):,} turns by {engine}: {shown}")
    for row in found:
        if row["label"] != "none":
            words = "; ".join(f"{span['rubric']}: {span['text']}" for span in row["evidence"])
            results.print(
                f"{row['where']} turn {row['turn']}: {row['label']} {row['probability']:.2f} ({words})", markup=False
            )


def _talks(file: Path, dropped: Dropped) -> Iterator[tuple[str, Any, list[Turn]]]:
    """(where, id, turns) of each conversation; tools' and empty messages keep their number, so that `turn` counts
    the messages as they stand."""
    from plus.feedback.log_row import ParseState, parse_message
    from plus.feedback.streams import rows
    from plus.sources.messages import UnusableError
    from plus.types import Turn

    for where, row in rows(file, dropped):
        state = ParseState(where, dropped=dropped)
        talk = next((row[name] for name in ("conversation", "messages", "conversations") if name in row), None)
        try:
            if not isinstance(talk, list):
                raise UnusableError("rows without a conversation")
            said = [parse_message(message, state) for message in talk]
        except UnusableError as error:
            state.drop(str(error))
            continue
        yield where, row.get("id"), [Turn(one.role, one.content) if one else Turn("system", "") for one in said]


def _rows(file: Path, dropped: Dropped, labels: Labels) -> Iterator[dict[str, Any]]:
    with notes.status("labelling"):
        talks = _talks(file, dropped)
        while batch := list(islice(talks, BATCH)):
            for (where, name, talk), found in zip(batch, labels([talk for *_, talk in batch]), strict=True):
                for signal in found:
                    text = talk[signal.turn].content
                    evidence = [
                        {"rubric": rubric, "start": start, "end": end, "text": text[start:end]}
                        for start, end, rubric in signal.evidence
                    ]
                    yield {"where": where, "id": name, "turn": signal.turn, "label": signal.label,
                           "probability": signal.probability, "evidence": evidence}  # fmt: skip
