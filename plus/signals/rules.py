"""Rules for signals: the user turns that plainly call the answer before good or bad (WildFeedback, step 1).

A turn without a plain word is `none`; one that speaks both ways is `unsure`. Silence is no evidence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from plus.signals.rubrics import DISSATISFIED, RULES, SATISFIED, Label
from plus.types import Turn

HEAD, TAIL = 240, 120  # characters of a long turn that may be about the answer; the middle is material
SAME, ALIKE = 0.9, 0.6  # shares of common words from which a turn is a repeat, or the question in other words
UNSURE = 0.5
_SHORTEST = 4  # words: shorter turns ("yes please") come twice by chance
_WORDS = re.compile(r"\w+")
_QUOTED = re.compile(r"```.*?(?:```|\Z)|\"[^\"\n]{3,400}\"|“[^”\n]{3,400}”|^>[^\n]*", re.DOTALL | re.MULTILINE)
_CONTRAST = re.compile(r"\b(?:but|however|except|although|though|yet)\b", re.IGNORECASE)

Evidence = tuple[tuple[int, int, str], ...]  # (start, end, rubric) of each span in a turn


@dataclass(frozen=True)
class Signal:
    """Label of one user turn about the answer before it.

    turn: the number of the turn in its conversation.
    probability: of the label, by the engine's own estimate; not calibrated for rules and language models.
    """

    turn: int
    label: Label
    probability: float
    evidence: Evidence = ()


class RuleHit(NamedTuple):
    """Span of a turn that matches a rule."""

    start: int
    end: int
    rubric: str
    probability: float


def signals_by_rules(talk: Sequence[Turn]) -> list[Signal]:
    """Label each user turn of a conversation, in order; turns before the first answer are none."""
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
    """List the numbers of the user's turns."""
    return [number for number, turn in enumerate(talk) if turn.role == "user"]


def _signal(number: int, text: str, asked: Sequence[str]) -> Signal:
    """Label one turn; `asked` are the user's earlier turns."""
    hits = rule_hits(text)
    # Asking again is a complaint, unless the turn has praise too.
    repeat = _repeat_probability(text, asked)
    if repeat and not any(hit.rubric in SATISFIED for hit in hits):
        hits.append(RuleHit(0, len(text), "revision request", repeat))
    evidence = tuple(sorted((hit.start, hit.end, hit.rubric) for hit in hits))
    good = [hit for hit in hits if hit.rubric in SATISFIED]
    bad = [hit for hit in hits if hit.rubric in DISSATISFIED]
    if not hits:
        return Signal(number, "none", 0.8)
    # "Thanks, but that is wrong" is a complaint; without the "but", or a much surer rule, it is unsure.
    if good and bad:
        has_contrast = _CONTRAST.search(text[: min(hit.start for hit in bad)])
        if not has_contrast and _surest(bad) - _surest(good) < 0.1:
            return Signal(number, "unsure", UNSURE, evidence)
        return Signal(number, "dissatisfied", 0.7, evidence)
    probability = _surest(hits)
    if probability <= UNSURE:
        return Signal(number, "unsure", UNSURE, evidence)
    return Signal(number, "satisfied" if good else "dissatisfied", probability, evidence)


def _surest(hits: Sequence[RuleHit]) -> float:
    return max(hit.probability for hit in hits)


def rule_hits(text: str) -> list[RuleHit]:
    """Find the first match of each rule in the part of a turn that may be about the answer."""
    visible = feedback_text(text)
    return [
        RuleHit(found.start(), found.end(), rule.rubric, rule.probability)
        for rule in RULES
        if (found := rule.pattern.search(visible)) is not None
    ]


def feedback_text(text: str) -> str:
    """Blank quotes, code and the middle of a long turn, which are material; the length stays, so spans hold."""
    visible = _QUOTED.sub(lambda quoted: " " * len(quoted.group()), text)
    if len(visible) > HEAD + TAIL:
        visible = visible[:HEAD] + " " * (len(visible) - HEAD - TAIL) + visible[-TAIL:]
    return visible


def common_words(one: str, two: str) -> float:
    """Compute the share of two texts' words that both have, in [0, 1]; 0 when the first has under 4 words."""
    words = _words(one)
    return _jaccard(words, _words(two)) if len(words) >= _SHORTEST else 0.0


def _words(text: str) -> set[str]:
    return set(_WORDS.findall(text.lower()))


def _repeat_probability(text: str, asked: Sequence[str]) -> float:
    """Estimate the probability that a turn asks an earlier question again; 0 where it does not.

    The last question in other words may be a complaint, or the next of a series ("a poem about cats", "about dogs").
    """
    words = _words(text)
    if len(words) < _SHORTEST:
        return 0.0
    common = [_jaccard(words, _words(earlier)) for earlier in asked]
    closest = max(common, default=0.0)
    return 0.85 if closest >= SAME else UNSURE if closest >= ALIKE and common[-1] == closest else 0.0


def _jaccard(one: set[str], two: set[str]) -> float:
    return len(one & two) / max(1, len(one | two))
