"""Rules for signals: the user turns that plainly call the answer before good or bad (WildFeedback, step 1).

A turn without a plain word is `none`; one that speaks both ways is `unsure`. Silence is no evidence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from plus.signals.rubrics import DISSATISFIED, RULES, SATISFIED, Label
from plus.types import Turn

HEAD, TAIL = 240, 120  # characters of a long turn that may be about the answer; the middle is material
SAME, ALIKE = 0.9, 0.6  # shares of common words from which a turn is a repeat, or the question in other words
UNSURE = 0.5
SILENT = 0.9  # probability of none where no rule matches: its share on dialogues that people rated
_SHORTEST = 4  # words: shorter turns ("yes please") come twice by chance
_WORDS = re.compile(r"\w+")
_QUOTED = re.compile(r"```.*?(?:```|\Z)|\"[^\"\n]{3,400}\"|“[^”\n]{3,400}”|^>[^\n]*", re.DOTALL | re.MULTILINE)
# The assistant's last act, by its last sentences: a question mark, first words of a question, or a request to tell.
_ASKS = re.compile(
    r"\?\W*$|^\W*(?:and |so |but |ok(?:ay)?,? |great,? |please )*(?:what|which|why|how|who|when|where|do|does|did|have|"
    r"has|are|is|was|can|could|would|will|should|shall|tell me|name|give (?:me|at least)|describe|anything else)\b"
    r"[^.!]*$",
    re.IGNORECASE,
)
_OFFERS = re.compile(
    r"\b(?:would you like|do you want (?:me|us|to|another|more|some)|shall i|"
    r"should i|want me to|can i (?:help|do)|anything else|(?:more|other) help|"
    r"let me know|does (?:that|this) help)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n]+[.!?\s]*")
_ASIDE = 120  # characters before a question with which a turn only asks; longer ones answer and then ask
# A reply to a question is about its topic, unless it names the answer; a bare refusal declines an offer.
_OF_THE_TOPIC = ("negative feedback", "style", "insufficient detail", "lower quality", "no engagement")
_OF_THE_ANSWER = re.compile(
    r"\b(?:you|your|wrong|incorrect|mistake\w*|not (?:right|correct|true|what i))\b", re.IGNORECASE
)
_REFUSAL = re.compile(r"\W*(?:no|nope|bad|never ?mind|forget (?:it|about it)|whatever)\W*", re.IGNORECASE)
_OPENING = 3  # words: praise after so many is about the topic, in a reply to a question
_CONTRAST = re.compile(r"\b(?:but|however|except|although|though|yet)\b", re.IGNORECASE)

Act = Literal["answer", "question", "offer"]
Evidence = tuple[tuple[int, int, str], ...]  # (start, end, rubric) of each span in a turn


@dataclass(frozen=True)
class Signal:
    """Label of one user turn about the answer before it.

    turn: the number of the turn in its conversation.
    probability: of the label, by the engine's own estimate; not calibrated for language models.
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
    answer = ""
    for number, turn in enumerate(talk):
        if turn.role == "assistant":
            answer = turn.content or answer or " "
        if turn.role != "user":
            continue
        found.append(_signal(number, turn.content, asked, answer) if answer else Signal(number, "none", 1.0))
        asked = [*asked[-7:], turn.content]
    return found


def user_turns(talk: Sequence[Turn]) -> list[int]:
    """List the numbers of the user's turns."""
    return [number for number, turn in enumerate(talk) if turn.role == "user"]


def last_act(answer: str) -> Act:
    """Tell what an assistant's turn ends with: a question that is all of it, an offer, or neither.

    A question after a long answer counts as an offer: the next turn may be about the answer or the question.
    """
    sentences = _SENTENCE.findall(answer.strip()[-400:])[-2:]
    asking = [sentence for sentence in sentences if _ASKS.search(sentence.strip())]
    if not asking:
        return "answer"
    is_long = len(answer.strip()) - sum(map(len, sentences)) > _ASIDE
    return "offer" if is_long or _OFFERS.search(asking[-1]) else "question"


def _about_the_answer(hits: Sequence[RuleHit], text: str, act: Act) -> list[RuleHit]:
    """Leave out what replies to the assistant's question or offer, and says nothing of its answer."""

    def is_reply(hit: RuleHit) -> bool:
        said = text[hit.start : hit.end]
        if hit.rubric == "positive closure":
            return True  # "That's all" tells that nothing else is wanted, as was asked.
        if hit.rubric == "praise":
            return act == "question" and len(text[: hit.start].split()) > _OPENING
        if hit.rubric not in _OF_THE_TOPIC or _OF_THE_ANSWER.search(said):
            return False
        return act == "question" or _REFUSAL.fullmatch(said) is not None

    return list(hits) if act == "answer" else [hit for hit in hits if not is_reply(hit)]


def _signal(number: int, text: str, asked: Sequence[str], answer: str) -> Signal:
    """Label one turn; `asked` are the user's earlier turns, `answer` is the assistant's last."""
    act = last_act(answer)
    hits = _about_the_answer(rule_hits(text), text, act)
    # Asking again is a complaint, unless the turn has praise too; the same reply to another question is none.
    repeat = 0.0 if act == "question" else _repeat_probability(text, asked)
    if repeat and not any(hit.rubric in SATISFIED for hit in hits):
        hits.append(RuleHit(0, len(text), "revision request", repeat))
    evidence = tuple(sorted((hit.start, hit.end, hit.rubric) for hit in hits))
    good = [hit for hit in hits if hit.rubric in SATISFIED]
    bad = [hit for hit in hits if hit.rubric in DISSATISFIED]
    if not hits:
        return Signal(number, "none", SILENT)
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
