"""`plus chat USER`: two answers side by side, one of them personalized; the choice becomes an event of the history."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, cast

import typer

from plus.cli.dry_run import BaseUrl, DryRun, Placement, catcher, show_outgoing
from plus.cli.show import notes, results, say
from plus.cli.stores import StoreFile, User, open_store, store_path

if TYPE_CHECKING:
    from plus.serve.chat import Reply, Round
    from plus.types import Turn

HELP = "a or b: the better answer; =: no difference; again: ask once more; quit (or Ctrl-D): leave"
Question = Annotated[str | None, typer.Argument(help="The first question. Default: it is asked for.")]
Model = Annotated[str, typer.Option(help="The model that answers.")]
Against = Annotated[
    str | None, typer.Option(help="A user whose summary the other answer is written with. Default: none is.")
]
System = Annotated[str | None, typer.Option(help="The app's own system text.")]
MaxTokens = Annotated[int, typer.Option(help="Of the profile: whole sentences that fit.", min=1)]


def chat(
    user: User,
    text: Question = None,
    model: Model = "gpt-5",
    base_url: BaseUrl = "https://api.openai.com/v1",
    system: System = None,
    against: Against = None,
    placement: Placement = "system",
    max_tokens: MaxTokens = 512,
    store: StoreFile = None,
    dry_run: DryRun = False,
) -> None:
    """Ask a model twice, once knowing USER's summary, and choose blindly; each choice is kept as an event at once.

    Which answer was the personalized one is told at the end. Sends the conversation, once with the summary, to
    --base_url with your OPENAI_API_KEY.

    Example: plus chat ann "Which tea?" --model gpt-5 --dry-run
    """
    from plus.serve import chat as room
    from plus.serve.client import PersonalizedOpenAI
    from plus.serve.endpoint import make_client
    from plus.serve.requests import StoreFile as ThreadedStore

    with open_store(store) as opened:
        # 1. The user, and a client that knows them.
        for name in (user, *([against] if against is not None else [])):
            room.check_user(opened, name)
        caught = catcher() if dry_run else None
        inner = make_client(base_url, http_client=caught.client if caught else None, max_retries=2)
        # Both answers are asked for at once, in threads, and SQLite wants a connection for each.
        profiles = ThreadedStore(store_path(store))
        client = PersonalizedOpenAI(inner, profiles, max_tokens=max_tokens, placement=placement)

        def ask(earlier: tuple[Turn, ...], prompt: str) -> Round:
            return room.ask(client, user, earlier, prompt, system=system, against=against, model=model)

        # 2. The bytes of one question, or the talk.
        if caught:
            ask((), text or "Hello.")
            show_outgoing(sorted(caught.outgoing, key=lambda request: -len(request.body)))
            return
        say(HELP)
        tally = room.talk(opened, user, _questions(text), ask, room.Window(_choose, _show_same, say, notes.status))
    if tally.choices:
        say(f"you took the personalized answer in {tally.personal} of {tally.choices} choices")


def _questions(first: str | None) -> Iterator[str]:
    """Yield the person's questions until they quit."""
    if first is not None:
        yield first
    while True:
        text = _line("you> ").strip()
        if text == "quit":
            return
        if text:
            yield text


def _choose(made: Round) -> Reply:
    """Show both answers and read the reply. Raises EOFError for quit."""
    from rich.columns import Columns
    from rich.panel import Panel
    from rich.text import Text

    # Side by side, half of the terminal each.
    width = max(20, results.width // 2 - 1)
    panels = [Panel(Text(answer), title=name, width=width) for name, answer in zip("AB", made.answers, strict=True)]
    results.print(Columns(panels))
    while True:
        said = _line("a, b, =, again, quit? ").strip().lower()
        if said == "quit":
            raise EOFError
        if said in ("a", "b", "=", "again"):
            return cast("Reply", said)
        say(HELP)


def _show_same(answer: str) -> None:
    results.print(answer, markup=False)
    say("both answers are the same: there is nothing to choose")


def _line(ask: str) -> str:
    """Read a line of the person's. Raises EOFError where there is no more."""
    notes.print(ask, end="", markup=False)
    if not (line := sys.stdin.readline()):
        raise EOFError
    return line
