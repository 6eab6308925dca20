"""`plus chat USER`: two answers side by side, one of them personalized; the choice is an event of the user's history."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from plus.cli.dry_run import DryRun, catcher, show_outgoing
from plus.cli.show import notes, results, say
from plus.cli.stores import StoreFile, User, open_store, store_path
from plus.types import Turn

if TYPE_CHECKING:
    import httpx2

    from plus.profiles.store import Store
    from plus.serve.chat import Round
    from plus.serve.client import PersonalizedOpenAI
    from plus.types import Entry

HELP = "a or b: the better answer; =: no difference; again: ask once more; quit (or Ctrl-D): leave"


def chat(
    user: User,
    text: Annotated[str | None, typer.Argument(help="The first question. Default: it is asked for.")] = None,
    model: Annotated[str, typer.Option(help="The model that answers.")] = "gpt-5",
    base_url: Annotated[
        str, typer.Option(envvar="OPENAI_BASE_URL", show_envvar=True, help="Its address, which ends in /v1.")
    ] = "https://api.openai.com/v1",
    system: Annotated[str | None, typer.Option(help="The app's own system text.")] = None,
    placement: Annotated[
        Literal["system", "developer", "user"], typer.Option(help="The profile's role where there is no system text.")
    ] = "system",
    max_tokens: Annotated[int, typer.Option(help="Of the profile: whole sentences that fit.", min=1)] = 512,
    store: StoreFile = None,
    dry_run: DryRun = False,
) -> None:
    """Ask a model twice, once knowing USER's summary, and choose blindly; each choice is kept as an event at once.

    Which answer was the personalized one is told at the end. Sends the conversation, once with the summary, to --base_url with your
    OPENAI_API_KEY.

    Example: plus chat ann "Which tea?" --model gpt-5 --dry-run
    """
    from plus.errors import UnknownUserError

    with open_store(store) as opened:
        opened.user(user)  # Whoever is unknown is named, with the nearest ids.
        if opened.summary(user) is None:
            raise UnknownUserError(f"there is no summary of {user!r} to compare with; plus profile edit {user} --add writes one")  # fmt: skip
        caught = catcher() if dry_run else None
        settings = {"max_tokens": max_tokens, "placement": placement}
        client = _client(base_url, store_path(store), settings, caught.client if caught else None)

        def ask(earlier: tuple[Turn, ...], prompt: str) -> Round:
            from plus.serve import chat as serve

            return serve.ask(client, user, earlier, prompt, system=system, model=model)

        if caught:
            ask((), text or "Hello.")
            show_outgoing(sorted(caught.outgoing, key=lambda request: -len(request.body)))
            return
        _talk(opened, user, _questions(text), ask)


def _client(base_url: str, path: Path, settings: dict[str, Any], http: httpx2.Client | None) -> PersonalizedOpenAI:
    import openai

    from plus.errors import EndpointError
    from plus.serve.client import PersonalizedOpenAI
    from plus.serve.endpoint import checked_url
    from plus.serve.requests import StoreFile as Threaded

    key = os.environ.get("OPENAI_API_KEY") or ("none" if http else "")
    if not key:
        raise EndpointError("no key for the endpoint; set OPENAI_API_KEY (any text where none is needed)")
    inner = openai.OpenAI(api_key=key, base_url=checked_url(base_url), http_client=http, max_retries=2)
    return PersonalizedOpenAI(inner, Threaded(path), **settings)


def _talk(store: Store, user: str, questions: Iterator[str], ask: Callable[[tuple[Turn, ...], str], Round]) -> None:
    """Question, two answers, choice, until the person leaves; then the tally."""
    record = _Record(store, user)
    say(HELP)
    try:
        earlier: tuple[Turn, ...] = ()
        for question in questions:
            earlier = _round(record, earlier, question, ask)
    except (EOFError, KeyboardInterrupt):
        say("")
    finally:
        record.close()
    if record.rounds:
        say(f"you took the personalized answer in {record.personal} of {record.rounds} choices")


def _round(
    record: _Record, earlier: tuple[Turn, ...], question: str, ask: Callable[[tuple[Turn, ...], str], Round]
) -> tuple[Turn, ...]:
    """One question until it is decided; the conversation after it."""
    from plus.errors import EndpointError

    while True:
        try:
            with notes.status("asking twice"):
                made = ask(earlier, question)
        except EndpointError as error:
            say(f"plus: {error}; your choices so far are kept")
            return earlier
        if made.answers[0] == made.answers[1]:
            results.print(made.answers[0], markup=False)
            say("both answers are the same: there is nothing to choose")
            return made.after(0)
        _show(made)
        said = _choice()
        if said in ("a", "b"):
            record.add(made, "ab".index(said))
            return made.after("ab".index(said))
        if said == "=":
            return made.after(0)


class _Record:
    """The person's choices on their way into the store; one that could not be written is tried again with the next."""

    def __init__(self, store: Store, user: str) -> None:
        self.store, self.user, self.session = store, user, uuid.uuid4().hex
        self.waiting: list[Entry] = []
        self.rounds = self.personal = 0

    def add(self, made: Round, place: int) -> None:
        """Keep the choice of the answer at `place`, before anything else is asked."""
        from plus.errors import ForgottenError, ProfileError
        from plus.types import Entry

        event = made.chose(place, f"{self.session}-{self.rounds}", time.time())
        self.waiting.append(Entry(self.user, event, self.session))
        self.rounds += 1
        self.personal += place == made.personal
        try:
            self.close()
        except ForgottenError:
            raise
        except ProfileError as error:
            say(f"plus: {error}; the choice will be written with the next one")

    def close(self) -> None:
        """Write what waits. Raises ProfileError."""
        if self.waiting and self.store.add_events(self.waiting).refused:
            say("this user was forgotten: the choice was not kept")
        self.waiting = []


def _questions(first: str | None) -> Iterator[str]:
    if first is not None:
        yield first
    while True:
        text = _line("you> ").strip()
        if text == "quit":
            return
        if text:
            yield text


def _choice() -> str:
    while True:
        said = _line("a, b, =, again, quit? ").strip().lower()
        if said == "quit":
            raise EOFError
        if said in ("a", "b", "=", "again"):
            return said
        say(HELP)


def _line(ask: str) -> str:
    """A line of the person's; EOFError where there is no more."""
    notes.print(ask, end="", markup=False)
    if not (line := sys.stdin.readline()):
        raise EOFError
    return line


def _show(made: Round) -> None:
    from rich.columns import Columns
    from rich.panel import Panel
    from rich.text import Text

    width = max(20, results.width // 2 - 1)
    results.print(Columns([Panel(Text(answer), title=name, width=width) for name, answer in zip("AB", made.answers, strict=True)]))  # fmt: skip
