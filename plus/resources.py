"""Where the files that come with plus are: in `data/` of a clone, in `plus/_data` of a wheel."""

from __future__ import annotations

from pathlib import Path


def shipped(name: str) -> Path:
    """The folder or file `name` that comes with plus, such as "tiny_base"."""
    package = Path(__file__).parent
    inside = package / "_data" / name
    return inside if inside.exists() else package.parent / "data" / name
