"""Blind comparison in a chat: two answers to each question, one personalized; the choice is kept as an event."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import openai

from plus.errors import EndpointError, ForgottenError, ProfileError, UnknownUserError
from plus.profiles.store import Store
from plus.prompts import NEUTRAL
from plus.serve.client import PersonalizedOpenAI
from plus.serve.endpoint import endpoint_error
from plus.types import Entry, Event, Preference, Turn

SOURCE = "plus chat"
Reply = Literal["a", "b", "=", "again"]  # first answer, second answer, no difference, ask once more


@dataclass(frozen=True)
class Round:
    """One question and its two answers in the order shown; `personal`, 0 or 1, is the place of the personalized one."""

    earlier: tuple[Turn, ...]
    prompt: str
    answers: tuple[str, str]
    personal: int

    def choice(self, place: int, event_id: str, time: float) -> Event:
        """Make the event of choosing the answer at `place`."""
        pair = Preference(self.prompt, self.answers[place], self.answers[1 - place], self.earlier)
        return Event(event_id, "choice", pair, time, SOURCE)

    def conversation(self, place: int) -> tuple[Turn, ...]:
        """Continue the conversation with the answer at `place`."""
        return (*self.earlier, Turn("user", self.prompt), Turn("assistant", self.answers[place]))


Ask = Callable[[tuple[Turn, ...], str], Round]  # earlier turns, question


@dataclass(frozen=True)
class Window:
    """Outputs and inputs of a talk. `choose` shows a round and returns the reply; it raises EOFError to leave."""

    choose: Callable[[Round], Reply]
    show_same: Callable[[str], None]
    say: Callable[[str], None]
    status: Callable[[str], AbstractContextManager[Any]] = lambda what: nullcontext()


@dataclass(frozen=True)
class Tally:
    """Number of choices in a talk, and of those that took the personalized answer."""

    choices: int
    personal: int


def ask(
    client: PersonalizedOpenAI,
    user_id: str,
    earlier: Sequence[Turn],
    prompt: str,
    *,
    system: str | None = None,
    against: str | None = None,
    **request: Any,
) -> Round:
    """Ask for both answers at once and draw their order.

    The other answer is written without a summary, or with that of the user `against`; both have the same system text.
    Raises EndpointError, without the request in it, where one of the two does not come.
    """
    # 1. One conversation for both: the app's text, the earlier turns, the question.
    turns = [Turn("system", system or NEUTRAL)]
    messages: list[Any] = [
        {"role": turn.role, "content": turn.content} for turn in (*turns, *earlier, Turn("user", prompt))
    ]

    def answer(user: str | None) -> str:
        made = client.chat.completions.create(user_id=user, messages=messages, **request)
        return (made.choices[0].message.content or "") if made.choices else ""

    # 2. Both answers at once: the user's id makes one of them personal.
    try:
        with ThreadPoolExecutor(2) as pool:
            personal, plain = pool.map(answer, (user_id, against))
    except openai.OpenAIError as error:
        raise endpoint_error(error) from None
    # 3. The order is drawn anew for each question.
    place = secrets.randbelow(2)
    return Round(tuple(earlier), prompt, (personal, plain) if place == 0 else (plain, personal), place)


def check_user(store: Store, user_id: str) -> None:
    """Check that a user has a summary to compare with. Raises UnknownUserError, with the nearest ids."""
    store.user(user_id)
    if store.summary(user_id) is None:
        raise UnknownUserError(
            f"there is no summary of {user_id!r} to compare with; plus profile edit {user_id} --add writes one"
        )


def talk(store: Store, user_id: str, questions: Iterable[str], ask: Ask, window: Window) -> Tally:
    """Compare two answers to each question until the user leaves; each choice is stored before the next question.

    A failed request is said and loses no choice. Raises ProfileError where the last choice cannot be written.
    """
    choices = ChoiceLog(store, user_id, window.say)
    # Leaving by Ctrl-D or Ctrl-C ends the talk, and a choice that waits is still written.
    try:
        earlier: tuple[Turn, ...] = ()
        for question in questions:
            earlier = _decide(choices, earlier, question, ask, window)
    except (EOFError, KeyboardInterrupt):
        window.say("")
    finally:
        choices.write()
    return Tally(choices.count, choices.personal)


def _decide(choices: ChoiceLog, earlier: tuple[Turn, ...], question: str, ask: Ask, window: Window) -> tuple[Turn, ...]:
    """Ask one question until it is decided; return the conversation after it."""
    while True:
        try:
            with window.status("asking twice"):
                made = ask(earlier, question)
        except EndpointError as error:
            window.say(f"plus: {error}; your choices so far are kept")
            return earlier
        # Equal answers are no choice: the conversation goes on from either.
        if made.answers[0] == made.answers[1]:
            window.show_same(made.answers[0])
            return made.conversation(0)
        reply = window.choose(made)
        if reply in ("a", "b"):
            place = "ab".index(reply)
            choices.add(made, place)
            return made.conversation(place)
        if reply == "=":
            return made.conversation(0)


class ChoiceLog:
    """Choices of one session on their way into the store; one that fails to be written is tried again with the next."""

    def __init__(self, store: Store, user_id: str, say: Callable[[str], None]) -> None:
        self.store, self.user_id, self.say, self.session = store, user_id, say, uuid.uuid4().hex
        self.waiting: list[Entry] = []
        self.count = self.personal = 0

    def add(self, made: Round, place: int) -> None:
        """Store the choice of the answer at `place` at once. Raises ForgottenError."""
        event = made.choice(place, f"{self.session}-{self.count}", time.time())
        self.waiting.append(Entry(self.user_id, event, self.session))
        self.count += 1
        self.personal += place == made.personal
        try:
            self.write()
        except ForgottenError:  # Nothing of this user may be written again.
            raise
        except ProfileError as error:
            self.say(f"plus: {error}; the choice will be written with the next one")

    def write(self) -> None:
        """Write the waiting choices. Raises ProfileError."""
        if self.waiting and self.store.add_events(self.waiting).refused:
            self.say("this user was forgotten: the choice was not kept")
        self.waiting = []
