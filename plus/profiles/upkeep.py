"""Upkeep of a store below its rows, for each engine: cleaning after a forget, the search of its bytes, its health."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from plus.profiles.database import Database
from plus.profiles.engine import Engine
from plus.profiles.search import Wanted


class Upkeep(Protocol):
    """Upkeep beneath the rows of a store. unreadable: name that a doctor gives to versions that cannot be read."""

    unreadable: str

    def clean(self, keys: Sequence[int]) -> str:
        """Make what was deleted unreadable; returns "", or why that is still to be done.

        keys: numbers of what is gone, users and notes of forgets. It is gone from every reader by then; `plus doctor`
        does the rest later.
        """
        ...

    def kept(self, kind: str) -> str:
        """Say what is kept of a forgotten user, conversation or sentence where plus cannot clean; "" for nothing."""
        ...

    def hits(self, wanted: Wanted) -> dict[Path, set[str]]:
        """Search the store's own bytes, where they can be seen."""
        ...

    def programs(self) -> list[str]:
        """Name the other programs that have the store open: "name (process N)"."""
        ...

    def sizes(self) -> dict[str, int]:
        """Measure the store in bytes."""
        ...

    def check(self) -> tuple[list[str], list[str]]:
        """Return (faults, notes) of the file or the server."""
        ...

    def versions(self) -> Iterator[Sequence[Any]]:
        """Yield the rows of `all_versions`; a text that cannot be read is bytes that are no UTF-8."""
        ...


def upkeep(engine: Engine) -> Upkeep:
    """Return the upkeep of an engine."""
    if isinstance(engine, Database):
        from plus.profiles.sqlite_upkeep import SqliteUpkeep

        return SqliteUpkeep(engine)
    from plus.profiles.postgres import Postgres
    from plus.profiles.postgres_upkeep import PostgresUpkeep

    assert isinstance(engine, Postgres)
    return PostgresUpkeep(engine)


def is_store(engine: Engine, path: Path) -> bool:
    """Tell whether a path is the file of an open store."""
    return isinstance(engine, Database) and path.samefile(engine.path)
