"""Column names of one's own, read under ours: `--map prompt=question,user_id=who`.

A mapped column is read as if it had our name; what stood under that name is not read. One column may serve
several of our names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from plus.errors import SettingError

ColumnMap = str | Mapping[str, str] | None  # "ours=theirs,ours=theirs", or the same as a mapping
NAMES = (
    "user_id", "prompt", "chosen", "rejected", "completion", "label", "messages",
    "timestamp", "session_id", "id", "source", "split",
)  # fmt: skip
EXAMPLE = "user_id=who,prompt=question,completion=answer,label=vote"
_SHOWN, _REMEMBERED = 20, 1_000  # columns of a table that an error lists, and that it looks among


def parse(value: ColumnMap) -> dict[str, str]:
    """Parse "prompt=question,user_id=who" into ours -> theirs; a mapping is checked alike, and None is empty.

    Raises SettingError for a part without "=", a name that is not ours and a name that stands twice.
    """
    found: dict[str, str] = {}
    for ours, theirs in _pairs(value):
        if ours not in NAMES:
            near = get_close_matches(ours, NAMES, 1)
            turned = f"; ours comes first: {theirs}={ours}" if theirs in NAMES else ""
            hint = turned or (f"; did you mean {near[0]}?" if near else "")
            raise SettingError(f"--map names {ours!r}, which is no column of ours ({', '.join(NAMES)}){hint}")
        if ours in found:
            raise SettingError(f"--map names {ours} twice, as {found[ours]!r} and {theirs!r}; give one")
        found[ours] = theirs
    return found


class Renaming:
    """Renaming of the columns of rows, and what to say where no row has one of them.

    columns: what `parse` takes. user_id_column: the user's column where `columns` does not say. Raises SettingError
    where both name it, and as `parse` does.
    """

    def __init__(self, columns: ColumnMap = None, user_id_column: str = "user_id") -> None:
        self.columns = parse(columns)
        if "user_id" in self.columns and user_id_column not in ("user_id", self.columns["user_id"]):
            raise SettingError(
                f"--map says user_id={self.columns['user_id']} and --user_id_column says {user_id_column}; give one"
            )
        named = "user_id" in self.columns
        self.user_id = "user_id" if named else user_id_column
        # What has another name now; the user's column keeps its own where another option names it.
        self._gone = {*self.columns, *self.columns.values()} - (set() if named else {user_id_column})
        self.unseen = set(self.columns.values())  # columns that no row has had so far
        self._there: dict[str, None] = {}

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return one row under our names, and remember which columns it has."""
        if not self.columns:
            return dict(row)
        if self.unseen:
            self.unseen -= row.keys()
            if len(self._there) < _REMEMBERED:
                self._there.update(dict.fromkeys(map(str, row)))
        kept = {name: value for name, value in row.items() if name not in self._gone}
        return kept | {ours: row[theirs] for ours, theirs in self.columns.items() if theirs in row}

    def refuse_unseen(self, source: object) -> None:
        """Raise SettingError where rows were read and a column named is in none of them."""
        if not self.unseen or not self._there:
            return
        theirs = next(name for name in self.columns.values() if name in self.unseen)
        ours = next(name for name, column in self.columns.items() if column == theirs)
        near = get_close_matches(theirs, self._there, 1)
        raise SettingError(
            f"--map says {ours}={theirs}, and no row of {source} has a column {theirs!r}; its columns are "
            f"{_listed(self._there)}" + (f"; did you mean {near[0]}?" if near else "")
        )


def _pairs(value: ColumnMap) -> Iterator[tuple[str, str]]:
    """Yield (ours, theirs), both without the space around them."""
    if isinstance(value, Mapping):
        parts = [f"{ours}={theirs}" for ours, theirs in value.items()]
    else:
        parts = [] if value is None else str(value).split(",")
    for part in parts:
        ours, equals, theirs = (piece.strip() for piece in part.partition("="))
        if not equals or not ours or not theirs:
            raise SettingError(f"--map holds {part.strip()!r}; each part is OURS=THEIRS, as {EXAMPLE}")
        yield ours, theirs


def _listed(names: Collection[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(list(names)[:_SHOWN]) + more
