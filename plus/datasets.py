"""Data sets by name, file or Hub id: `--dataset_name pets`, `my.jsonl`, `owner/name`; `--data_dir` is
where the files of a named data set lie on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from plus.errors import SettingError, SourceError
from plus.sources import arena, generic, llmfao, plus_rows, polis, prism, synthesizeme, ukpconvarg1, ultrafeedback
from plus.sources.files import FORMATS
from plus.sources.splits import Plan
from plus.types import Population
from plus.worlds import pets, pets_ood, styles

FROM_FOLDER: dict[str, Callable[..., Population]] = {
    "llmfao": llmfao.load,
    "plus_rows": plus_rows.load,
    "polis": polis.load,
    "ukpconvarg1": ukpconvarg1.load,
}
# These are read from the Hub unless --data_dir names a local copy.
FROM_HUB: dict[str, Callable[..., Population]] = {
    "arena": arena.load,
    "personalrewardbench_arena": synthesizeme.load_arena,
    "personalrewardbench_prism": synthesizeme.load_prism,
    "prism": prism.load,
    "uf_p_2": ultrafeedback.load_p2,
    "uf_p_4": ultrafeedback.load_p4,
}
SYNTHETIC: dict[str, Callable[..., Population]] = {
    "pets": pets.load,
    "pets_ood": pets_ood.load,
    "pets_ood_k2": pets_ood.load_k2,
    "styles": styles.load,
    "styles_unlabelled": styles.load_unlabelled,
}
# What rows of one's own take beside a name: how they are read, split and cut.
OPTIONS: dict[str, Any] = {"user_id_column": "user_id", "allow_dropped": False, "split_by": None, "past_events": None}


def load(name: str, data_dir: str | Path | None = None, seed: int = 0, **options: Any) -> Population:
    """The population of a data set. Raises SourceError for an unknown name or missing files.

    `options` are those of `OPTIONS` and belong to rows of one's own; a named set has its own rules.
    """
    known = sorted([*SYNTHETIC, *FROM_FOLDER, *FROM_HUB])
    if name in known and (asked := [key for key, value in options.items() if value != OPTIONS[key]]):
        raise SettingError(f"--{asked[0]} is for rows of your own; {name} has its own rule, so leave it out")
    if name in SYNTHETIC:
        return SYNTHETIC[name](seed=seed)
    if name in FROM_HUB:
        return FROM_HUB[name](data_dir, seed=seed)
    if name in FROM_FOLDER:
        if data_dir is None:
            raise SourceError(f"--dataset_name {name} reads files; give their folder with --data_dir")
        return FROM_FOLDER[name](data_dir, seed=seed)
    if is_source(name):
        return _own_rows(name, seed, {**OPTIONS, **options})
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise SourceError(
        f"there is no data set {name!r}; --dataset_name takes {', '.join(known)}, a file, a folder or a Hub id{hint}"
    )


def from_settings(settings: Mapping[str, Any]) -> Population:
    """The population that a run's settings name, the same each time they are read."""
    options = {key: settings[key] for key in OPTIONS if key in settings}
    return load(settings["dataset_name"], settings["data_dir"], settings.get("seed", 42), **options)


def is_source(name: str) -> bool:
    """Whether `name` is a file, a folder or a Hub id rather than the name of a data set."""
    return "/" in name or name.endswith(FORMATS) or Path(name).exists()


def plan_of(split_by: str | None, past_events: Any, seed: int) -> Plan | None:
    """The plan that flags ask for; None when they ask for nothing. Raises SettingError."""
    if split_by is None and past_events is None:
        return None
    return Plan(split_by or "users", bounds(past_events), seed=seed)  # type: ignore[arg-type]


def bounds(value: Any) -> int | tuple[int, int] | None:
    """8, "8" and "2-8" as what `Plan.past_events` takes. Raises SettingError."""
    if value is None:
        return None
    parts = str(value).split("-")
    if len(parts) > 2 or not all(part.strip().isdigit() for part in parts):
        raise SettingError(f"--past_events is {value!r}; give a number from 1, or a range such as 2-8")
    return int(parts[0]) if len(parts) == 1 else (int(parts[0]), int(parts[1]))


def _own_rows(name: str, seed: int, options: Mapping[str, Any]) -> Population:
    plan = plan_of(options["split_by"], options["past_events"], seed)
    return generic.load(name, seed, options["user_id_column"], options["allow_dropped"], plan)
