"""Real people in the benchmark: the folds of each data set, position habits, and the targets beside measurements.

Targets stand in targets.toml. Needs no torch, so that the README's tables can be made anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from plus.benchmark import spi_people
from plus.datasets import SYNTHETIC
from plus.errors import SettingError
from plus.evaluate import markdown
from plus.evaluate.intervals import interval
from plus.resources import thresholds
from plus.sources import llmfao, polis, ukpconvarg1
from plus.sources.folds import Events, Fold, by_topics, by_users, by_users_and_answers, within_users
from plus.types import Dropped, Preference

MIN_VOTES = 12
PAIRS = 40  # targets of a Polis voter, who has hundreds of (agreed, disagreed) pairs
HABIT = "position habit"  # how the line begins
LEAST, LEVEL = 20, 0.01  # choices that a rater must have made, and the level of each one's test


def polis_folds(data_dir: Path, dropped: Dropped) -> list[Fold]:
    """Split voters into three folds: on statements that the training voters saw, and on statements held out."""
    votes = polis.votes_of(data_dir, dropped)
    few = sum(len(of_voter) < MIN_VOTES for of_voter in votes.values())
    if few:
        dropped.add(f"voters with fewer than {MIN_VOTES} votes that agree or disagree", "", few)
    kept: Events = {voter: of_voter for voter, of_voter in votes.items() if len(of_voter) >= MIN_VOTES}
    name = f"polis/{data_dir.resolve().name}"
    return [*by_users(name, kept, 3, pairs=PAIRS), *by_users_and_answers(name, kept, 3, pairs=PAIRS)]


def llmfao_folds(data_dir: Path, dropped: Dropped) -> list[Fold]:
    """Split judgments by worker (same workers, with 20 or more decided judgments; new ones) and by prompt."""
    judgments = llmfao.judgments_of(data_dir, dropped)
    return [
        *within_users("llmfao", judgments, 5),
        *by_users("llmfao", judgments, 3),
        *by_topics("llmfao", judgments, 3),
    ]


def ukpconvarg1_folds(data_dir: Path, dropped: Dropped) -> list[Fold]:
    """Split by the published protocol: the `crowdsample` rows, one of the 32 sides of a topic left out at a time."""
    judgments = ukpconvarg1.judgments_of(data_dir, dropped, crowdsample=True)
    choices: Events = {
        user: [event for event in past if isinstance(event.content, Preference)] for user, past in judgments.items()
    }
    return by_topics("ukpconvarg1", choices, 32)


PEOPLE = {"llmfao": llmfao_folds, "polis": polis_folds, "spi": spi_people.folds, "ukpconvarg1": ukpconvarg1_folds}
# Data sets whose answers were shown in pairs; Polis shows one statement at a time.
SHOWN_IN_PAIRS = {"llmfao": llmfao.first_won, "ukpconvarg1": ukpconvarg1.first_won}


def load_folds(name: str, data_dir: str | Path | None, dropped: Dropped) -> list[Fold]:
    """Load the folds of a data set of real people. Raises SettingError for an unknown one or a missing folder."""
    if name not in PEOPLE:
        raise SettingError(
            f"--dataset_name is {name!r}; plus benchmark takes {', '.join(sorted(PEOPLE))}, "
            f"and synthetic {', '.join(SYNTHETIC)}"
        )
    if data_dir is None:
        raise SettingError(f"plus benchmark --dataset_name {name} reads files; give their folder with --data_dir")
    return PEOPLE[name](Path(data_dir), dropped)


def habit(first: Mapping[str, Sequence[bool]]) -> str:
    """Describe the position habit of raters in one line.

    It holds the share of choices that took what stood first, with its interval over raters, and how many
    raters lean to one side (two-sided binomial tests, none corrected: some do so by chance).
    """
    # Over raters: those with many choices count more.
    share = interval((0, user, float(took)) for user, all_of in first.items() for took in all_of)
    tested = [all_of for all_of in first.values() if len(all_of) >= LEAST]
    leaning = sum(binomtest(sum(all_of), len(all_of)).pvalue < LEVEL for all_of in tested)
    by_chance = f"(by chance {LEVEL * len(tested):.1f})"
    return (
        f"{HABIT}: raters took what stood first in {share.mean:.3f} [{share.low:.3f}, {share.high:.3f}] "
        f"of {share.targets:,} choices; {leaning} of {len(tested):,} raters with {LEAST} or more lean to one side "
        f"at the {LEVEL:.0%} level {by_chance}"
    )


def compare_targets(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compare each goal of the report's data set with what was measured.

    `measured` is [mean, low, high, users, choices] or None where it was not run, `short` by how much the
    goal is missed (0 where it is reached).
    """
    goals = thresholds("benchmark/targets")["goal"]
    return [_judge(goal, report) for goal in goals if report["dataset"] in goal["data"]]


def targets_table(report: Mapping[str, Any]) -> str:
    """Render the goals in Markdown, "" where the data set has none."""
    rows = compare_targets(report)
    columns = ["goal", "choices", "wanted", "measured", ""]
    return markdown.table(columns, [_line(row) for row in rows]) if rows else ""


def _judge(goal: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    differences = report["groups"].get(goal["group"], {}).get("differences", {})
    measured = differences.get(goal["difference"], {}).get(goal["slice"])
    return {**goal, "measured": measured, "short": None if measured is None else _short(goal, *measured[:2])}


def _short(goal: Mapping[str, Any], mean: float, low: float | None) -> float:
    """Compute by how much a goal is missed: infinitely where it is about an interval and one user has none."""
    if "at_least" in goal:
        return max(0.0, float(goal["at_least"]) - mean)
    if "at_most" in goal:
        return max(0.0, mean - float(goal["at_most"]))
    return math.inf if low is None else max(0.0, float(goal["interval_above"]) - low)


def _line(row: Mapping[str, Any]) -> list[str]:
    kind = next(key for key in ("at_least", "at_most", "interval_above") if key in row)
    wanted = f"{kind.replace('_', ' ')} {row[kind]:+.2f}" if row[kind] else "interval above 0"
    where = f"{row['group']}, {row['slice']}"
    if row["measured"] is None:
        return [row["difference"], where, wanted, "-", "not run"]
    verdict = f"**missed** by {row['short']:.3f}" if row["short"] else "reached"
    return [row["difference"], where, wanted, markdown.values(row["measured"], "+.3f"), verdict]
