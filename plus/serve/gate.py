"""Relevance gate: sentences of a user's summary that have no bearing on a prompt stay out of the request.

The relevance of a prompt to a summary comes from sentence embeddings: the mean of the prompt's cosine with the nearest
sentence of the summary and of its cosine with the whole summary (each alone tells less: notebooks/LOG.md), for the
most relevant of the user's newest turns. A sentence below a threshold is left out; where none is left, the summary is.
What people say of language, manner, length, ability, health and safety has a bearing on any prompt and no subject: such
sentences, and locked ones, are never held back. They are known by English words (ALWAYS), so a sentence that says it
in other words may be held back; one in another script, which the sentence model cannot read either, never is.
`calibrate` finds the threshold on choices that no summarizer has read: the highest that gives up no
more than a small share of the log-likelihood which the summaries add for the reward model there. Where they
help with any prompt (a liking for short answers, say), it is so low that nothing is held back.
`calibrate_on_store` does so for the users of a profile store: the job of `plus gate`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from operator import itemgetter, mul
from typing import Any, NamedTuple

from plus.errors import EvidenceError
from plus.profiles.sentences import split
from plus.profiles.store import Store
from plus.types import Preference, Scorer

# Texts to vectors of any length, as lists of numbers.
Encode = Callable[[list[str]], Sequence[Sequence[float]]]
TURNS = 3  # of the user, newest last: "and for two?" has no subject of its own
KEPT = 0.95  # of the gain
_REMEMBERED = 4096
# Words of sentences with a bearing on any prompt, by what they are about.
ALWAYS = re.compile(
    r"\b(?:"
    # Language and names.
    r"mother tongue|native speaker|bilingual|speaks|pronouns?|addressed|call me|(?:be|is) called|spelling|metric"
    r"|imperial|celsius|fahrenheit|time ?zone|in (?:english|french|german|spanish|italian|portuguese|dutch|polish"
    r"|russian|ukrainian|turkish|arabic|hebrew|hindi|urdu|bengali|chinese|mandarin|cantonese|japanese|korean|vietnamese|thai"
    r"|swedish|danish|norwegian|finnish|greek|czech|hungarian|romanian|swahili)"
    # Manner and length.
    r"|answers?|answered|repl(?:y|ies)|responses?|explain\w*|explanations?|sentences?|words?|paragraphs?|bullets?|bulleted"
    r"|numbered|tables?|headings?|markdown|format\w*|tone|formal\w*|informal\w*|casual\w*|polite\w*|blunt\w*|direct"
    r"|humou?r|jokes?|sarcas\w+|emojis?|jargon|plain|simple|simply|short|shorter|brief\w*|concise\w*|terse\w*|longer"
    r"|detail\w*|thorough\w*|step[- ]by[- ]step|examples?|citations?|sources?|footnotes?|analog(?:y|ies)|summar\w+"
    # Rules of any subject.
    r"|always|never|only|must|avoid\w*|don't|do not|does not want|no more than|at most|at least"
    # Ability, age and knowledge.
    r"|blind|colou?r[- ]?blind\w*|low vision|sighted|deaf|hard of hearing|hearing aids?|screen readers?|braille"
    r"|captions?|dyslexi\w+|dyscalculi\w+|adhd|autis\w+|neurodiver\w+|wheelchair|disab\w+|mobility|paraly[sz]\w+|stutter\w*"
    r"|years? old|year-old|aged|child|children's|teenager|minor|elderly|beginner|novice|newcomer|expert|no background"
    # Health and food.
    r"|allerg\w+|anaphyla\w+|intoleran\w+|c(?:o)?eliac|gluten|lactose|diabet\w+|insulin|vegan|vegetarian|halal|kosher"
    r"|pregnan\w+|breastfeeding|asthma\w*|epilep\w+|seizures?|migraines?|cancer|heart|blood pressure|kidney|immun\w+"
    r"|chronic|illness|disease|disorder|medic\w+|doctor|surgery|pain|injur\w+|depress\w+|anxi\w+|panic|trauma\w*|ptsd"
    r"|suicid\w+|self-harm\w*|anorexi\w+|bulimi\w+|addict\w+|sober|alcohol\w*|recover\w+|griev\w+|bereave\w+"
    # Safety.
    r"|safety|unsafe|danger\w*|abus\w+|violen\w+|stalk\w+|threat\w*|emergency|phobi\w+|afraid|fear\w*|trigger\w*"
    r")\b",
    re.IGNORECASE,
)


class Gate:
    """Gate that passes the sentences of a summary with a relevance to the request of `threshold` or more.

    `encode` is any sentence model, such as plus.models.embeddings.minilm; nothing is sent.
    The vectors of the last 4,096 texts are kept in memory.
    """

    def __init__(self, encode: Encode, threshold: float) -> None:
        self.encode, self.threshold = encode, threshold
        self._known: dict[str, list[float]] = {}  # text -> unit vector

    def clear(self) -> None:
        """Forget all texts."""
        self._known = {}

    def is_open(self, request: Mapping[str, Any], summary: str) -> bool:
        """Decide whether the request should hold anything of the summary."""
        return bool(self.bearing(request, summary))

    def bearing(self, request: Mapping[str, Any], summary: str, locked: Container[str] = ()) -> str:
        """Select the sentences that have a bearing on the request; "" where none has.

        Those of ALWAYS and of `locked` are among them. A request without any text of the user keeps all.
        """
        texts = asked(request)
        spans = split(summary)
        if not texts or not spans:
            return summary
        sentences = [summary[start:end] for start, end in spans]
        sure = [always_bears(sentence) or sentence in locked for sentence in sentences]
        if all(sure):
            return summary
        levels = self._levels(texts, summary, sentences)
        kept = [one or level >= self.threshold for one, level in zip(sure, levels, strict=True)]
        # Each sentence with the white space that follows it.
        ends = [*(start for start, _ in spans[1:]), len(summary)]
        parts = [summary[start:end] for (start, _), end, keep in zip(spans, ends, kept, strict=True) if keep]
        return "".join(parts).strip()

    def relevance(self, texts: Sequence[str], summary: str) -> float:
        """Measure the relevance of the most relevant text to the summary, in [-1, 1]; -1 without a text."""
        sentences = [summary[start:end] for start, end in split(summary)]
        return max(self._levels(texts, summary, sentences), default=-1.0)

    def _levels(self, texts: Sequence[str], summary: str, sentences: Sequence[str]) -> list[float]:
        """Measure the relevance of the most relevant text to each sentence; -1 without a text."""
        whole, *units = self._units([summary, *sentences])
        prompts = self._units(texts)
        return [max(((_dot(unit, p) + _dot(whole, p)) / 2 for p in prompts), default=-1.0) for unit in units]

    def _units(self, texts: Sequence[str]) -> list[list[float]]:
        """Look up the unit vectors; new texts are encoded in one batch. Threads may encode a text twice."""
        known = self._known
        found = {text: known[text] for text in texts if text in known}
        if new := [text for text in dict.fromkeys(texts) if text not in found]:
            found |= zip(new, map(_unit, self.encode(new)), strict=True)
            self._known = dict(list({**known, **found}.items())[-_REMEMBERED:])
        return [found[text] for text in texts]


def always_bears(sentence: str) -> bool:
    """Tell whether a sentence has a bearing on any prompt: by the words of ALWAYS, or in a script not read here."""
    letters = [letter for letter in sentence if letter.isalpha()]
    latin = sum(letter < "\u0250" for letter in letters)
    return ALWAYS.search(sentence) is not None or latin < len(letters) / 2


def asked(request: Mapping[str, Any]) -> list[str]:
    """Select the newest texts of the user in a request of either protocol, oldest first."""
    given = request.get("messages") or request.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    turns = given if isinstance(given, list) else []  # The SDK's own marks for "not given" hold none.
    said = [text_of(turn.get("content")) for turn in turns if isinstance(turn, Mapping) and turn.get("role") == "user"]
    return [text for text in said if text.strip()][-TURNS:]


def text_of(content: Any) -> str:
    """Return a message's text: the content itself, or its text parts, a line each."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "\n".join(text for text in texts if isinstance(text, str))


class HeldOut(NamedTuple):
    """Held-out choice: relevance of its prompt to the summary, and log P(choice | summary) - log P(choice)."""

    relevance: float
    gain: float


class Calibration(NamedTuple):
    """Threshold and its effect on choices: the share `kept` of them that keep the summary, and the share `gain_kept`
    of the whole gain that these hold."""

    threshold: float
    kept: float
    gain_kept: float


def calibrate(choices: Sequence[HeldOut], keep: float = KEPT) -> Calibration:
    """Find the highest threshold at which the choices that keep the summary hold `keep` of the whole gain.

    Raises EvidenceError where the summaries predict these choices no better than no summary does.
    """
    total = sum(choice.gain for choice in choices)
    if total <= 0:
        raise EvidenceError(
            f"over {len(choices):,} held-out choices the summaries gain {total:.3f} nats, so there is nothing to "
            "calibrate on; train the run longer, or give more choices"
        )
    # Choices of equal relevance are kept or held back together.
    ordered = sorted(choices, key=lambda choice: -choice.relevance)
    levels = [(at, sum(c.gain for c in same)) for at, same in groupby(ordered, key=lambda choice: choice.relevance)]
    held = list(accumulate(map(itemgetter(1), levels)))
    last = next(number for number, gain in enumerate(held) if gain >= keep * total or number == len(held) - 1)
    # Halfway to the next lower relevance.
    lowest = levels[last][0]
    below = levels[last + 1][0] if last + 1 < len(levels) else -1.0
    return measure(choices, (lowest + below) / 2)


@dataclass(frozen=True)
class StoreCalibration:
    """Threshold found on one half of a store's users (`found`), and its effect on the other half (`checked`)."""

    found: Calibration
    checked: Calibration
    choices: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        """Return the facts that `plus gate --json` prints."""
        found, checked = self.found, self.checked
        return {
            "threshold": found.threshold, "choices": self.choices[0], "kept": found.kept, "gain_kept": found.gain_kept,
            "other_half": {"choices": self.choices[1], "kept": checked.kept, "gain_kept": checked.gain_kept},
        }  # fmt: skip


def calibrate_on_store(store: Store, scorer: Scorer, encode: Encode, keep: float = KEPT) -> StoreCalibration:
    """Calibrate the gate on held-out choices of every other user of a store, and check it on the users between.

    Raises EvidenceError as `calibrate`.
    """
    halves = held_out_choices(store, Gate(encode, 0.0), scorer)
    found = calibrate(halves[0], keep)
    return StoreCalibration(found, measure(halves[1], found.threshold), (len(halves[0]), len(halves[1])))


def held_out_choices(store: Store, gate: Gate, scorer: Scorer) -> tuple[list[HeldOut], list[HeldOut]]:
    """Score every held-out choice with and without its user's summary, users assigned to two halves in turn."""
    halves: tuple[list[HeldOut], list[HeldOut]] = ([], [])
    number = 0
    for user_id in store.users():
        summary = store.summary(user_id)
        pairs = [e.content for e in store.events(user_id, held_out=True) if isinstance(e.content, Preference)]
        if summary is None or not summary.text.strip() or not pairs:
            continue
        # The gain of a choice is the log-likelihood with the summary minus that without.
        with_it = scorer.log_likelihood([summary.text] * len(pairs), pairs)
        without = scorer.log_likelihood([""] * len(pairs), pairs)
        halves[number % 2].extend(
            HeldOut(gate.relevance([pair.prompt], summary.text), own - none)
            for pair, own, none in zip(pairs, with_it, without, strict=True)
        )
        number += 1
    return halves


def measure(choices: Sequence[HeldOut], threshold: float) -> Calibration:
    """Measure the effect of a threshold on choices, such as those of users that it was not calibrated on."""
    kept = [choice for choice in choices if choice.relevance >= threshold]
    total = sum(choice.gain for choice in choices)
    gain = sum(choice.gain for choice in kept) / total if total else 0.0
    return Calibration(threshold, len(kept) / max(1, len(choices)), gain)


def _dot(one: Sequence[float], two: Sequence[float]) -> float:
    return float(sum(map(mul, one, two)))


def _unit(vector: Sequence[float]) -> list[float]:
    length = _dot(vector, vector) ** 0.5 or 1.0
    return [value / length for value in vector]
