"""Data sets by name, file or Hub id: `--dataset_name pets`, `my.jsonl`, `owner/name`.

`--data_dir` is the folder with the files of a named data set. `load` gives a population, `head` and
`split` the rows of `plus data head` and `plus data split`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, cast

from plus.errors import SettingError, SourceError
from plus.sources import arena, generic, llmfao, plus_rows, polis, prism, spi, synthesizeme, ukpconvarg1, ultrafeedback
from plus.sources.columns import ColumnMap, Renaming
from plus.sources.rows import as_row
from plus.sources.splits import Plan, SplitBy, UserSplit, in_sample
from plus.sources.tables import FORMATS
from plus.types import Dropped, Population
from plus.worlds import pets, pets_ood, styles

FROM_FOLDER: dict[str, Callable[..., Population]] = {
    "llmfao": llmfao.load,
    "plus_rows": plus_rows.load,
    "polis": polis.load,
    "spi": spi.load,
    "ukpconvarg1": ukpconvarg1.load,
}
HASHED = ("llmfao", "polis", "spi")  # named sets whose users keep their split when the data grow
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
# Options of rows of one's own, with their defaults: how they are read, split and cut.
OPTIONS: dict[str, Any] = {
    "user_id_column": "user_id", "map": None, "allow_dropped": False, "split_by": None, "past_events": None,
}  # fmt: skip


@dataclass(frozen=True)
class Written:
    """Folder of rows that `split` wrote: rows by file, and the rows left out."""

    output_dir: Path
    rows: Mapping[str, int]
    dropped: Dropped

    def to_json(self) -> dict[str, Any]:
        """Return the mapping that `plus data split --json` prints."""
        return {"output_dir": str(self.output_dir), "rows": dict(self.rows), "dropped": dict(self.dropped)}


def load(
    name: str,
    data_dir: str | Path | None = None,
    seed: int = 0,
    user_split: UserSplit = "hash",
    user_share: float = 1.0,
    **options: Any,
) -> Population:
    """Load the population of a data set. Raises SourceError for an unknown name or missing files.

    `options` are those of `OPTIONS` and belong to rows of one's own: SettingError for a named set. user_split: how
    new users are split (`Plan`). user_share: of the users, as a sample by a keyed hash.
    """
    known = sorted([*SYNTHETIC, *FROM_FOLDER, *FROM_HUB])
    if name in known and (asked := [key for key, value in options.items() if value != OPTIONS[key]]):
        raise SettingError(f"--{asked[0]} is for rows of your own; {name} has its own rule, so leave it out")
    # A name first, then a file, a folder or a Hub id.
    if name in SYNTHETIC:
        return sample(SYNTHETIC[name](seed=seed), user_share)
    if name in FROM_HUB:
        return sample(FROM_HUB[name](data_dir, seed=seed), user_share)
    if name in FROM_FOLDER:
        if data_dir is None:
            raise SourceError(f"--dataset_name {name} reads files; give their folder with --data_dir")
        own = {"user_split": user_split} if name in HASHED else {}
        return sample(FROM_FOLDER[name](data_dir, seed=seed, **own), user_share)
    if is_source(name):
        return _own_rows(name, seed, {**OPTIONS, **options}, user_split, user_share)
    # Neither: name the closest data set.
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise SourceError(
        f"there is no data set {name!r}; --dataset_name takes {', '.join(known)}, a file, a folder or a Hub id{hint}"
    )


def sample(population: Population, share: float) -> Population:
    """Keep a share of the users, each with all that belongs to them: the same sample each time."""
    if share >= 1:
        return population
    kept = {user for user in population.histories if in_sample(user, share)}
    return replace(
        population,
        rows=tuple(row for row in population.rows if row.history.user_id in kept),
        histories={user: history for user, history in population.histories.items() if user in kept},
        personas={user: words for user, words in population.personas.items() if user in kept},
        events={user: events for user, events in population.events.items() if user in kept},
    )


def from_settings(settings: Mapping[str, Any]) -> Population:
    """Load the population that a run's settings name, the same each time they are read."""
    options = {key: settings[key] for key in OPTIONS if key in settings}
    # The config.json of a run says how users were split; that of an older plus does not, and split them by rank.
    user_split = settings.get("user_split", "rank" if "output_dir" in settings else "hash")
    share = settings.get("user_share", 1.0)
    return load(settings["dataset_name"], settings["data_dir"], settings.get("seed", 42), user_split, share, **options)


def count_users(settings: Mapping[str, Any]) -> int:
    """Count the users of a file or a folder of one's own, without loading it; 0 for a named set or a Hub id."""
    name = settings["dataset_name"]
    if name in (*SYNTHETIC, *FROM_FOLDER, *FROM_HUB) or not Path(name).exists():
        return 0
    return len(generic.users_of(name, Renaming(settings.get("map"), settings["user_id_column"])))


def is_source(name: str) -> bool:
    """Tell a file, a folder or a Hub id from the name of a data set."""
    return "/" in name or name.endswith(FORMATS) or Path(name).exists()


def plan_of(split_by: str | None, past_events: Any, seed: int, user_split: UserSplit = "hash") -> Plan | None:
    """Make the plan that flags ask for; None when they ask for nothing. Raises SettingError."""
    if split_by is None and past_events is None:
        return None
    return Plan(_known(split_by), bounds(past_events), seed=seed, user_split=user_split)


def bounds(value: Any) -> int | tuple[int, int] | None:
    """Parse 8, "8" and "2-8" into a value of `Plan.past_events`. Raises SettingError."""
    if value is None:
        return None
    parts = str(value).split("-")
    if len(parts) > 2 or not all(part.strip().isdigit() for part in parts):
        raise SettingError(f"--past_events is {value!r}; give a number from 1, or a range such as 2-8")
    return int(parts[0]) if len(parts) == 1 else (int(parts[0]), int(parts[1]))


def head(
    source: str,
    count: int = 5,
    data_dir: str | Path | None = None,
    user_id_column: str = "user_id",
    columns: ColumnMap = None,
) -> Iterator[dict[str, Any]]:
    """Yield the first usable rows of a data set in the one row format.

    columns: for rows of one's own, which of their columns are which of ours. Raises SourceError when there is no
    usable row, SettingError where no row has a column that is named.
    """
    renaming = Renaming(columns, user_id_column)
    rows = _rows(source, data_dir, renaming)
    first = list(islice(rows, count))
    # A column that the first rows lack may stand in a later one.
    while renaming.unseen and next(rows, None) is not None:
        pass
    yield from first


def split(
    source: str,
    output_dir: Path,
    data_dir: str | Path | None = None,
    split_by: str | None = None,
    validation: float = 0.1,
    test: float = 0.3,
    seed: int = 42,
    user_id_column: str = "user_id",
    allow_dropped: bool = False,
    columns: ColumnMap = None,
) -> Written:
    """Write train, validation, test and events .jsonl of a data set into a new folder, in the one row format.

    Splits that the rows state are kept unless `split_by`, `validation` or `test` ask for others; a named
    set has its own. columns: which columns of the rows are which of ours. Raises SourceError when the folder is not
    empty or too few rows are usable, SettingError where no row has a column that is named.
    """
    if not is_source(source):
        population = load(source, data_dir, seed, map=columns)
        return Written(output_dir, generic.write(generic.population_rows(population), output_dir), population.dropped)
    # Shares other than the defaults ask for a split of their own.
    asked = (validation, test) != (0.1, 0.3) or split_by is not None
    plan = Plan(_known(split_by), validation=validation, test=test, seed=seed)
    dropped = Dropped()
    rows = generic.split_rows(source, dropped, plan, user_id_column, allow_dropped, not asked, columns)
    return Written(output_dir, generic.write(rows, output_dir), dropped)


def _rows(source: str, data_dir: str | Path | None, renaming: Renaming) -> Iterator[dict[str, Any]]:
    """Usable rows in the one format, as they come; rows left out on the way are counted for the error alone."""
    if not is_source(source):
        yield from generic.population_rows(load(source, data_dir, map=renaming.columns or None))
        return
    dropped, kept = Dropped(), 0
    for row in generic.read(source, dropped, renaming=renaming):
        kept += 1
        yield as_row(row.user_id, row.event, row.split, row.session_id)
    if not kept:
        raise SourceError(
            f"{source} has no usable row ({'; '.join(dropped.lines()) or 'it is empty'}); see plus data check"
        )


def _own_rows(name: str, seed: int, options: Mapping[str, Any], user_split: UserSplit, user_share: float) -> Population:
    plan = plan_of(options["split_by"], options["past_events"], seed, user_split)
    column, allowed = options["user_id_column"], options["allow_dropped"]
    return generic.load(name, seed, column, allowed, plan, user_split, user_share, options["map"])


def _known(split_by: str | None) -> SplitBy:
    return cast(SplitBy, split_by or "users")  # Plan refuses any other.
