"""Results of an audit, and the findings drawn from them: sentences to act on, the worst first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from plus.audit.leak_check import Leaks
from plus.audit.text_checks import Faithfulness, Information, Reading
from plus.evaluate.intervals import Interval
from plus.evaluate.predictions import Prediction
from plus.evaluate.scorecard import plain

PEOPLE = "the people who chose"
NULL_REACH = 0.05  # from one half, for a null run on synthetic users
HABIT = 0.1  # from one half, for a judge that is asked in both orders
PERSONA_SWAP = 0.95  # of predictions that must turn with the user
FLIP_SHARE = 0.8  # of the oracle's rate
CODE_SHARE = 0.25  # of its own gain that a summary in words is worth to another reader, at the least
TRUE_ENOUGH = 0.5  # precision of claims below which a summary says next to nothing true
OPPOSITES = 30  # choices read with the opposite user's summary, below which nothing is concluded


@dataclass(frozen=True)
class Finding:
    """One control in words. `ok` is None where it is a fact to read and no test to pass."""

    control: str
    ok: bool | None
    sentence: str


class LabelFlip(NamedTuple):
    """Share of right predictions that turn with flipped labels, and that of an oracle summarizer where there is one."""

    rate: Interval
    oracle: Interval | None


class NullRun(NamedTuple):
    """Accuracy of a run trained on other users' choices, and its gain over another user's summary."""

    own: Interval
    gain: Interval


@dataclass(frozen=True)
class Audit:
    """Results of all controls on one scorer; None where a control was not run, with the reason in `not_run`.

    `pasted` is true where the texts are the past itself and no summaries. `learning_curve` maps a number
    of past events to accuracy. `predictions` are all that the numbers rest on.
    """

    dataset: str
    synthetic: bool
    best_possible: float | None
    pasted: bool
    users: int
    targets: int
    readings: Mapping[str, Interval]
    raw_history_events: int
    summary_gain: Interval
    gain_over_empty: Interval
    measures: Mapping[str, Any]
    leaks: Leaks
    information: Information | None
    portability: Mapping[str, Reading]
    faithfulness: Faithfulness | None
    persona_swap: Interval | None
    label_flip: LabelFlip | None
    position_habit: Mapping[str, Interval]
    null: NullRun | None
    not_run: Mapping[str, str]
    learning_curve: Mapping[int, Interval]
    predictions: Sequence[Prediction] = field(repr=False)

    @property
    def findings(self) -> list[Finding]:
        """One finding for each control that was run, in the order in which they should be read."""
        found: list[Finding | None] = [_leak(self), _null(self), _gain(self), _opposite(self), _code(self)]
        found += [_swap(self), _flip(self), *_habits(self), _raw(self)]
        return [finding for finding in found if finding]

    @property
    def verdict(self) -> str:
        """The first control that failed; else what the summary is worth."""
        found = self.findings
        failed = [finding for finding in found if finding.ok is False]
        if not failed:
            return next(finding.sentence for finding in found if finding.control == "summary gain")
        # While the split leaks, or another control fails, the later ones only repeat it: they are counted.
        return failed[0].sentence if len(failed) == 1 else f"{failed[0].sentence} ({len(failed) - 1} more below)"

    def to_json(self) -> dict[str, Any]:
        """Turn the audit into report.json: all but the predictions; NaN becomes None."""
        found = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "predictions"}
        result: dict[str, Any] = plain(found | {"findings": self.findings, "verdict": self.verdict})
        return result


def _leak(audit: Audit) -> Finding:
    leaks = audit.leaks
    if not leaks.total:
        return Finding("leak check", True, f"no leak among {leaks.targets:,} test choices")
    of_trained = f", {leaks.trained_user:,} are of users that the run was trained on" if leaks.trained_user else ""
    return Finding(
        "leak check",
        False,
        f"leaky split: of {leaks.targets:,} test choices {leaks.in_context:,} stand in their own context, "
        f"{leaks.trained_on:,} were trained on for the same user and {leaks.same_past:,} for a user with the same "
        f"past{of_trained} (first: {leaks.first}); no other number here can be trusted",
    )


def _null(audit: Audit) -> Finding | None:
    null = audit.null
    if null is None:
        return None
    # Where answers have a majority, a scorer without any user predicts above one half: there only the gain tells.
    away = audit.synthetic and abs(null.own.mean - 0.5) > NULL_REACH
    sentence = (
        f"trained on choices dealt to other users it predicts {_show(null.own)}, "
        f"{_show(null.gain, signed=True)} over another user's summary"
    )
    if away or _above(null.gain, NULL_REACH / 2):
        failed = f"null run not at chance: {sentence}, so something other than taste is learned"
        return Finding("null run", False, failed)
    return Finding("null run", True, f"null run at chance: {sentence}")


def _gain(audit: Audit) -> Finding:
    gain = audit.summary_gain
    worth = _show(gain, signed=True)
    if not _above(gain, 0):
        failed = f"no sign of personalization: another user's summary predicts as well (gain {worth})"
        return Finding("summary gain", False, failed)
    sentence = f"the summary matters: the right user's is worth {worth} accuracy over another user's"
    return Finding("summary gain", True, sentence)


def _opposite(audit: Audit) -> Finding | None:
    opposite = audit.readings["opposite"]
    if not opposite.targets:
        return None
    enough = opposite.targets >= OPPOSITES
    if enough and _above(opposite, 0.5):
        failed = (
            f"suspicious: the summary of a user with the opposite taste predicts better than chance ({_show(opposite)})"
        )
        return Finding("opposite user", False, failed)
    sentence = f"with the summary of a user who chose the opposite: {_show(opposite)}"
    return Finding("opposite user", True if enough else None, sentence)


def _code(audit: Audit) -> Finding | None:
    """Tell words from a private code; only where the summary is worth something to its own reader."""
    claims, information, gain, readers = audit.faithfulness, audit.information, audit.summary_gain, audit.portability
    if not _above(gain, 0) or audit.pasted:
        return None
    best = max((reading.gain.mean for reading in readers.values()), default=None)
    # The facts, whatever follows from them.
    shown = "; ".join(f"{name} {_show(r.own)}" for name, r in readers.items())
    shown = shown or "no reader of other origin was asked"
    shown += f"; a reader fitted afresh {_show(information.own)}" if information else ""
    shown += f"; {claims.precision:.0%} of its claims are true" if claims else ""
    # What follows: a code that nobody else reads, true claims of no use, or readable words.
    false = claims is not None and claims.precision < TRUE_ENOUGH
    unreadable = best is not None and best < CODE_SHARE * gain.mean
    if unreadable and (claims is None or false):
        failed = f"private code: the reward model reads these summaries and nobody else can ({shown})"
        return Finding("portability", False, failed)
    if best is None and false:
        failed = f"private code suspected: the summaries predict, and next to nothing they claim is true ({shown})"
        return Finding("portability", False, failed)
    if unreadable:
        return Finding("portability", False, f"true claims that no other reader can use: {shown}")
    if best is None:
        return Finding("portability", None, f"words or a private code? This cannot tell: {shown}")
    return Finding("portability", True, f"readable by others: {shown}")


def _swap(audit: Audit) -> Finding | None:
    swap, best = audit.persona_swap, audit.best_possible
    if swap is None or not swap.targets:
        return None
    sentence = f"given the past of a user who likes the rejected answer, {_show(swap)} of the right predictions turn"
    # One taste for each user holds for synthetic users only; real people differ on one pair and agree on others.
    if not audit.synthetic:
        return Finding("persona swap", None, sentence)
    # A past that reveals a part of the taste often says nothing about this pair.
    if best is not None:
        return Finding("persona swap", None, f"{sentence}; whoever draws all from a past is right in {best:.3f}")
    return Finding("persona swap", swap.mean >= PERSONA_SWAP, f"{sentence} (wanted: {PERSONA_SWAP:g})")


def _flip(audit: Audit) -> Finding | None:
    flip = audit.label_flip
    if flip is None:
        return None
    sentence = f"with every past label flipped, {_show(flip.rate)} of the right predictions turn"
    if flip.oracle is None:
        return Finding("label flip", None, sentence)
    ok = flip.rate.mean >= FLIP_SHARE * flip.oracle.mean
    return Finding("label flip", ok, f"{sentence}; of summaries that say all that is revealed, {_show(flip.oracle)}")


def _habits(audit: Audit) -> list[Finding]:
    """Find position habits: of people a fact about the data, of a judge a fault."""
    found = []
    for name, share in audit.position_habit.items():
        sentence = f"{name} takes the answer shown first in {_show(share)} of cases"
        biased = _away_from(share, 0.5) and abs(share.mean - 0.5) > HABIT
        ok = None if name == PEOPLE else not biased
        found.append(Finding("position habit", ok, f"position bias: {sentence}" if biased else sentence))
    return found


def _raw(audit: Audit) -> Finding | None:
    raw, own = audit.readings["raw_history"], audit.readings["own"]
    if not raw.targets:
        return None
    newest = f"newest {audit.raw_history_events} events"
    sentence = f"with the past itself pasted in ({newest}): {_show(raw)}, with the summary {_show(own)}"
    return Finding("raw history", None, sentence)


def _above(found: Interval, line: float) -> bool:
    """Tell whether the whole interval lies above; never where there is no interval (NaN)."""
    return found.low > line


def _away_from(found: Interval, line: float) -> bool:
    return not math.isnan(found.low) and not found.low <= line <= found.high


def _show(found: Interval, signed: bool = False) -> str:
    form = "+.3f" if signed else ".3f"
    if math.isnan(found.mean):
        return "-"
    bounds = "" if math.isnan(found.low) else f" [{found.low:{form}}, {found.high:{form}}]"
    return f"{found.mean:{form}}{bounds}"
