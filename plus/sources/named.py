"""Data sets by name: `--dataset_name pets`, with `--data_dir` where the rows lie on disk."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from plus.errors import SourceError
from plus.sources import llmfao, pets, polis
from plus.sources.population import Population

FROM_FOLDER: dict[str, Callable[..., Population]] = {"llmfao": llmfao.load, "polis": polis.load}
SYNTHETIC: dict[str, Callable[..., Population]] = {"pets": pets.load}


def load(name: str, data_dir: str | Path | None = None, seed: int = 0) -> Population:
    """The population of a named data set. Raises SourceError for an unknown name or a missing folder."""
    if name in SYNTHETIC:
        return SYNTHETIC[name](seed=seed)
    if name in FROM_FOLDER:
        if data_dir is None:
            raise SourceError(f"--dataset_name {name} reads files; give their folder with --data_dir")
        return FROM_FOLDER[name](data_dir, seed=seed)
    known = sorted([*SYNTHETIC, *FROM_FOLDER])
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise SourceError(f"there is no data set {name!r}; --dataset_name takes {', '.join(known)}{hint}")
