"""Every named statement is one that its engine takes, and a value of a sealed column is never compared in the clear."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import asdict

import pytest

from plus.profiles import statements
from plus.profiles.statements import POSTGRES, SQLITE
from plus.profiles.store import Store

PARTS = ("among", "since", "in_order", "lock", "listed", "listed_between", "listed_by_id")  # put behind others


def whole(named: statements.Statements) -> dict[str, str]:
    """name -> statement, parts with what they belong to."""
    found = {name: sql for name, sql in asdict(named).items() if isinstance(sql, str) and name not in PARTS}
    found |= {f"texts {n}": sql for n, sql in enumerate(named.texts)}
    found["profiles among since"] = named.profiles + named.among + named.since + named.in_order
    found["listed between"] = named.listed + named.listed_between
    found["listed by id"] = named.listed + named.listed_by_id if named.listed_by_id else ""
    found["find and lock"] = named.find_user + named.lock
    return {name: sql for name, sql in found.items() if sql}


@pytest.mark.on_disk
def test_sqlite_takes_every_statement(path):
    with Store(path) as store:
        for name, sql in whole(SQLITE).items():
            numbered = [int(number) for number in re.findall(r"\?(\d+)", sql)]
            values = [None] * (max(numbered) if numbered else sql.count("?"))
            try:
                store.file.connection.execute(f"EXPLAIN {sql}", values)
            except sqlite3.Error as error:
                pytest.fail(f"{name}: {error}")


def test_postgres_takes_every_statement_and_knows_its_sealed_columns(schemas):
    import psycopg

    from plus.profiles.sealing import HASHED, SEALED, plan

    with Store(schemas("statements")) as store, psycopg.connect(store.file.address) as connection:
        for name, sql in whole(POSTGRES).items():
            wanted = plan(sql)
            sealed = [column for _, column in wanted.values if column in SEALED]
            assert not sealed or wanted.key >= 0, f"{name}: no user's number stands beside {sealed}"
            ordered = re.findall(r"(\w+) (?:<|>|<=|>=|LIKE|IN) \(?\?", sql)
            assert not set(ordered) & (SEALED | HASHED.keys()), f"{name}: sealed bytes have no order"
            parts = wanted.sql.replace("%%", "%").split("%s")
            numbered = "".join(f"{part}${number}" for number, part in enumerate(parts[:-1], start=1)) + parts[-1]
            try:
                connection.execute(f"PREPARE one AS {numbered}")
                connection.execute("DEALLOCATE one")
            except psycopg.Error as error:
                pytest.fail(f"{name}: {error}")


def test_a_planted_statement_without_the_users_number_is_seen():
    plan = pytest.importorskip("plus.profiles.sealing").plan

    assert plan("SELECT 1 FROM events WHERE event_id = ?").key == -1
    assert plan("SELECT 1 FROM events WHERE user = ? AND sha256(event_id) = sha256(?)").values == (
        (0, "user"),
        (1, "event_id"),
    )
    found = plan("INSERT INTO events(user, event_id, stem) VALUES (?1, ?2, ?2)")
    assert (found.values, found.key) == (((0, "user"), (1, "event_id"), (1, "stem")), 0)
    assert found.sql == 'INSERT INTO events("user", event_id, stem) VALUES (%s, %s, %s)'
    assert (
        plan("SELECT 1 WHERE kind LIKE '%\"user\"%' AND n = ?").sql
        == "SELECT 1 WHERE kind LIKE '%%\"user\"%%' AND n = %s"
    )
