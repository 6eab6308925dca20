"""Report over a panel's judgments: accuracy and wins by judge, judges' habits, and the band over the judges.

A judge's habits are measured where the truth is known: how often it takes the answer shown first, and how much more
often it is right where the user chose the longer answer than where the shorter (zero for a judge that does not look at
length, however good it is and whichever length users like). Results are given for each judge, and as the band from the
lowest to the highest, once over all judges and once over those without an exposed habit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from plus.evaluate.intervals import Interval, interval
from plus.evaluate.markdown import number, shown, table
from plus.judge.panel import Judgment

HABIT = 0.1  # share of first places above or below one half
LENGTH = 0.2  # difference in accuracy between longer and shorter choices
ENOUGH = 8  # choices of either kind, below which length is not judged


Means = Mapping[str, Mapping[str, Interval]]  # judge -> group -> mean with its interval


class Band(NamedTuple):
    """Lowest and highest mean over a number of judges."""

    low: float
    high: float
    judges: int


@dataclass(frozen=True)
class Habits:
    """Habits of one judge.

    position: one half without a habit; length: zero without one; ties and unclear: shares of its replies.
    exposed: sentences about the habits that are beyond HABIT or LENGTH, and beyond chance by their interval.
    """

    position: Interval
    length: Interval
    ties: float
    unclear: float
    exposed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values, without NaN."""
        return {
            "position": _plain(self.position),
            "length": _plain(self.length),
            "ties": self.ties,
            "unclear": self.unclear,
            "exposed": list(self.exposed),
        }


@dataclass(frozen=True)
class Report:
    """Results of a panel.

    accuracy: judge -> text it was told -> accuracy on held-out choices; `gains` are the differences between texts.
    wins: judge -> "one over two" -> share of answers won. bands: set of judges -> group -> lowest and highest mean.
    """

    users: int
    choices: int
    accuracy: Means
    gains: Means
    wins: Means
    habits: Mapping[str, Habits]
    bands: Mapping[str, Mapping[str, Band]]
    exposed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the content of report.json."""
        return {
            "users": self.users,
            "choices": self.choices,
            **{name: _plain_means(getattr(self, name)) for name in ("accuracy", "gains", "wins")},
            "habits": {judge: habits.to_json() for judge, habits in self.habits.items()},
            "bands": {which: {name: list(band) for name, band in bands.items()} for which, bands in self.bands.items()},
            "exposed": list(self.exposed),
        }


def report(choices: Sequence[Judgment], compared: Sequence[Judgment] = ()) -> Report:
    """Compute the report from judgments on held-out choices and on compared answers."""
    # Judges in the order in which they were seated.
    judges = list(dict.fromkeys(j.judge for j in (*choices, *compared)))
    habits = {name: _habits([j for j in (*choices, *compared) if j.judge == name]) for name in judges}
    clean = {name for name in judges if not habits[name].exposed}
    accuracy = _groups(choices, lambda j: j.told, _score)
    wins = _groups(compared, lambda j: f"{j.one} over {j.two}", _score)
    return Report(
        users=len({j.user_id for j in (*choices, *compared)}),
        choices=len({(j.user_id, j.example) for j in choices}),
        accuracy=accuracy,
        gains={name: _gains([j for j in choices if j.judge == name]) for name in accuracy},
        wins=wins,
        habits=habits,
        bands={
            "all judges": {**_bands(accuracy), **_bands(wins)},
            "judges without an exposed habit": {**_bands(accuracy, clean), **_bands(wins, clean)},
        },
        exposed=tuple(f"{name}: {fault}" for name in judges for fault in habits[name].exposed),
    )


def page(found: Report, title: str, notes: Iterable[str] = ()) -> str:
    """Render the report in Markdown."""
    parts = [
        f"# {title}",
        f"{found.choices:,} held-out choices of {found.users:,} users; 95 % intervals draw users.",
        *(["\n".join(f"- {note}" for note in notes)] if notes else []),
        "## Judges with a habit",
        "\n".join(f"- **EXPOSED** {line}" for line in found.exposed) or "None was exposed.",
        _habit_table(found.habits),
        *_section("Whose choice is predicted, by what the judge is told", "told", found.accuracy),
        *_section("What being told adds to accuracy", "told", found.gains, "+.3f"),
        *_section("Which answer wins (ties count one half)", "answers", found.wins),
        "## The band over judges",
        *(f"{name}:\n\n{_band_table(bands)}" for name, bands in found.bands.items()),
    ]
    return "\n\n".join(parts) + "\n"


def position_habit(judgments: Sequence[Judgment]) -> Interval:
    """Measure, of all verdicts that took an answer, the share that took the one shown first; one half is no habit."""
    return interval((0, j.user_id, float(first)) for j in judgments for first in j.verdict.decided)


def length_habit(judgments: Sequence[Judgment]) -> Interval:
    """Measure accuracy where users chose the longer answer minus accuracy where they chose the shorter one.

    Takes judgments on held-out choices. The interval is that of the difference of two means, linearized. There is no
    mean with fewer than ENOUGH choices of either kind.
    """
    longer = [j for j in judgments if j.longer == 1]
    shorter = [j for j in judgments if j.longer == 0]
    if min(len(longer), len(shorter)) < ENOUGH:
        return interval([])
    # Each judgment's part in the difference: its distance from its group's mean, weighed by the group's share.
    total = len(longer) + len(shorter)
    means = [sum(map(_score, part)) / len(part) for part in (longer, shorter)]
    gap = means[0] - means[1]
    parts = ((longer, means[0], total / len(longer)), (shorter, means[1], -total / len(shorter)))
    return interval((0, j.user_id, gap + weight * (_score(j) - mean)) for part, mean, weight in parts for j in part)


def _score(judgment: Judgment) -> float:
    return judgment.verdict.score


def _habits(judgments: Sequence[Judgment]) -> Habits:
    # Both orders count.
    said = [said for j in judgments for said in (j.verdict.straight, j.verdict.turned)]
    position = position_habit(judgments)
    length = length_habit([j for j in judgments if j.one == "chosen"])
    # A habit is exposed where it is large and its interval excludes none.
    exposed = []
    if abs(position.mean - 0.5) > HABIT and not position.low <= 0.5 <= position.high:
        exposed.append(f"takes the answer shown first in {position} of its verdicts")
    if abs(length.mean) > LENGTH and not length.low <= 0 <= length.high:
        kind = "longer" if length.mean > 0 else "shorter"
        exposed.append(f"favours the {kind} answer: accuracy differs by {length} with which one the user chose")
    total = max(1, len(said))
    return Habits(position, length, said.count("tie") / total, said.count("unclear") / total, tuple(exposed))


def _groups(
    judgments: Iterable[Judgment], group: Callable[[Judgment], str], value: Callable[[Judgment], float]
) -> dict[str, dict[str, Interval]]:
    """Average a value by judge and group."""
    # Rows (seed, user, value), as intervals take them; there is one seed.
    rows: dict[str, dict[str, list[tuple[int, str, float]]]] = {}
    for j in judgments:
        rows.setdefault(j.judge, {}).setdefault(group(j), []).append((0, j.user_id, value(j)))
    return {judge: {name: interval(of) for name, of in groups.items()} for judge, groups in rows.items()}


def _gains(judgments: Sequence[Judgment]) -> dict[str, Interval]:
    """Subtract a judge's accuracy told one text from that told another, over the same choices."""
    by_told: dict[str, dict[tuple[str, str], float]] = {}
    for j in judgments:
        by_told.setdefault(j.told, {})[j.user_id, j.example] = _score(j)
    found = {}
    for a, b in (("summary", "nothing"), ("history", "nothing"), ("summary", "history")):
        if a in by_told and b in by_told:
            # Paired: the same choice of the same user.
            rows = [(0, key[0], score - by_told[b][key]) for key, score in by_told[a].items()]
            found[f"{a} minus {b}"] = interval(rows)
    return found


def _bands(groups: Means, judges: set[str] | None = None) -> dict[str, Band]:
    means: dict[str, list[float]] = {}
    for judge, found in groups.items():
        for name, one in found.items() if judges is None or judge in judges else ():
            means.setdefault(name, []).append(one.mean)
    return {name: Band(min(values), max(values), len(values)) for name, values in means.items()}


def _plain(found: Interval) -> dict[str, Any]:
    """Convert an interval to JSON, which knows no NaN."""
    return {name: None if value != value else value for name, value in found._asdict().items()}


def _plain_means(means: Means) -> dict[str, dict[str, Any]]:
    return {judge: {name: _plain(one) for name, one in found.items()} for judge, found in means.items()}


def _section(title: str, column: str, groups: Means, form: str = ".3f") -> list[str]:
    rows = [[judge, name, *shown(_plain(one), form)] for judge, found in groups.items() for name, one in found.items()]
    return [f"## {title}", table(["judge", column, "mean", "users", "choices"], rows)] if rows else []


def _habit_table(habits: Mapping[str, Habits]) -> str:
    rows = []
    for name, one in habits.items():
        position, length = shown(_plain(one.position))[0], shown(_plain(one.length), "+.3f")[0]
        rows.append([name, position, length, number(one.ties), number(one.unclear)])
    return table(["judge", "took the first (0.5)", "longer minus shorter (0)", "ties", "unclear"], rows)


def _band_table(bands: Mapping[str, Band]) -> str:
    rows = [[name, number(band.low), number(band.high), f"{band.judges}"] for name, band in bands.items()]
    return table(["what", "lowest", "highest", "judges"], rows) if rows else "There is none."
