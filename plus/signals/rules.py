"""Signals: which of a user's turns say that the answer before was good, or was not (WildFeedback, step 1).

Rules for the plain cases. A turn without a plain word is `none`; one that speaks both ways is `unsure`.
Nothing is concluded from silence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from plus.signals.rubrics import DISSATISFIED, RULES, SATISFIED, Label
from plus.types import Turn

HEAD, TAIL = 240, 120  # characters of a long turn that may be about the answer; the middle is material
SAME, ALIKE = 0.9, 0.6  # shares of common words from which a turn is a repeat, or the question in other words
UNSURE = 0.5
_SHORTEST = 4  # words: shorter turns ("yes please") come twice by chance
_WORDS = re.compile(r"\w+")
_QUOTED = re.compile(r"```.*?(?:```|\Z)|\"[^\"\n]{3,400}\"|“[^”\n]{3,400}”|^>[^\n]*", re.DOTALL | re.MULTILINE)
_TURNS_AROUND = re.compile(r"\b(?:but|however|except|although|though|yet)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Signal:
    """What one user's turn says of the answer before it; `evidence` is (start, end, rubric) for each span of it.

    `probability` is how sure the label is, by the rules' own estimate (not calibrated).
    """

    turn: int
    label: Label
    probability: float
    evidence: tuple[tuple[int, int, str], ...] = ()


def signals(talk: Sequence[Turn]) -> list[Signal]:
    """One signal for each turn of the user's, in order; what was said before any answer is none."""
    found: list[Signal] = []
    asked: list[str] = []
    answered = False
    for number, turn in enumerate(talk):
        answered = answered or turn.role == "assistant"
        if turn.role != "user":
            continue
        found.append(_signal(number, turn.content, asked) if answered else Signal(number, "none", 1.0))
        asked = [*asked[-7:], turn.content]
    return found


def user_turns(talk: Sequence[Turn]) -> list[int]:
    """The numbers of the user's turns."""
    return [number for number, turn in enumerate(talk) if turn.role == "user"]


def _signal(number: int, text: str, asked: Sequence[str]) -> Signal:
    hits = plain(text)
    repeat = _repeats(text, asked)
    if repeat and not any(rubric in SATISFIED for _, _, rubric, _ in hits):
        hits.append((0, len(text), "revision request", repeat))
    evidence = tuple(sorted((start, end, rubric) for start, end, rubric, _ in hits))
    good = [hit for hit in hits if hit[2] in SATISFIED]
    bad = [hit for hit in hits if hit[2] in DISSATISFIED]
    if not hits:
        return Signal(number, "none", 0.8)
    if good and bad:
        # "Thanks, but that is wrong": what comes after the turn counts.
        first_bad = min(hit[0] for hit in bad)
        if (
            not _TURNS_AROUND.search(text[:first_bad])
            and max(hit[3] for hit in bad) - max(hit[3] for hit in good) < 0.1
        ):
            return Signal(number, "unsure", UNSURE, evidence)
        return Signal(number, "dissatisfied", 0.7, evidence)
    sure = max(hit[3] for hit in hits)
    if sure <= UNSURE:
        return Signal(number, "unsure", UNSURE, evidence)
    return Signal(number, "satisfied" if good else "dissatisfied", sure, evidence)


def plain(text: str) -> list[tuple[int, int, str, float]]:
    """(start, end, rubric, probability) of each rule that finds its words where a user speaks of the answer."""
    said = spoken(text)
    return [
        (found.start(), found.end(), rule.rubric, rule.probability)
        for rule in RULES
        if (found := rule.pattern.search(said)) is not None
    ]


def spoken(text: str) -> str:
    """The text with what is quoted, fenced or in the middle of a long turn blanked; as long as the text."""
    said = _QUOTED.sub(lambda quoted: " " * len(quoted.group()), text)
    if len(said) > HEAD + TAIL:
        said = said[:HEAD] + " " * (len(said) - HEAD - TAIL) + said[-TAIL:]
    return said


def common_words(one: str, two: str) -> float:
    """The share of two texts' words that both have, 0 where the first has hardly any."""
    words = _words(one)
    return _shared(words, _words(two)) if len(words) >= _SHORTEST else 0.0


def _words(text: str) -> set[str]:
    return set(_WORDS.findall(text.lower()))


def _repeats(text: str, asked: Sequence[str]) -> float:
    """How sure it is that this turn asks again what was asked before; 0 where it does not.

    The last question in other words may be a complaint, or the next of a series ("a poem about cats", "about dogs").
    """
    words = _words(text)
    if len(words) < _SHORTEST:
        return 0.0
    common = [_shared(words, _words(earlier)) for earlier in asked]
    closest = max(common, default=0.0)
    return 0.85 if closest >= SAME else UNSURE if closest >= ALIKE and common[-1] == closest else 0.0


def _shared(one: set[str], two: set[str]) -> float:
    return len(one & two) / max(1, len(one | two))
