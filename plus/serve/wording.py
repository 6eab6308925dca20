"""Measure which placement and wording of a summary a model heeds, on written probes with answers that a rule can check.

Each probe is a summary of one wish, a question that has nothing to do with it, and a rule that sees in the answer
whether the wish was met. Every request has the same neutral system text, a greeting, and the question; the arms differ
in where the summary stands and how it is introduced. Beside them: no summary, and another probe's. `plus wording` runs
it; nothing of any user is sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from plus.prompts import NEUTRAL, profile_message
from plus.serve.personalize import Placement, placed, profile_text
from plus.types import Message

MAX_TOKENS = 80  # of an answer: most rules need its first sentences
# fence: between two marks, as data, which is what the client and the proxy send. about: "About this user: ...", without
# the fence's protection against orders in a summary.
Wording = Literal["fence", "about"]
PLACES: tuple[Placement, ...] = ("system", "user", "last_user")
QUESTIONS = ("Why is the sky blue?", "How do I boil an egg?", "What makes a good present for a friend?")
_FRENCH = re.compile(r"\b(?:le|la|les|des|est|une|pour|dans|que|vous|et)\b", re.IGNORECASE)
_ITEM = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)])\s", re.MULTILINE)
_EMOJI = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]")


@dataclass(frozen=True)
class Wish:
    """Summary of one wish, and the rule that an answer which meets it passes."""

    summary: str
    is_met: Callable[[str], bool]


WISHES = (
    Wish("The user wants every answer to begin with the word Certainly.", lambda a: a.lower().startswith("certainly")),
    Wish("The user wants answers in capital letters only.", lambda a: a.isupper()),
    Wish("The user wants answers of one short sentence.", lambda a: bool(a) and len(a.split()) <= 25),
    Wish("The user wants answers as a bulleted list.", lambda a: len(_ITEM.findall(a)) > 1),
    Wish("The user speaks French and wants answers in French.", lambda a: len(_FRENCH.findall(a)) > 2),
    Wish("The user wants to be called Captain in every answer.", lambda a: "captain" in a.lower()),
    Wish(
        "The user loves cats and wants a cat in every example.", lambda a: re.search(r"\bcats?\b", a, re.I) is not None
    ),
    Wish("The user wants an emoji in every answer.", lambda a: _EMOJI.search(a) is not None),
)


@dataclass(frozen=True)
class Arm:
    """Way of sending a summary (None, None: none is sent), and how many of `probes` answers met the wish.

    other: the summary is another probe's.
    """

    placement: Placement | None
    wording: Wording | None
    met: int = 0
    probes: int = 0
    other: bool = False

    @property
    def name(self) -> str:
        """Return what a row of the table is called."""
        if self.wording is None:
            return "no summary"
        shown = f"{self.placement}, {self.wording}"
        return f"another's summary ({shown})" if self.other else shown


ARMS = (
    Arm(None, None),
    Arm("system", "fence", other=True),
    *(Arm(place, "fence") for place in PLACES),
    *(Arm(place, "about") for place in PLACES),
)


def measure(ask: Callable[[list[Message]], str], arms: Sequence[Arm] = ARMS, workers: int = 4) -> list[Arm]:
    """Ask every probe in every arm, and count the answers that met the wish; `ask` returns an answer's text."""
    probes = [(number, question) for number in range(len(WISHES)) for question in QUESTIONS]

    def is_met(arm: Arm, number: int, question: str) -> bool:
        return WISHES[number].is_met(ask(request(arm, number, question)).strip())

    with ThreadPoolExecutor(workers) as pool:
        asked = [[pool.submit(is_met, arm, *probe) for probe in probes] for arm in arms]
        met = [sum(answer.result() for answer in row) for row in asked]
    return [
        Arm(arm.placement, arm.wording, count, len(probes), arm.other) for arm, count in zip(arms, met, strict=True)
    ]


def request(arm: Arm, number: int, question: str) -> list[Message]:
    """Build the messages of a probe: a neutral system text, a greeting and its answer, the question."""
    said = [("system", NEUTRAL), ("user", "Hello."), ("assistant", "Hello! What would you like to know?")]
    messages: list[Message] = [{"role": role, "content": text} for role, text in [*said, ("user", question)]]
    if arm.placement is None:
        return messages
    summary = WISHES[(number + arm.other) % len(WISHES)].summary
    text = profile_text(summary) if arm.wording == "fence" else profile_message(summary)
    return placed(messages, text, arm.placement)
