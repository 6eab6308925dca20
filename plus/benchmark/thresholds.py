"""The demo's promises, read from thresholds.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def thresholds() -> dict[str, tuple[float, float]]:
    """Dotted name -> (lowest, highest) accepted value."""
    read = tomllib.loads(Path(__file__).with_name("thresholds.toml").read_text(encoding="utf-8"))
    return {name: (low, high) for name, (low, high) in read.items()}


def missed(result: Mapping[str, Any]) -> list[str]:
    """One line for each promise that `result` (nested by the dots of the names) does not keep."""
    lines = []
    for name, (low, high) in thresholds().items():
        value: Any = result
        for part in name.split("."):
            value = value[part]
        if not low <= value <= high:  # NaN is a miss.
            lines.append(f"{name} is {value:.3f}, promised {low:g} to {high:g}")
    return lines
