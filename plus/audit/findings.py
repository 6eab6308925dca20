"""Numbers of an audit as sentences that a person can act on; the worst comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PEOPLE = "the people who chose"
NULL_REACH = 0.05  # from one half, for a null run on synthetic users
HABIT = 0.1  # from one half, for a judge that is asked in both orders
PERSONA_SWAP = 0.95  # of predictions that must turn with the user
FLIP_SHARE = 0.8  # of the oracle's rate
CODE_SHARE = 0.25  # of its own gain that a summary in words is worth to a stranger, at the least
TRUE_ENOUGH = 0.5  # precision of claims below which a summary says next to nothing true


@dataclass(frozen=True)
class Finding:
    """One control in words. `ok` is None where it is a fact to read and no test to pass."""

    control: str
    ok: bool | None
    sentence: str


def findings(audit: Mapping[str, Any]) -> list[Finding]:
    """One finding for each control that was run, in the order in which they should be read."""
    found: list[Finding | None] = [_leak(audit), _null(audit), _gain(audit), _opposite(audit), _code(audit)]
    found += [_swap(audit), _flip(audit), *_habits(audit), _raw(audit)]
    return [finding for finding in found if finding]


def headline(found: Sequence[Finding]) -> str:
    """The first control that failed; else what the summary is worth."""
    failed = [finding for finding in found if finding.ok is False]
    gain = next(finding for finding in found if finding.control == "summary gain")
    if not failed:
        return gain.sentence
    # Another user's summary says nothing while the split leaks, and nobody needs a second reason then.
    return failed[0].sentence if len(failed) == 1 else f"{failed[0].sentence} ({len(failed) - 1} more below)"


def _leak(audit: Mapping[str, Any]) -> Finding:
    leaks, total = audit["leaks"], sum(audit["leaks"][key] for key in ("in_context", "trained_on", "same_past"))
    if not total:
        return Finding("leak check", True, f"no leak among {leaks['targets']:,} test choices")
    return Finding(
        "leak check", False,
        f"leaky split: of {leaks['targets']:,} test choices {leaks['in_context']:,} stand in their own context, {leaks['trained_on']:,} were trained on "
        f"for the same user and {leaks['same_past']:,} for a user with the same past (first: {leaks['first']}); no other number here can be trusted",
    )  # fmt: skip


def _null(audit: Mapping[str, Any]) -> Finding | None:
    null = audit["null"]
    if null is None:
        return None
    # Where answers have a majority, knowing nobody predicts above one half: there only the gain tells.
    away = audit["synthetic"] and abs(null["own"]["mean"] - 0.5) > NULL_REACH
    sentence = f"trained on choices dealt to other users it predicts {_show(null['own'])}, {_show(null['gain'], signed=True)} over another user's summary"
    if away or _above(null["gain"], NULL_REACH / 2):
        return Finding(
            "null run", False, f"null run not at chance: {sentence}, so something other than taste is learned"
        )
    return Finding("null run", True, f"null run at chance: {sentence}")


def _gain(audit: Mapping[str, Any]) -> Finding:
    gain = audit["summary_gain"]
    if not _above(gain, 0):
        return Finding(
            "summary gain", False,
            f"no sign of personalization: another user's summary predicts as well (gain {_show(gain, signed=True)})",
        )  # fmt: skip
    return Finding(
        "summary gain", True,
        f"the summary matters: the right user's is worth {_show(gain, signed=True)} accuracy over another user's",
    )  # fmt: skip


def _opposite(audit: Mapping[str, Any]) -> Finding | None:
    opposite = audit["readings"]["opposite"]
    if not opposite["targets"]:
        return None
    if opposite["targets"] >= 30 and _above(opposite, 0.5):
        return Finding(
            "opposite user", False,
            f"suspicious: the summary of a user with the opposite taste predicts better than chance ({_show(opposite)})",
        )  # fmt: skip
    return Finding("opposite user", True if opposite["targets"] >= 30 else None, f"with the summary of a user who chose the opposite: {_show(opposite)}")  # fmt: skip


def _code(audit: Mapping[str, Any]) -> Finding | None:
    """Can a stranger read it? Only where the summary is worth something to its own reader."""
    said, information, gain = audit["faithfulness"], audit["information"], audit["summary_gain"]
    readers = audit["portability"]
    if not _above(gain, 0) or audit["pasted"]:
        return None
    best = max((reading["gain"]["mean"] for reading in readers.values()), default=None)
    shown = (
        "; ".join(f"{name} {_show(r['own'])}" for name, r in readers.items()) or "no reader of other origin was asked"
    )
    shown += f"; a reader fitted afresh {_show(information['own'])}" if information else ""
    shown += f"; {said['precision']:.0%} of its claims are true" if said else ""
    false = said is not None and said["precision"] < TRUE_ENOUGH
    unreadable = best is not None and best < CODE_SHARE * gain["mean"]
    if unreadable and (said is None or false):
        return Finding("portability", False, f"private code: the reward model reads these summaries and nobody else can ({shown})")  # fmt: skip
    if best is None and false:
        return Finding("portability", False, f"private code suspected: the summaries predict, and next to nothing they claim is true ({shown})")  # fmt: skip
    if unreadable:
        return Finding("portability", False, f"true claims that no other reader can use: {shown}")
    if best is None:
        return Finding("portability", None, f"words or a private code? This cannot tell: {shown}")
    return Finding("portability", True, f"readable by others: {shown}")


def _swap(audit: Mapping[str, Any]) -> Finding | None:
    swap = audit["persona_swap"]
    if swap is None or not swap["targets"]:
        return None
    sentence = f"given the past of a user who likes the rejected answer, {_show(swap)} of the right predictions turn"
    # One taste for each user holds for synthetic users only; real people differ on one pair and agree on others.
    if not audit["synthetic"]:
        return Finding("persona swap", None, sentence)
    if (
        audit["best_possible"] is not None
    ):  # A past that reveals a part of the taste often says nothing about this pair.
        return Finding("persona swap", None, f"{sentence}; whoever draws all from a past is right in {audit['best_possible']:.3f}")  # fmt: skip
    return Finding("persona swap", swap["mean"] >= PERSONA_SWAP, f"{sentence} (wanted: {PERSONA_SWAP:g})")


def _flip(audit: Mapping[str, Any]) -> Finding | None:
    flip = audit["label_flip"]
    if flip is None:
        return None
    sentence = f"with every past label flipped, {_show(flip['rate'])} of the right predictions turn"
    if flip["oracle"] is None:
        return Finding("label flip", None, sentence)
    ok = flip["rate"]["mean"] >= FLIP_SHARE * flip["oracle"]["mean"]
    return Finding("label flip", ok, f"{sentence}; of summaries that say all that is revealed, {_show(flip['oracle'])}")


def _habits(audit: Mapping[str, Any]) -> list[Finding]:
    """People may have a habit, which is a fact about the data; a judge must not."""
    found = []
    for name, share in audit["position_habit"].items():
        sentence = f"{name} takes the answer shown first in {_show(share)} of cases"
        biased = _away_from(share, 0.5) and abs(share["mean"] - 0.5) > HABIT
        ok = None if name == PEOPLE else not biased
        found.append(Finding("position habit", ok, f"position bias: {sentence}" if biased else sentence))
    return found


def _raw(audit: Mapping[str, Any]) -> Finding | None:
    raw, own = audit["readings"]["raw_history"], audit["readings"]["own"]
    if not raw["targets"]:
        return None
    return Finding("raw history", None, f"with the past itself pasted in (newest {audit['raw_history_events']} events): {_show(raw)}, with the summary {_show(own)}")  # fmt: skip


def _above(found: Mapping[str, Any], line: float) -> bool:
    """The whole interval lies above; of one without an interval nothing is claimed."""
    return found["low"] is not None and found["low"] > line


def _away_from(found: Mapping[str, Any], line: float) -> bool:
    return found["low"] is not None and not found["low"] <= line <= found["high"]


def _show(found: Mapping[str, Any], signed: bool = False) -> str:
    form = "+.3f" if signed else ".3f"
    if found["mean"] is None:
        return "-"
    return f"{found['mean']:{form}}" + (
        "" if found["low"] is None else f" [{found['low']:{form}}, {found['high']:{form}}]"
    )
