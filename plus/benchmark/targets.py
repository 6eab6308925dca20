"""What the benchmark on real people is meant to reach (goals.toml), beside what was measured."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plus.evaluate import markdown

FILE = Path(__file__).with_name("targets.toml")


def judged(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each goal of the report's data set: `measured` is [mean, low, high, users, choices] or None where it
    was not run, `short` by how much the goal is missed (0 where it is reached)."""
    goals = tomllib.loads(FILE.read_text(encoding="utf-8"))["goal"]
    return [_judge(goal, report) for goal in goals if report["dataset"] in goal["data"]]


def table(report: Mapping[str, Any]) -> str:
    """The goals in Markdown, "" where the data set has none."""
    rows = judged(report)
    columns = ["goal", "choices", "wanted", "measured", ""]
    return markdown.table(columns, [_line(row) for row in rows]) if rows else ""


def _judge(goal: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    differences = report["groups"].get(goal["group"], {}).get("differences", {})
    measured = differences.get(goal["difference"], {}).get(goal["slice"])
    return {**goal, "measured": measured, "short": None if measured is None else _short(goal, *measured[:2])}


def _short(goal: Mapping[str, Any], mean: float, low: float | None) -> float:
    """By how much it is missed; infinitely where one user has no interval and the goal is about it."""
    if "at_least" in goal:
        return max(0.0, goal["at_least"] - mean)
    if "at_most" in goal:
        return max(0.0, mean - goal["at_most"])
    return math.inf if low is None else max(0.0, goal["interval_above"] - low)


def _line(row: Mapping[str, Any]) -> list[str]:
    kind = next(key for key in ("at_least", "at_most", "interval_above") if key in row)
    wanted = f"{kind.replace('_', ' ')} {row[kind]:+.2f}" if row[kind] else "interval above 0"
    where = f"{row['group']}, {row['slice']}"
    if row["measured"] is None:
        return [row["difference"], where, wanted, "-", "not run"]
    verdict = f"**missed** by {row['short']:.3f}" if row["short"] else "reached"
    return [row["difference"], where, wanted, markdown.values(row["measured"], "+.3f"), verdict]
