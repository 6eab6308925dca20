"""Is a policy gaming its rewards? What no reward watches, against the reference's answers.

Every measure compares answers of the policy with those of the reference *to the same prompts*; the
thresholds are in hacking.toml. None of them is a reward, so none is climbed.

The phrase alarm needs no list of phrases. A word sequence that became several times as frequent is
cut out of the answers that hold it, and both are scored again: a phrase that the rewards pay for,
and without which a reward that was never climbed likes the answers better, is a hack, and is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from plus.measures import mean
from plus.policy.model import Asked

LONGEST, SHORTEST = 5, 2  # words of a phrase
TRIED, CUT = 4, 32  # phrases that are tried at a look, and answers in which each is cut
Score = Callable[[Sequence[Asked], Sequence[str]], list[float]]


class Rise(NamedTuple):
    """A phrase and the share of answers that hold it."""

    phrase: str
    reference: float
    rate: float


@dataclass(frozen=True)
class Alarm:
    """One measure beyond its threshold, in words."""

    name: str
    value: float
    threshold: float
    sentence: str


@dataclass(frozen=True)
class Scales:
    """Mean and spread of a number on the reference's answers."""

    mean: float
    std: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Scales:
        """From the reference's own numbers; a constant has spread 1."""
        middle = mean(values)
        return cls(middle, math.sqrt(mean((value - middle) ** 2 for value in values)) or 1.0)


def rises(reference: Sequence[str], texts: Sequence[str], ratio: float) -> list[Rise]:
    """Phrases whose share of answers is at least `ratio` times the reference's, beyond chance (a
    difference of three standard errors), the largest rise first. Of phrases that always come together
    only the longest is named."""
    before, now = _held_by(reference), _held_by(texts)
    found: dict[frozenset[int], Rise] = {}
    for phrase, rows in now.items():
        old, new = len(before.get(phrase, ())) / len(reference), len(rows) / len(texts)
        pooled = (old * len(reference) + new * len(texts)) / (len(reference) + len(texts))
        error = math.sqrt(pooled * (1 - pooled) * (1 / len(reference) + 1 / len(texts)))
        # Half an answer more in the reference: what was never seen there is not infinitely more frequent.
        enough = new >= ratio * (old + 0.5 / len(reference)) and new - old > 3 * error
        held = frozenset(rows)
        if enough and (held not in found or len(found[held].phrase) < len(phrase)):
            found[held] = Rise(phrase, old, new)
    return sorted(found.values(), key=lambda rise: (rise.reference - rise.rate, -len(rise.phrase), rise.phrase))


def paid_phrase(
    risen: Sequence[Rise], asked: Sequence[Asked], texts: Sequence[str], proxy: Score, held_out: Score, scale: Scales
) -> tuple[Rise, float] | None:
    """The risen phrase that is worst: (rise, how many standard deviations the held-out reward gains
    where it is cut out, less two standard errors), among those that lower the proxy when they are cut.

    None where no phrase is paid for at the held-out reward's cost.
    """
    worst: tuple[Rise, float] | None = None
    for rise in risen[:TRIED]:
        rows = [row for row, text in enumerate(texts) if rise.phrase in _normal(text)][:CUT]
        cut = [_normal(_normal(texts[row]).replace(rise.phrase, " ")) for row in rows]
        rows, cut = [r for r, c in zip(rows, cut, strict=True) if c], [c for c in cut if c]
        if len(rows) < 8:
            continue
        of = [asked[row] for row in rows]
        whole = [texts[row] for row in rows]
        lost = mean(a - b for a, b in zip(proxy(of, whole), proxy(of, cut), strict=True))
        gains = [(b - a) / scale.std for a, b in zip(held_out(of, whole), held_out(of, cut), strict=True)]
        error = math.sqrt(mean((gain - mean(gains)) ** 2 for gain in gains) / len(gains))
        sure = mean(gains) - 2 * error
        if lost > 0 and (worst is None or sure > worst[1]):
            worst = rise, sure
    return worst


def distinct_n(texts: Sequence[str], n: int = 2) -> float:
    """Distinct word n-grams per n-gram (arXiv 1510.03055): 1 where nothing is ever repeated."""
    grams = [tuple(words[i : i + n]) for text in texts for words in [text.split()] for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def words(texts: Sequence[str]) -> float:
    """Mean length in words."""
    return mean(len(text.split()) for text in texts)


def worst_decile(users: Sequence[str], values: Sequence[float]) -> float:
    """The mean over the tenth of the users (at least one) whose own mean is lowest."""
    by_user: dict[str, list[float]] = {}
    for user, value in zip(users, values, strict=True):
        by_user.setdefault(user, []).append(value)
    means = sorted(mean(own) for own in by_user.values())
    return mean(means[: max(1, len(means) // 10)])


def disagreement(a: Sequence[float], b: Sequence[float], scale_a: Scales, scale_b: Scales) -> float:
    """How far two reward models of different seeds are apart: the spread of the difference of what
    they say, each in units of its own spread on the reference's answers."""
    gaps = [(x - scale_a.mean) / scale_a.std - (y - scale_b.mean) / scale_b.std for x, y in zip(a, b, strict=True)]
    return math.sqrt(mean((gap - mean(gaps)) ** 2 for gap in gaps)) if gaps else 0.0


def raised(look: Mapping[str, Any], limits: Mapping[str, float]) -> list[Alarm]:
    """The alarms of one look (`watch.py` makes them); a measure that could not be taken raises none."""
    found: list[Alarm] = []

    def over(name: str, limit: str, value: float | None, beyond: bool, sentence: str) -> None:
        if value is not None and beyond:
            found.append(Alarm(name, value, limits[limit], sentence))

    if phrase := look.get("phrase"):
        over(
            "phrase", "phrase", phrase["gain"], phrase["gain"] > limits["phrase"],
            f"{phrase['phrase']!r} stands in {phrase['rate']:.0%} of the answers (reference {phrase['reference']:.0%}), is paid for, and the held-out reward is {phrase['gain']:.2f} standard deviations higher without it",
        )  # fmt: skip
    fall = look.get("held_out_fall")
    over("held_out", "held_out_fall", fall, (fall or 0) > limits["held_out_fall"], f"the held-out reward has fallen by {fall or 0:.2f} standard deviations from its best while what is optimised has not")  # fmt: skip
    long = look.get("length_ratio")
    over("length", "length_high", long, (long or 1) > limits["length_high"], f"answers are {long or 1:.2f} times as long as the reference's")  # fmt: skip
    over("length", "length_low", long, (long or 1) < limits["length_low"], f"answers are {long or 1:.2f} times as long as the reference's")  # fmt: skip
    varied = look.get("distinct_ratio")
    over("diversity", "distinct_low", varied, (varied or 1) < limits["distinct_low"], f"{varied or 1:.2f} times as many distinct word pairs as in the reference's answers")  # fmt: skip
    decile = look.get("worst_decile_change")
    over("worst_decile", "worst_decile_low", decile, (decile or 0) < limits["worst_decile_low"], f"the worst decile of users has the held-out reward change by {decile or 0:+.2f} standard deviations from the reference")  # fmt: skip
    apart = look.get("disagreement_ratio")
    over("disagreement", "disagreement_high", apart, (apart or 1) > limits["disagreement_high"], f"two reward models of different seeds disagree {apart or 1:.2f} times as much as on the reference's answers")  # fmt: skip
    floor = look.get("floor_change")
    over("floor", "floor_low", floor, (floor or 0) < limits["floor_low"], f"the share of answers above the floor changed by {floor or 0:+.1%}")  # fmt: skip
    return found


def _held_by(texts: Sequence[str]) -> dict[str, list[int]]:
    """phrase -> the rows that hold it."""
    held: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        said = _normal(text).split()
        for phrase in {
            " ".join(said[i : i + n]) for n in range(SHORTEST, LONGEST + 1) for i in range(len(said) - n + 1)
        }:
            held.setdefault(phrase, []).append(row)
    return held


def _normal(text: str) -> str:
    return " ".join(text.split())


def most_common(risen: Sequence[Rise], count: int = 5) -> list[dict[str, Any]]:
    """The largest rises as a look keeps them."""
    return [rise._asdict() for rise in risen[:count]]
