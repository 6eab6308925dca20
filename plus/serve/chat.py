"""Two answers to one question, one personalized and one not, shown without saying which is which."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import openai

from plus.errors import EndpointError
from plus.serve.client import PersonalizedOpenAI
from plus.types import Event, Preference, Turn

SOURCE = "plus chat"


@dataclass(frozen=True)
class Round:
    """One question and its two answers as they are shown; `personal` is the place, 0 or 1, of the one that knew the user."""

    earlier: tuple[Turn, ...]
    prompt: str
    answers: tuple[str, str]
    personal: int

    def chose(self, place: int, event_id: str, time: float) -> Event:
        """The choice of the answer at `place` as an event of the user's history."""
        pair = Preference(self.prompt, self.answers[place], self.answers[1 - place], self.earlier)
        return Event(event_id, "choice", pair, time, SOURCE)

    def after(self, place: int) -> tuple[Turn, ...]:
        """The conversation as it goes on from the answer at `place`."""
        return (*self.earlier, Turn("user", self.prompt), Turn("assistant", self.answers[place]))


def ask(
    client: PersonalizedOpenAI, user_id: str, earlier: Sequence[Turn], prompt: str, *, system: str | None = None, **request: Any
) -> Round:  # fmt: skip
    """Both answers, asked for at once, in an order drawn anew each time.

    Raises EndpointError, without the request in it, where one of the two does not come.
    """
    turns = [Turn("system", system)] if system else []
    messages = [{"role": turn.role, "content": turn.content} for turn in (*turns, *earlier, Turn("user", prompt))]

    def answer(user: str | None) -> str:
        made = client.chat.completions.create(user_id=user, messages=messages, **request)
        return (made.choices[0].message.content or "") if made.choices else ""

    try:
        with ThreadPoolExecutor(2) as pool:
            personal, plain = pool.map(answer, (user_id, None))
    except openai.OpenAIError as error:
        status = getattr(error, "status_code", None)
        found = f"answered with status {status}" if status else f"could not be reached ({type(error).__name__})"
        raise EndpointError(f"the endpoint {found}; check address, model name and key") from None
    place = secrets.randbelow(2)
    return Round(tuple(earlier), prompt, (personal, plain) if place == 0 else (plain, personal), place)
