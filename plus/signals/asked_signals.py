"""Signals by a language model: any `Writer` labels conversations by the 18 rubrics (WildFeedback, step 1).

A conversation is one request, a long one several, `workers` at a time; long turns are cut in the middle. Each claim of
the model is checked: the turn exists and was asked about, the label is known, the rubric is one of that label, and the
evidence is a substring of the turn. A claim that fails is counted and left out; nothing replaces it. A reply that
cannot be read is no judgment: its turns are unsure.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast, get_args

from plus.prompts import signal_messages
from plus.signals.rubrics import DISSATISFIED, MEANING_DISSATISFIED, MEANING_SATISFIED, SATISFIED, Label
from plus.signals.rules import Signal, user_turns
from plus.types import Message, Turn, Writer

REPLY_TOKENS = 1024  # the most that a reply may have
PART, BEFORE = 24, 2  # turns a request asks about, and turns before them that it shows
LONGEST_USER, LONGEST_ANSWER = 1200, 600  # characters of a turn; the middle of a longer one is left out
_LIST = re.compile(r"\[.*\]", re.DOTALL)
_UNREAD = 0.0  # probability of unsure for a turn whose reply cannot be read: no judgment at all
_NONE = 0.9  # probability of none for a turn that the model makes no claim about: by hand, not calibrated


class AskedSignals:
    """Engine that asks a language model; `engine(talks, owners)` returns the signals of each conversation, in order.

    writer_of: owner of a conversation ("" for none) -> Writer, so that replies can be kept by user
        (`plus.judge.reply_cache`).
    dropped: counts of the claims that failed a check, by reason.
    """

    def __init__(self, writer_of: Callable[[str], Writer], workers: int = 8) -> None:
        self.writer_of, self.workers = writer_of, workers
        self.dropped: Counter[str] = Counter()

    def __call__(self, talks: Sequence[Sequence[Turn]], owners: Sequence[str] = ()) -> list[list[Signal]]:
        """Label each user turn of each conversation. Raises the errors of the writer."""
        names = list(owners) or [""] * len(talks)
        parts = [(number, part) for number, talk in enumerate(talks) for part in _parts(talk)]
        with ThreadPoolExecutor(self.workers) as pool:
            replies = list(pool.map(lambda at: self._ask(talks[at[0]], at[1], names[at[0]]), parts))
        # Claims by turn; a turn without a claim is none, surely so when no answer came before it.
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
        """Read the claims of a reply that pass the checks, by turn."""
        claims = read_list(reply)
        if claims is None:
            self.dropped["replies that are no JSON list"] += 1
            return {turn: Signal(turn, "unsure", _UNREAD) for turn in _answered(talk) & set(part)}
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


def label_requests(talks: Iterable[Sequence[Turn]]) -> Iterator[list[Message]]:
    """Yield the messages of each request that labels these conversations."""
    return (_messages(talk, part) for talk in talks for part in _parts(talk))


def read_list(reply: str) -> list[Any] | None:
    """Find the JSON list in a reply that may hold thoughts and prose too; None when there is none."""
    visible = re.sub(r"<think>.*?(?:</think>|\Z)", " ", reply, flags=re.DOTALL | re.IGNORECASE)
    match = _LIST.search(visible)
    try:
        found = json.loads(match.group()) if match else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _checked(claim: Any, talk: Sequence[Turn], part: range, asked: set[int]) -> tuple[str, Signal | None]:
    """Check a claim; returns ("", its signal) or (the reason why it fails, None)."""
    # 1. The turn and the label.
    if not isinstance(claim, dict):
        return "claims that are no JSON object", None
    turn, label, rubric = (claim.get(name) for name in ("turn", "label", "rubric"))
    if isinstance(turn, bool) or not isinstance(turn, int) or turn not in part or turn not in asked:
        return "claims about a turn that was not asked about", None
    if label not in get_args(Label) or label == "none":
        return "claims without a known label", None
    # 2. The rubric is one of the label's; an unsure claim may have any.
    rubric = rubric.strip().lower() if isinstance(rubric, str) else ""
    of_label = {"satisfied": SATISFIED, "dissatisfied": DISSATISFIED}
    known = of_label.get(str(label), (*SATISFIED, *DISSATISFIED))
    if rubric not in known:
        return "claims whose rubric is unknown or not of their label", None
    # 3. The evidence is a substring of the turn.
    evidence, text = claim.get("evidence"), talk[turn].content
    if not isinstance(evidence, str) or not evidence.strip() or (start := text.find(evidence)) < 0:
        return "claims whose evidence does not stand in the turn", None
    span = (start, start + len(evidence), rubric)
    return "", Signal(turn, cast(Label, label), _probability(claim.get("probability")), (span,))


def _probability(value: Any) -> float:
    """Read a stated probability; 0.5 for a value that is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= 1 else 0.5


def _joined(one: Signal, two: Signal) -> Signal:
    """Join two claims about one turn: the likelier label, or unsure when different labels are equally likely."""
    evidence = tuple(sorted({*one.evidence, *two.evidence}))
    if one.label != two.label and one.probability == two.probability:
        return Signal(one.turn, "unsure", 0.5, evidence)
    surer = max(one, two, key=lambda signal: signal.probability)
    return Signal(one.turn, surer.label, surer.probability, evidence)


def _answered(talk: Sequence[Turn]) -> set[int]:
    """Collect the numbers of the user's turns that follow an answer."""
    first = next((number for number, turn in enumerate(talk) if turn.role == "assistant"), len(talk))
    return {turn for turn in user_turns(talk) if turn > first}


def _parts(talk: Sequence[Turn]) -> Iterator[range]:
    """Split a conversation into the turns of each request; parts without a user turn after an answer are left out."""
    asked = _answered(talk)
    for start in range(0, len(talk), PART):
        part = range(start, min(start + PART, len(talk)))
        if asked & set(part):
            yield part


def _messages(talk: Sequence[Turn], part: range) -> list[Message]:
    """Write the request about the turns of `part`, with a few turns before them."""
    shown = range(max(0, part.start - BEFORE), part.stop)
    turns = [
        (f"Turn {number}, {talk[number].role}{'' if number in part else ' (before)'}", _cut(talk[number]))
        for number in shown
        if talk[number].role in ("user", "assistant")
    ]
    return signal_messages(MEANING_SATISFIED, MEANING_DISSATISFIED, turns)


def _cut(turn: Turn) -> str:
    """Leave out the middle of a long turn."""
    most = LONGEST_USER if turn.role == "user" else LONGEST_ANSWER
    if len(turn.content) <= most:
        return turn.content
    return f"{turn.content[: most * 2 // 3]}\n[...]\n{turn.content[-most // 3 :]}"
