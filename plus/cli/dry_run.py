"""Output of `--dry-run`: on stdout the exact bytes that would be sent, a request a line; on stderr what is in them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from plus.cli.show import print_json, say

if TYPE_CHECKING:
    from plus.serve.capture import Caught, Outgoing

DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the exact bytes that would be sent, a request a line, and send nothing."),
]


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
