"""Signals by a language model: any `Writer` labels conversations by the 18 rubrics (WildFeedback, step 1).

A conversation is one request, a long one several, `workers` at a time; long turns are cut in the middle. What the
model claims is checked: a turn that exists, one of the labels, a rubric of that label, and evidence that stands in
the turn letter for letter. What does not hold is counted and left out; nothing is made up in its place.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

from plus.prompts import signal_messages
from plus.signals.rubrics import DISSATISFIED, MEANING_DISSATISFIED, MEANING_SATISFIED, SATISFIED, Label
from plus.signals.rules import Signal, user_turns
from plus.types import Message, Turn, Writer

PART, BEFORE = 24, 2  # turns a request asks about, and turns before them that it shows
LONGEST_USER, LONGEST_ANSWER = 1200, 600  # characters of a turn; the middle of a longer one is left out
TOKENS_A_TURN = 40  # that a reply may take
_LIST = re.compile(r"\[.*\]", re.DOTALL)
_NONE = 0.9  # how sure a turn is none that the model passed over: by hand, not calibrated


class AskedSignals:
    """`signals(talks)` by `writer_of(name)`, where the name is the talk's owner ("" for none): so that replies
    can be kept by user (`plus.judge.reply_cache`). `dropped` counts what was claimed and did not hold."""

    def __init__(self, writer_of: Callable[[str], Writer], workers: int = 8) -> None:
        self.writer_of, self.workers = writer_of, workers
        self.dropped: Counter[str] = Counter()

    def __call__(self, talks: Sequence[Sequence[Turn]], owners: Sequence[str] = ()) -> list[list[Signal]]:
        """The signals of each conversation, in order. Raises whatever the writer raises."""
        names = list(owners) or [""] * len(talks)
        parts = [(number, part) for number, talk in enumerate(talks) for part in _parts(talk)]
        with ThreadPoolExecutor(self.workers) as pool:
            replies = list(pool.map(lambda one: self._ask(talks[one[0]], one[1], names[one[0]]), parts))
        found: list[dict[int, Signal]] = [{} for _ in talks]
        for (number, part), reply in zip(parts, replies, strict=True):
            found[number] |= self._read(reply, talks[number], part)
        return [
            [of.get(turn, Signal(turn, "none", _NONE if turn in asked else 1.0)) for turn in user_turns(talk)]
            for talk, of, asked in ((talk, of, _answered(talk)) for talk, of in zip(talks, found, strict=True))
        ]

    def _ask(self, talk: Sequence[Turn], part: range, owner: str) -> str:
        return self.writer_of(owner).complete(_messages(talk, part))

    def _read(self, reply: str, talk: Sequence[Turn], part: range) -> dict[int, Signal]:
        """The signals that a reply claims and the conversation bears out."""
        claims = read_list(reply)
        if claims is None:
            self.dropped["replies that are no JSON list"] += 1
            return {}
        asked = _answered(talk)
        found: dict[int, Signal] = {}
        for claim in claims:
            reason, signal = _checked(claim, talk, part, asked)
            if signal is None:
                self.dropped[reason] += 1
            elif (known := found.get(signal.turn)) is not None:
                found[signal.turn] = _joined(known, signal)
            else:
                found[signal.turn] = signal
        return found


def requests_of(talks: Iterable[Sequence[Turn]]) -> Iterator[list[Message]]:
    """What would be sent to label these conversations."""
    return (_messages(talk, part) for talk in talks for part in _parts(talk))


def read_list(reply: str) -> list[Any] | None:
    """The JSON list in a reply, whatever stands around it; None where there is none."""
    said = re.sub(r"<think>.*?(?:</think>|\Z)", " ", reply, flags=re.DOTALL | re.IGNORECASE)
    match = _LIST.search(said)
    try:
        found = json.loads(match.group()) if match else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _checked(claim: Any, talk: Sequence[Turn], part: range, asked: set[int]) -> tuple[str, Signal | None]:
    """(why not, None), or ("", the signal)."""
    if not isinstance(claim, dict):
        return "claims that are no JSON object", None
    turn, label, rubric = (claim.get(name) for name in ("turn", "label", "rubric"))
    if isinstance(turn, bool) or not isinstance(turn, int) or turn not in part or turn not in asked:
        return "claims about a turn that was not asked about", None
    if label not in get_args(Label) or label == "none":
        return "claims without a known label", None
    rubric = rubric.strip().lower() if isinstance(rubric, str) else ""
    of_label = {"satisfied": SATISFIED, "dissatisfied": DISSATISFIED}
    known = of_label.get(str(label), (*SATISFIED, *DISSATISFIED))
    if rubric not in known:
        return "claims whose rubric is unknown or not of their label", None
    evidence, text = claim.get("evidence"), talk[turn].content
    start = text.find(evidence) if isinstance(evidence, str) and evidence.strip() else -1
    if start < 0:
        return "claims whose evidence does not stand in the turn", None
    sure = claim.get("probability")
    probability = (
        float(sure) if isinstance(sure, int | float) and not isinstance(sure, bool) and 0 <= sure <= 1 else 0.5
    )
    return "", Signal(turn, label, probability, ((start, start + len(evidence), rubric),))  # type: ignore[arg-type]


def _joined(one: Signal, two: Signal) -> Signal:
    """Two claims about one turn: the surer label; unsure where the labels differ and neither is surer."""
    evidence = tuple(sorted({*one.evidence, *two.evidence}))
    if one.label != two.label and one.probability == two.probability:
        return Signal(one.turn, "unsure", 0.5, evidence)
    surer = max(one, two, key=lambda signal: signal.probability)
    return Signal(one.turn, surer.label, surer.probability, evidence)


def _answered(talk: Sequence[Turn]) -> set[int]:
    """The user's turns that follow an answer."""
    first = next((number for number, turn in enumerate(talk) if turn.role == "assistant"), len(talk))
    return {turn for turn in user_turns(talk) if turn > first}


def _parts(talk: Sequence[Turn]) -> Iterator[range]:
    """Stretches of a conversation that are asked about at once; those in which nobody could say anything are not."""
    asked = _answered(talk)
    for start in range(0, len(talk), PART):
        part = range(start, min(start + PART, len(talk)))
        if asked & set(part):
            yield part


def _messages(talk: Sequence[Turn], part: range) -> list[Message]:
    shown = range(max(0, part.start - BEFORE), part.stop)
    said = [
        (f"Turn {number}, {talk[number].role}{'' if number in part else ' (before)'}", _cut(talk[number]))
        for number in shown
        if talk[number].role in ("user", "assistant")
    ]
    return signal_messages(MEANING_SATISFIED, MEANING_DISSATISFIED, said)


def _cut(turn: Turn) -> str:
    most = LONGEST_USER if turn.role == "user" else LONGEST_ANSWER
    if len(turn.content) <= most:
        return turn.content
    return f"{turn.content[: most * 2 // 3]}\n[...]\n{turn.content[-most // 3 :]}"
