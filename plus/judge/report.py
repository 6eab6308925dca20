"""Does it help, and would another judge say so too? The report over a panel's judgments.

No judge is believed alone. Its habits are measured where the truth is known: how often it takes the answer
shown first, and how much more often it is right where the user chose the longer answer than where the
shorter (zero for a judge that does not look at length, however good it is and whatever users like). Results
are given for each judge, and as the band from the lowest to the highest, once over all and once over
those without an exposed habit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from plus.evaluate.intervals import Interval, interval
from plus.evaluate.markdown import number, shown, table
from plus.judge.questions import Judgment

HABIT = 0.1  # share of first places above or below one half
LENGTH = 0.2  # difference in accuracy between longer and shorter choices
ENOUGH = 8  # choices of either kind, below which length is not judged


def report(choices: Sequence[Judgment], compared: Sequence[Judgment] = ()) -> dict[str, Any]:
    """Everything that the page shows, as plain values."""
    judges = list(dict.fromkeys(j.judge for j in (*choices, *compared)))
    habits = {name: _habits([j for j in (*choices, *compared) if j.judge == name]) for name in judges}
    clean = {name for name in judges if not habits[name]["exposed"]}
    accuracy = _groups(choices, lambda j: j.told, _score)
    wins = _groups(compared, lambda j: f"{j.one} over {j.two}", _score)
    return {
        "users": len({j.user_id for j in (*choices, *compared)}),
        "choices": len({(j.user_id, j.example) for j in choices}),
        "accuracy": accuracy,
        "gains": {name: _gains([j for j in choices if j.judge == name]) for name in accuracy},
        "wins": wins,
        "habits": habits,
        "bands": {
            "all judges": {**_bands(accuracy), **_bands(wins)},
            "judges without an exposed habit": {**_bands(accuracy, clean), **_bands(wins, clean)},
        },
        "exposed": [f"{name}: {fault}" for name in judges for fault in habits[name]["exposed"]],
    }


def page(found: Mapping[str, Any], title: str, notes: Iterable[str] = ()) -> str:
    """The report in Markdown."""
    parts = [
        f"# {title}",
        f"{found['choices']:,} held-out choices of {found['users']:,} users; 95 % intervals draw users.",
        *(["\n".join(f"- {note}" for note in notes)] if notes else []),
        "## Judges with a habit",
        "\n".join(f"- **EXPOSED** {line}" for line in found["exposed"]) or "None was exposed.",
        _habit_table(found["habits"]),
        *_section("Whose choice is predicted, by what the judge is told", "told", found["accuracy"]),
        *_section("What being told adds to accuracy", "told", found["gains"], "+.3f"),
        *_section("Which answer wins (ties count one half)", "answers", found["wins"]),
        "## The band over judges",
        *(f"{name}:\n\n{_band_table(bands)}" for name, bands in found["bands"].items()),
    ]
    return "\n\n".join(parts) + "\n"


def position_habit(judgments: Sequence[Judgment]) -> Interval:
    """Of all verdicts that took an answer, the share that took the one shown first; one half is no habit."""
    return interval((0, j.user_id, float(first)) for j in judgments for first in j.verdict.decided)


def length_habit(judgments: Sequence[Judgment]) -> Interval:
    """Accuracy where users chose the longer answer minus accuracy where they chose the shorter one.

    Takes judgments on held-out choices. The interval is that of the difference of two means, linearized. Nothing is
    judged (no mean) with fewer than ENOUGH choices of either kind.
    """
    longer = [j for j in judgments if j.longer == 1]
    shorter = [j for j in judgments if j.longer == 0]
    if min(len(longer), len(shorter)) < ENOUGH:
        return interval([])
    total = len(longer) + len(shorter)
    means = [sum(map(_score, part)) / len(part) for part in (longer, shorter)]
    gap = means[0] - means[1]
    parts = ((longer, means[0], total / len(longer)), (shorter, means[1], -total / len(shorter)))
    return interval((0, j.user_id, gap + weight * (_score(j) - mean)) for part, mean, weight in parts for j in part)


def _score(judgment: Judgment) -> float:
    return judgment.verdict.score


def _habits(judgments: Sequence[Judgment]) -> dict[str, Any]:
    said = [said for j in judgments for said in (j.verdict.straight, j.verdict.turned)]
    position = position_habit(judgments)
    length = length_habit([j for j in judgments if j.one == "chosen"])
    exposed = []
    if abs(position.mean - 0.5) > HABIT and not position.low <= 0.5 <= position.high:
        exposed.append(f"takes the answer shown first in {position} of its verdicts")
    if abs(length.mean) > LENGTH and not length.low <= 0 <= length.high:
        kind = "longer" if length.mean > 0 else "shorter"
        exposed.append(f"favours the {kind} answer: accuracy differs by {length} with which one the user chose")
    return {
        "position": _plain(position),
        "length": _plain(length),
        "ties": said.count("tie") / max(1, len(said)),
        "unclear": said.count("unclear") / max(1, len(said)),
        "exposed": exposed,
    }


def _groups(
    judgments: Iterable[Judgment], group: Callable[[Judgment], str], value: Callable[[Judgment], float]
) -> dict[str, dict[str, dict[str, Any]]]:
    """judge -> group -> the mean with its interval."""
    rows: dict[str, dict[str, list[tuple[int, str, float]]]] = {}
    for j in judgments:
        rows.setdefault(j.judge, {}).setdefault(group(j), []).append((0, j.user_id, value(j)))
    return {judge: {name: _plain(interval(of)) for name, of in groups.items()} for judge, groups in rows.items()}


def _gains(judgments: Sequence[Judgment]) -> dict[str, dict[str, Any]]:
    """Accuracy told one thing minus told another, over the same choices."""
    by_told: dict[str, dict[tuple[str, str], float]] = {}
    for j in judgments:
        by_told.setdefault(j.told, {})[j.user_id, j.example] = _score(j)
    pairs = (("summary", "nothing"), ("history", "nothing"), ("summary", "history"))
    return {
        f"{a} minus {b}": _plain(interval((0, user, score - by_told[b][user, example]) for (user, example), score in by_told[a].items()))
        for a, b in pairs if a in by_told and b in by_told
    }  # fmt: skip


def _bands(groups: Mapping[str, Mapping[str, Any]], judges: set[str] | None = None) -> dict[str, list[float]]:
    """group -> lowest and highest mean over the judges."""
    means: dict[str, list[float]] = {}
    for judge, found in groups.items():
        for name, one in found.items() if judges is None or judge in judges else ():
            means.setdefault(name, []).append(one["mean"])
    return {name: [min(values), max(values), len(values)] for name, values in means.items()}


def _plain(found: Interval) -> dict[str, Any]:
    """As JSON knows it: no NaN."""
    return {name: None if value != value else value for name, value in found._asdict().items()}


def _section(title: str, column: str, groups: Mapping[str, Mapping[str, Any]], form: str = ".3f") -> list[str]:
    rows = [[judge, name, *shown(one, form)] for judge, found in groups.items() for name, one in found.items()]
    return [f"## {title}", table(["judge", column, "mean", "users", "choices"], rows)] if rows else []


def _habit_table(habits: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [name, shown(one["position"])[0], shown(one["length"], "+.3f")[0], number(one["ties"]), number(one["unclear"])]
        for name, one in habits.items()
    ]
    return table(["judge", "took the first (0.5)", "longer minus shorter (0)", "ties", "unclear"], rows)


def _band_table(bands: Mapping[str, Sequence[float]]) -> str:
    rows = [[name, number(low), number(high), f"{int(count)}"] for name, (low, high, count) in bands.items()]
    return table(["what", "lowest", "highest", "judges"], rows) if rows else "There is none."
