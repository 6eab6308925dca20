"""Rows of `plus`: TRL's {prompt, chosen, rejected} or {prompt, completion, label}, each with a `user_id`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.log_row import ParseState
from plus.sources.rows import read_row
from plus.types import Entry

COLUMNS = ("chosen", "rejected")


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell whether a row is a preference or a reaction."""
    return ("chosen" in row and "rejected" in row) or ("completion" in row and "label" in row)


def read(row: Mapping[str, Any], state: ParseState) -> Iterator[Entry]:
    """Read the event of one row. Raises UnusableError."""
    found = read_row({**row, "user_id": state.user(row.get("user_id"))})
    yield Entry(found.user_id, found.event, found.session_id)
