"""Checklist judge: a prompted model checks an answer against the user's stated preferences (WildFeedback, step 4).

The judge applies the user's taste and not its own (arXiv 2408.15549: it changes which answer wins). One answer is read
at a time, so there is no place to favour. A reply that cannot be read is counted as unclear, and never taken for a yes
or a no.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from plus.prompts import checklist_messages
from plus.types import Prompt, Writer

_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)|\A(?:(?!<think>).)*</think>", re.DOTALL | re.IGNORECASE)
_WORD = r"(?:(not)[ _-]met|(yes|no|met|unmet|true|false|n/?a|not[ _-]applicable))"
# "1: yes", "2. **No**, it rambles", '{"3": "n/a"}'; but not "4. No emojis: ...", where the word is the point's own.
_NUMBERED = re.compile(
    rf"(?<![\w.])(\d{{1,3}})[\s\"'*_`.)\]:=\u2013\u2014-]{{1,12}}{_WORD}(?![\w/])(?!\s+\w)", re.IGNORECASE
)
# "4. No emojis: yes", the point said again before the verdict.
_REPEATED = re.compile(rf"^\W*(\d{{1,3}})\b[^\n]*[:=\u2013\u2014-][\s\"'*_`]*{_WORD}\W*$", re.IGNORECASE)
_BARE = re.compile(rf"\W*{_WORD}\W*", re.IGNORECASE)
_MET = {**dict.fromkeys(("yes", "met", "true"), True), **dict.fromkeys(("no", "unmet", "false"), False)}


@dataclass(frozen=True)
class Checked:
    """Verdicts, one for each preference: met, not met, or None where it has no bearing or the reply was unclear.

    `unclear` counts the latter.
    """

    met: tuple[bool | None, ...]
    unclear: int = 0

    @property
    def score(self) -> float | None:
        """Share of the decided preferences that are met, in [0, 1]; None when none was decided."""
        decided = [one for one in self.met if one is not None]
        return sum(decided) / len(decided) if decided else None


Question = tuple[tuple[str, ...], Prompt, str]


class ChecklistJudge:
    """Checklist judge over any `Writer`, one request an answer, `workers` at a time.

    A verdict takes about five tokens: give an `Endpoint` a `max_tokens` to hold them (more for a model that thinks
    aloud). `asked` counts the requests, `unclear` the verdicts that could not be read.
    """

    def __init__(self, writer: Writer, workers: int = 8) -> None:
        self.writer, self.workers = writer, workers
        self.asked = self.unclear = 0

    def check(self, preferences: Sequence[str], prompt: Prompt, answer: str) -> Checked:
        """Check which of the preferences the answer to the prompt meets. The writer's errors pass through."""
        return self.check_all([(tuple(preferences), prompt, answer)])[0]

    def check_all(self, questions: Sequence[Question]) -> list[Checked]:
        """Check many (preferences, prompt, answer), in order.

        Equal questions are asked once, and those without a preference not at all.
        """
        # A question without a preference is decided without a request.
        asked = list(dict.fromkeys(question for question in questions if question[0]))
        with ThreadPoolExecutor(self.workers) as pool:
            found = dict(zip(asked, pool.map(self._ask, asked), strict=True))
        self.asked += len(asked)
        self.unclear += sum(one.unclear for one in found.values())
        return [found.get(question, Checked(())) for question in questions]

    def agrees(self, preferences: Sequence[str], prompt: Prompt, chosen: str, rejected: str) -> bool:
        """Decide whether `chosen` meets more of the preferences than `rejected`."""
        points = tuple(preferences)
        better, worse = self.check_all([(points, prompt, chosen), (points, prompt, rejected)])
        return improves(better, worse)

    def _ask(self, question: Question) -> Checked:
        points, prompt, answer = question
        return read_verdicts(self.writer.complete(checklist_messages(points, prompt, answer)), len(points))


def improves(better: Checked, worse: Checked) -> bool:
    """Compare two answers: True where the first meets more of the points that were decided for both."""
    both = [(a, b) for a, b in zip(better.met, worse.met, strict=True) if a is not None and b is not None]
    return sum(a for a, _ in both) > sum(b for _, b in both)


def read_verdicts(reply: str, points: int) -> Checked:
    """Read the verdicts in a model's reply about `points` preferences.

    They are numbered in any punctuation or in JSON; where there is one point, a bare word is enough. A point named
    twice with different verdicts, or not at all, is unclear; a number that no point has is passed over.
    """
    said = _THOUGHT.sub(" ", reply)
    # Point number -> the verdicts given to it.
    found: dict[int, set[bool | None]] = {}
    for line in said.splitlines():
        for number, negated, word in _NUMBERED.findall(line) or _REPEATED.findall(line):
            found.setdefault(int(number), set()).add(_verdict(negated, word))
    if points == 1 and not found and (bare := _BARE.fullmatch(said)):
        found[1] = {_verdict(bare[1], bare[2])}
    verdicts = [found.get(number, set()) for number in range(1, points + 1)]
    return Checked(
        tuple(next(iter(one)) if len(one) == 1 else None for one in verdicts),
        sum(len(one) != 1 for one in verdicts),
    )


def _verdict(negated: str | None, word: str | None) -> bool | None:
    return False if negated else _MET.get((word or "").lower())
