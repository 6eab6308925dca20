"""Errors of a database server as one line each: what was found, what is kept, the remedy. No password is in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from plus.errors import DiskError

_REST = "what was being written is not in it, what was written before is"
_UNKNOWN = "whether what was being written is in it is not known, what was written before is; look before trying again"


@contextmanager
def explained(place: str, stage: Sequence[str] = ("work",)) -> Iterator[None]:
    """Turn a server's errors into a ProfileError that names the remedy.

    stage: "commit" while it is not known whether a transaction is done.
    """
    try:
        yield
    except psycopg.Error as error:
        said = " ".join(str(error).split())
        rest = _UNKNOWN if stage[0] == "commit" else f"{_REST}; try again"
        line = _remedy(error, error.sqlstate or "", f"{place} ({said})", rest)
        if line is None:
            raise
        raise DiskError(line, said) from error


def _remedy(error: psycopg.Error, state: str, place: str, rest: str) -> str | None:
    """One line for the error with SQLSTATE `state` at `place`; None for one that is a fault of ours."""
    if state.startswith("28"):
        return f"the database server refuses this user: {place}; look at the user and at PGPASSWORD or ~/.pgpass"
    if state == "3D000":
        return f"there is no such database: {place}; create it with createdb, or give another --store"
    if state.startswith("53"):
        return f"the database server has no room: {place}; {rest}"
    if state in ("40P01", "40001", "55P03", "57014"):
        return f"another program was writing the same: {place}; {rest}"
    if state in ("25006", "42501"):
        return f"this store cannot be written: {place}; give this user the right to, or another --store"
    if state.startswith("22"):
        return f"the database server does not take a value: {place}; {_REST}; mend it at its source"
    if state.startswith("XX"):
        return f"this store is damaged: {place}; put a backup back"
    if state.startswith(("08", "57P")) or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return f"the database server does not answer: {place}; {rest} when it does"
    return None
