"""Targets beside measurements: the demo's promises (demo.toml), the benchmark's goals on real people (targets.toml)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from plus.evaluate import markdown
from plus.resources import thresholds


def promised() -> dict[str, tuple[float, float]]:
    """Dotted name of a value of the demo -> (lowest, highest) accepted."""
    return {name: (low, high) for name, (low, high) in thresholds("benchmark/demo").items()}


def missed(result: Mapping[str, Any]) -> list[str]:
    """One line for each promise that `result` (nested by the dots of the names) does not keep."""
    lines = []
    for name, (low, high) in promised().items():
        value: Any = result
        for part in name.split("."):
            value = value[part]
        if not low <= value <= high:  # NaN is a miss.
            lines.append(f"{name} is {value:.3f}, promised {low:g} to {high:g}")
    return lines


def judged(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each goal of the report's data set: `measured` is [mean, low, high, users, choices] or None where it
    was not run, `short` by how much the goal is missed (0 where it is reached)."""
    goals = thresholds("benchmark/targets")["goal"]
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
