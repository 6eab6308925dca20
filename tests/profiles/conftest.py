"""A store on each engine: every test that asks for `path` or `place` runs on SQLite and on PostgreSQL.

PLUS_TEST_POSTGRES names a database where tests may make schemas, each test one of its own, dropped afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

Place = Callable[[str], "str | Path"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        on_disk = metafunc.definition.get_closest_marker("on_disk") is not None
        metafunc.parametrize("engine", ["sqlite"] if on_disk else ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def engine(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def database() -> str:
    """Address of a PostgreSQL for tests."""
    address = os.environ.get("PLUS_TEST_POSTGRES")
    if not address:
        pytest.skip("set PLUS_TEST_POSTGRES=postgresql://USER@HOST/DATABASE to run this on PostgreSQL")
    psycopg = pytest.importorskip("psycopg")
    try:
        psycopg.connect(address, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL answers at PLUS_TEST_POSTGRES: {error}")
    return address


@pytest.fixture
def schemas(request, tmp_path, monkeypatch) -> Iterator[Place]:
    """Makes the address of an empty store on PostgreSQL, whose keys lie in a folder of the test."""
    database = request.getfixturevalue("database")
    import psycopg

    monkeypatch.setenv("PLUS_KEYS", str(tmp_path / "keys"))
    mark, names = uuid4().hex[:12], set[str]()

    def place(name: str) -> str:
        names.add(f"test_{mark}_{name}")
        return f"{database}?options=-csearch_path%3Dtest_{mark}_{name}"

    yield place
    with psycopg.connect(database, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@pytest.fixture
def place(engine, request, tmp_path) -> Place:
    """Makes the path or the address of an empty store, by a name."""
    if engine == "postgres":
        return request.getfixturevalue("schemas")
    return lambda name: tmp_path / f"{name}.db"


@pytest.fixture
def path(place) -> str | Path:
    """Where a test's own store is."""
    return place("profiles")
