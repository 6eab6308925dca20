"""Drawings of numbers, made here and sent as SVG: lines over training, means with intervals, calibration.

A drawing is its coordinates and its words; the templates write them, so that every text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 12, 28
MOST = 240  # points of a line: more would fall on each other
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Tick:
    """Mark of an axis: its place in the drawing, and its words."""

    at: float
    words: str


@dataclass(frozen=True)
class Line:
    """Line of a chart: name, class of its colour, its points as SVG writes them, and its last value."""

    name: str
    style: str
    points: str
    last: str


@dataclass(frozen=True)
class Chart:
    """Chart of lines: title, axes, and the height of a dotted line, such as chance, or None."""

    title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    dotted: float | None = None
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True)
class Range:
    """Mean with its interval: places of the three in a drawing 0..100 wide, and the words beside it."""

    name: str
    low: float
    at: float
    high: float
    words: str


def chart(
    title: str,
    series: Mapping[str, tuple[str, Points]],
    dotted: float | None = None,
    span: tuple[float, float] | None = None,
) -> Chart | None:
    """Draw lines: name -> (class, points); None without points. span: ends of the y axis, by default of the points."""
    kept = {name: (style, _finite(points)) for name, (style, points) in series.items()}
    kept = {name: (style, points) for name, (style, points) in kept.items() if points}
    if not kept:
        return None
    xs = [x for _, points in kept.values() for x, _ in points]
    ys = [y for _, points in kept.values() for _, y in points] + ([dotted] if dotted is not None and not span else [])
    left, right = min(xs), max(xs)
    low, high = span or _room(min(ys), max(ys))
    lines = tuple(
        Line(name, style, " ".join(f"{_x(x, left, right):.1f},{_y(y, low, high):.1f}" for x, y in _thin(points)),
             f"{points[-1][1]:.3g}")
        for name, (style, points) in kept.items()
    )  # fmt: skip
    x_ticks = tuple(Tick(_x(x, left, right), f"{x:g}") for x in _ticks(left, right, whole=True))
    y_ticks = tuple(Tick(_y(y, low, high), f"{y:g}") for y in _ticks(low, high))
    return Chart(title, lines, x_ticks, y_ticks, None if dotted is None else _y(dotted, low, high))


def ranges(rows: Mapping[str, Mapping[str, float | None]], low: float = 0.0, high: float = 1.0) -> list[Range]:
    """Place means with their intervals on an axis from `low` to `high`; those without a mean are left out."""
    found = []
    for name, row in rows.items():
        mean = row.get("mean")
        if mean is None:
            continue
        ends = [mean if row.get(end) is None else float(row[end] or 0) for end in ("low", "high")]
        places = [
            round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 1) for value in (ends[0], mean, ends[1])
        ]
        words = f"{mean:.3f}" + (f" [{ends[0]:.3f}, {ends[1]:.3f}]" if row.get("low") is not None else "")
        found.append(Range(name, places[0], places[1], places[2], words))
    return found


def _x(value: float, low: float, high: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * ((value - low) / (high - low) if high > low else 0.5)


def _y(value: float, low: float, high: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low) if high > low else 0.5)


def _finite(points: Points) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if isinstance(y, int | float) and math.isfinite(y)]


def _thin(points: Points) -> Points:
    """Keep at most MOST points, the last among them."""
    step = math.ceil(len(points) / MOST)
    return points if step <= 1 else [*points[:-1:step], points[-1]]


def _room(low: float, high: float) -> tuple[float, float]:
    """Leave a little room above and below; equal ends are moved apart."""
    room = 0.06 * (high - low) or abs(high) or 1.0
    return low - room, high + room


def _ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Choose about four round numbers between two ends."""
    if high <= low:
        return [low]
    rough = (high - low) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough)
    step = max(1.0, round(step)) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]
