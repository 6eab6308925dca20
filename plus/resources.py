"""Files that come with plus: models and samples (`data/` of a clone, `plus/_data` of a wheel), thresholds in rooms."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent


def shipped(name: str) -> Path:
    """Find the folder or file `name` that comes with plus, such as "tiny_base"."""
    inside = PACKAGE / "_data" / name
    return inside if inside.exists() else PACKAGE.parent / "data" / name


def thresholds(name: str) -> dict[str, Any]:
    """Read the TOML file of thresholds at `plus/<name>.toml`, such as "policy/hacking"."""
    return tomllib.loads((PACKAGE / f"{name}.toml").read_text(encoding="utf-8"))
