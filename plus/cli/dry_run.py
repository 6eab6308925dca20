"""Output of `--dry-run`, and `plus prompt`: on stdout the exact bytes that would be sent, on stderr what is in them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from plus.cli.show import print_json, say
from plus.cli.stores import AsJson, StoreFile, User, open_store

if TYPE_CHECKING:
    from plus.serve.capture import Caught, Outgoing

DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the exact bytes that would be sent, a request a line, and send nothing."),
]
BaseUrl = Annotated[
    str, typer.Option(envvar="OPENAI_BASE_URL", show_envvar=True, help="Its address, which ends in /v1.")
]

# Options of plus prompt.
Text = Annotated[str, typer.Argument(help="What the user asks.")]
System = Annotated[str | None, typer.Option(help="The app's own system text, if it has one.")]
Model = Annotated[str, typer.Option(help="The model's name in the request.")]
Protocol = Annotated[Literal["chat", "responses"], typer.Option(help="Chat Completions, or Responses.")]
Placement = Annotated[
    Literal["system", "developer", "user", "last_user"],
    typer.Option(help="The profile's role where the app has no text; user, last_user: in that turn."),
]
MaxTokens = Annotated[int, typer.Option(help="Of the profile: whole sentences that fit.", min=1)]
Show = Annotated[bool, typer.Option("--show", "--dry-run", help="Print the exact bytes of the request on stdout.")]


def catcher() -> Caught:
    """Make the transport that takes requests in the place of a network. Needs the `api` extra."""
    from plus.serve.capture import Caught

    return Caught()


def show_outgoing(requests: Sequence[Outgoing], as_json: bool = False) -> None:
    """Print the requests, and how much and what personal data they hold."""
    if as_json:
        print_json({"requests": [request.to_json() for request in requests], "sent": 0})
        return
    for request in requests:
        sys.stdout.buffer.write(request.body + b"\n")
    sys.stdout.flush()
    # One line for each address, in the order of the first request to it.
    for url in dict.fromkeys(request.url for request in requests):
        to_url = [request for request in requests if request.url == url]
        size, tokens = sum(len(r.body) for r in to_url), sum(r.tokens for r in to_url)
        say(f"to {url}: {len(to_url):,} requests, {size:,} bytes, about {tokens:,} tokens")
    found: Counter[str] = Counter()
    for request in requests:
        found.update(request.personal_data)
    say(f"personal data by its shape (names and places have none): {named(found)}")
    say("nothing was sent")


def named(personal_data: Mapping[str, int]) -> str:
    """Format kinds of personal data with their counts."""
    return ", ".join(f"{count} x {kind}" for kind, count in personal_data.items()) or "none"


def prompt(
    user: User,
    text: Text = "Hello.",
    system: System = None,
    model: Model = "gpt-5",
    protocol: Protocol = "chat",
    placement: Placement = "system",
    max_tokens: MaxTokens = 512,
    show: Show = False,
    store: StoreFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what a request about USER would send: its bytes, tokens, and the personal data in it. Nothing is sent.

    Example: plus prompt ann "Which tea?" --show
    """
    from plus.serve.capture import outgoing

    with open_store(store) as opened:
        opened.user(user)  # An unknown user is named, with the nearest ids.
        request = _request(protocol, model, text, system)
        sent = outgoing(opened, user, protocol, request, max_tokens=max_tokens, placement=placement)
    if as_json:
        print_json({**asdict(sent), "body": sent.body.decode(), "bytes": len(sent.body)})
        return
    if show:
        sys.stdout.buffer.write(sent.body)
        sys.stdout.flush()
    say(f"\nto {sent.url}: {len(sent.body):,} bytes, about {sent.tokens:,} tokens; nothing was sent")
    say(f"personal data by its shape (names and places have none): {named(sent.personal_data)}")
    if not sent.personalized:
        say("no profile is in it: the user has no summary, or --max_tokens holds no sentence of it")


def _request(protocol: str, model: str, text: str, system: str | None) -> dict[str, Any]:
    if protocol == "responses":
        return {"model": model, "input": text, **({"instructions": system} if system else {})}
    app = [{"role": "system", "content": system}] if system else []
    return {"model": model, "messages": [*app, {"role": "user", "content": text}]}
