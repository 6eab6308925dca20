"""Rows of a profile store changed as no door of it does, for tests of what then happens."""

from __future__ import annotations

from plus.profiles.store import Store


def change(store: Store, sql: str, *values: object) -> None:
    """Run a statement on either engine; a value of a sealed column needs `user = ?` beside it."""
    with store.transaction():
        store.do(sql, values)
