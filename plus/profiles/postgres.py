"""Profile store in PostgreSQL: a pool of connections, transactions that nest, row locks, sealed texts.

Several programs on several machines may write at once. A transaction locks the users that it touches until it ends, so
two of them change one user one after the other; those that touch many name them first (`hold`), in one order, so that
no two wait for each other.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool

from plus.errors import ProfileError
from plus.profiles import statements
from plus.profiles.address import without_password
from plus.profiles.keys import KeyFile
from plus.profiles.postgres_errors import explained
from plus.profiles.postgres_schema import prepare
from plus.profiles.sealing import Seal, plan

WAIT = 120  # seconds that a writer waits for a lock
_ANSWER = 15.0  # seconds that a connection is waited for
_MOST = 8  # connections of a process to one store
_POOLS: dict[str, tuple[ConnectionPool, int]] = {}  # address -> (pool, stores of this process that use it)
_SHARING = threading.Lock()  # of threads that open and close stores
logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())  # What it says is in our one line.


class Postgres:
    """Store at an address such as postgresql://user@host/database; for one thread, as a connection to SQLite is."""

    sql = statements.POSTGRES

    def __init__(self, address: str, create: bool = True) -> None:
        self.address, self.place = _completed(address), without_password(address)
        with explained(self.place), psycopg.connect(self.address) as connection:
            store, writable = prepare(connection, self.place, create)
        self.keys = KeyFile(store)
        self.writable = writable and self.keys.writable
        self.ledger = Path(self.keys.path.with_suffix(".forgotten"))
        self.seal, self.store = Seal(self.keys, self.place), store
        self._pool: ConnectionPool | None = _share(self.address)
        self._connection: psycopg.Connection | None = None  # of the transaction or the snapshot
        self._held: set[str] | None = None  # users locked by the transaction; None: none is open

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back; the last store of this process at the address closes them."""
        if self._pool is not None:
            self._pool = None
            _release(self.address)
            self.keys.close()

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """Return the secrets that key the hashes of names."""
        return self.keys.secrets

    def change_counter(self) -> str:
        """Return a value that differs once another connection has written: which transactions a reader sees.

        It differs too where another database of the server was written.
        """
        found = self.row("SELECT pg_current_snapshot()::text")
        return str(found[0]) if found else ""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything done inside, or nothing; one inside another is a part that can fail alone."""
        if self._connection is not None:
            held = None if self._held is None else set(self._held)
            try:
                with explained(self.place), self._connection.transaction():
                    yield
            except BaseException:
                self._held = held  # A lock goes with the part that took it.
                raise
            return
        stage = ["work"]
        with explained(self.place, stage), self._taken() as connection, connection.transaction():
            self._held = set()
            yield
            self.keys.sync()
            stage[0] = "commit"

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let several queries see one state of the store."""
        if self._connection is not None:
            yield
            return
        with explained(self.place), self._taken() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield

    @property
    def writing(self) -> bool:
        """True inside a transaction that may change rows."""
        return self._held is not None

    def hold(self, names: Iterable[str]) -> None:
        """Lock users, those too who are not there yet, until the transaction ends."""
        if self._held is None or self._connection is None or not (wanted := set(names) - self._held):
            return
        locks = sorted(_lock(self.store, name) for name in wanted)
        self._connection.execute("SELECT count(pg_advisory_xact_lock(k)) FROM unnest(%s::bigint[]) k", (locks,))
        self._held |= wanted

    def rows(self, sql: str, values: Sequence[Any] = (), unsealed: bool = True) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query as they come; inside a transaction all are read first."""
        wanted = plan(sql)
        taken, opened = self.seal.values(wanted, values), self.seal.rows if unsealed else iter
        if self._connection is not None:
            yield from opened(self._connection.execute(wanted.sql, taken, binary=True).fetchall())
            return
        with (
            explained(self.place), self._one() as connection, connection.cursor() as cursor,
            closing(cursor.stream(wanted.sql, taken, binary=True)) as found,
        ):  # fmt: skip
            yield from opened(found)

    def row(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Return the first row of a query, or None."""
        wanted = plan(sql)
        taken = self.seal.values(wanted, values)
        if self._connection is not None:
            found = self._connection.execute(wanted.sql, taken, binary=True).fetchone()
        else:
            with explained(self.place), self._one() as connection:
                found = connection.execute(wanted.sql, taken, binary=True).fetchone()
        return None if found is None else next(self.seal.rows([found]), None)

    def stream(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query as they come, inside a transaction or a snapshot too."""
        if self._connection is None:
            yield from self.rows(sql, values)
            return
        wanted = plan(sql)
        with self._connection.cursor("rows") as cursor:
            cursor.itersize = 2000
            cursor.execute(wanted.sql, self.seal.values(wanted, values), binary=True)
            yield from self.seal.rows(cursor)

    def do(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Change rows, inside a transaction; returns how many."""
        wanted = plan(sql)
        return self._inside.execute(wanted.sql, self.seal.values(wanted, values)).rowcount

    def do_many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """Change rows once for each of `values`, inside a transaction."""
        wanted = plan(sql)
        with self._inside.cursor() as cursor:
            cursor.executemany(wanted.sql, (self.seal.values(wanted, row) for row in values))

    def take_secrets(self, secrets: Sequence[bytes]) -> None:
        """Key the hashes of names by these secrets, the first those of users who are added from now on."""
        self.keys.take_secrets(secrets)

    def add_user(self, user_id: str) -> int:
        """Add a user and the user's key; returns the user's number."""
        number = self._numbered()
        self.do(self.sql.add_user, (number, user_id))
        return number

    def make_keys(self, numbers: Iterable[int]) -> None:
        """Make the keys of users who are about to be copied here with their numbers."""
        for number in numbers:
            self.keys.add(number)

    def number_on(self) -> None:
        """Go on numbering after the rows that were copied here."""
        for table in ("users", "events", "versions", "actions", "exports", "receipts"):
            self._inside.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'number'), max(number)) FROM {table} "
                "HAVING max(number) IS NOT NULL"
            )

    def journal(self, work: str) -> int:
        """Note what a forget has still to do, sealed by a key of its own, which goes with the note."""
        number = self._numbered()
        self.do(self.sql.add_unfinished, (number, work))
        return number

    def with_hashes(self, hashes: Iterable[str]) -> dict[int, str]:
        """Return number -> hash of the users by the hashes of their ids, with keys or without."""
        return dict(self.rows(self.sql.named, (list(hashes),)))

    def _numbered(self) -> int:
        found = self._inside.execute("SELECT nextval(pg_get_serial_sequence('users', 'number'))").fetchone()
        number = int(found[0]) if found else 0
        self.keys.add(number)
        return number

    @property
    def _inside(self) -> psycopg.Connection:
        assert self._connection is not None, "rows are changed inside a transaction"
        return self._connection

    @contextmanager
    def _taken(self) -> Iterator[psycopg.Connection]:
        """A connection for all that is done inside."""
        with self._one() as connection:
            self._connection = connection
            try:
                yield connection
            finally:
                self._connection = self._held = None

    def _one(self) -> Any:
        assert self._pool is not None, "the store is closed"
        return self._pool.connection()


def _completed(address: str) -> str:
    """The address with what every connection of ours needs. Raises ProfileError for one that is none."""
    try:
        given = conninfo_to_dict(address)
    except psycopg.ProgrammingError:  # It may quote a part of the password.
        raise ProfileError(
            f"--store is no address of PostgreSQL ({without_password(address)}); write "
            "postgresql://USER@HOST:PORT/DATABASE, and the password into PGPASSWORD or ~/.pgpass"
        ) from None
    options = str(given.get("options") or "")
    if "search_path" not in options:
        options += " -csearch_path=plus"
    given["options"] = f"{options} -clock_timeout={WAIT}s".strip()
    name = f"plus (process {os.getpid()} on {socket.gethostname()})"  # a receipt lists who is connected
    return make_conninfo("", **{"connect_timeout": int(_ANSWER), **given, "application_name": name})


def _share(address: str) -> ConnectionPool:
    with _SHARING:
        pool, users = _POOLS.get(address) or (
            ConnectionPool(
                address, kwargs={"autocommit": True}, min_size=1, max_size=_MOST, timeout=_ANSWER, open=True,
                check=ConnectionPool.check_connection, name="plus",
            ),
            0,
        )  # fmt: skip
        _POOLS[address] = pool, users + 1
        return pool


def _release(address: str) -> None:
    with _SHARING:
        pool, users = _POOLS.pop(address)
        if users > 1:
            _POOLS[address] = pool, users - 1
            return
    pool.close()


def _lock(store: str, name: str) -> int:
    digest = hashlib.sha256(f"{store}\0{name}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
