"""Upkeep of a store in PostgreSQL: the keys of those who were forgotten are destroyed; the server keeps its own pages.

A server writes over its pages, its write-ahead log and its backups when it will, not when plus asks. What they hold of
a user is sealed, and nobody can read it once the user's key is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from plus.errors import DiskError, ProfileError
from plus.profiles.postgres import Postgres
from plus.profiles.postgres_schema import VERSION
from plus.profiles.sealing import Gone
from plus.profiles.search import Wanted


class PostgresUpkeep:
    """Upkeep of one store on a server, see `upkeep.Upkeep`."""

    unreadable = "versions that their key does not open"

    def __init__(self, server: Postgres) -> None:
        self.server = server

    def clean(self, keys: Sequence[int]) -> str:
        """Destroy keys."""
        try:
            self.server.keys.destroy(keys)
        except DiskError as error:
            return f"the keys could not be destroyed ({error.cause})"
        with self.server.transaction():
            self.server.do(self.server.sql.drop_meta, ("rewrite",))
        return ""

    def kept(self, kind: str) -> str:
        """Say what the server keeps, and who can read it."""
        if kind == "user":
            return (
                "the key of this user was destroyed: the server's pages, its log and its backups hold sealed bytes "
                "that nobody can read; an older copy of the key file could, so delete those"
            )
        return (
            f"the rows of this {kind} were deleted: the server's log and backups from before hold them until they are "
            "replaced, sealed with the user's key, which the rest of the user still needs"
        )

    def hits(self, wanted: Wanted) -> dict[Path, set[str]]:
        """Return no hits: a server's files cannot be seen, and hold no text that is not sealed."""
        return {}

    def programs(self) -> list[str]:
        """Name the other programs with a connection to the database that call themselves plus."""
        query = (
            "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database() "
            "AND starts_with(application_name, 'plus (') AND application_name <> current_setting('application_name')"
        )
        return [name for (name,) in self.server.rows(query)]

    def sizes(self) -> dict[str, int]:
        """Measure the tables with their indexes."""
        query = (
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c "
            "WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace"
        )
        found = self.server.row(query)
        return {"bytes": int(found[0]) if found else 0}

    def check(self) -> tuple[list[str], list[str]]:
        """Look whether each user has a key."""
        numbers = self.server.rows("SELECT number FROM users")
        missing = sum(self.server.keys.key(number) is None for (number,) in numbers)
        faults = [f"{missing:,} users have no key in {self.server.keys.path}; put back its newest copy"]
        found = self.server.row("SELECT current_setting('server_version')")
        notes = [f"PostgreSQL {found[0] if found else ''}, schema {VERSION}, keys in {self.server.keys.path}"]
        return faults if missing else [], notes

    def versions(self) -> Iterator[Sequence[Any]]:
        """Yield every version; what cannot be unsealed is a fault, and not the end of the look."""
        for row in self.server.rows(self.server.sql.all_versions, unsealed=False):
            yield [self._opened(value) for value in row]

    def _opened(self, value: Any) -> Any:
        if not isinstance(value, bytes):
            return value
        try:
            return self.server.seal.opened(value)
        except (ProfileError, Gone):
            return b"\xff"
