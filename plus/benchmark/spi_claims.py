"""Claims of a summary about a person of SPI, checked against their keyed scale scores. Needs no torch.

A sentence claims that a person is high or low on a scale. It is read by a lexicon made of the scoring keys: a sentence
that is one of the statements, affirmed or denied, has the statement's key; in any other one the words count that occur
in the statements of one scale, with one sign. A sentence without such words, or whose words disagree, is unsure, and
so is a claim about a score that is the median itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from plus.models.plain_sentences import plain_sentence, read_sentence
from plus.profiles.sentences import split
from plus.sources.spi import PROMPT, Spi
from plus.types import Event, Reaction

STEM = 5  # letters by which words are told apart: "worry" and "worries" are one
_COMMON = """
a about all am an and are as at be been being by can do dont easily enjoy few find for from get have i in is it its life
like likes lot love loves make makes me more most much my need never not of often on or other others people person
prefer prefers rarely seldom should something spend tend than that the their them themselves they thing things this
those time to try up usually very want wants was what who will with would
"""
COMMON = frozenset(re.findall(r"\w+", _COMMON))
Claim = tuple[str, int]  # scale, and 1 for high or -1 for low


@dataclass(frozen=True)
class Checked:
    """Counts of claims: right, wrong and unsure; scales: rightly claimed ones of all scales of all people."""

    right: int
    wrong: int
    unsure: int
    recalled: int
    scales: int

    @property
    def precision(self) -> float:
        """Share of the sure claims that are right."""
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Share of the scales of all people that a right claim names."""
        return self.recalled / max(1, self.scales)


class Lexicon:
    """Reads sentences as claims about scales, by the keys of the statements."""

    def __init__(self, data: Spi) -> None:
        self.exact: dict[str, Claim] = {}
        meanings: dict[str, set[Claim]] = {}
        for statement in data.statements:
            for agreed in (True, False):
                event = Event(statement.id, "reaction", Reaction(PROMPT, statement.text, agreed))
                text, side = _side(plain_sentence(event))
                sign = statement.scale_sign * (1 if agreed else -1) * side
                self.exact[_normal(text)] = (statement.scale, sign)
                if agreed:
                    for stem in _stems(text):
                        meanings.setdefault(stem, set()).add((statement.scale, sign))
        self.words = {stem: next(iter(found)) for stem, found in meanings.items() if len(found) == 1}

    def read(self, sentence: str) -> Claim | None:
        """Read the claim of a sentence; None where the lexicon is not sure."""
        text, side = _side(sentence)
        found = {self.exact[_normal(text)]} if _normal(text) in self.exact else set()
        found = found or {self.words[stem] for stem in _stems(text) if stem in self.words}
        if len(found) != 1:
            return None
        ((scale, sign),) = found
        return scale, sign * side


def check(data: Spi, summaries: Mapping[str, str], medians: Mapping[str, float]) -> Checked:
    """Check the claims of `summaries[person]` against the person's scores: right on the claimed side of the median."""
    lexicon = Lexicon(data)
    right = wrong = unsure = recalled = 0
    for person, text in summaries.items():
        scores, named = data.scores(person), set()
        for claim in claims(lexicon, text):
            above = 0.0 if claim is None else scores[claim[0]] - medians[claim[0]]
            if claim is None or above == 0:
                unsure += 1
            elif above * claim[1] > 0:
                right += 1
                named.add(claim[0])
            else:
                wrong += 1
        recalled += len(named)
    return Checked(right, wrong, unsure, recalled, len(data.scales) * len(summaries))


def claims(lexicon: Lexicon, text: str) -> list[Claim | None]:
    """Read every sentence of a summary."""
    sentences: Sequence[str] = [text[start:end].strip() for start, end in split(text)]
    return [lexicon.read(sentence) for sentence in sentences if sentence]


def _side(sentence: str) -> tuple[str, int]:
    """A sentence without its denial, and -1 where it had one."""
    liked, disliked = read_sentence(sentence)
    return (liked, 1) if liked else (disliked, -1)


def _normal(text: str) -> str:
    return " ".join(_words(text))


def _stems(text: str) -> Iterable[str]:
    return {word[:STEM] for word in _words(text) if word not in COMMON}


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower().replace("'", ""))
