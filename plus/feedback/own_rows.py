"""The rows of `plus` itself, in every shape of TRL: {prompt, chosen, rejected} or {prompt, completion, label}, with `user_id`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plus.feedback.conversation import Place
from plus.sources.rows import read_row
from plus.types import Entry

COLUMNS = ("chosen", "rejected")


def is_mine(row: Mapping[str, Any]) -> bool:
    """Whether a row is a preference or a reaction."""
    return ("chosen" in row and "rejected" in row) or ("completion" in row and "label" in row)


def read(row: Mapping[str, Any], place: Place) -> Iterator[Entry]:
    """The event of one row. Raises UnusableError."""
    found = read_row({**row, "user_id": place.whose(row.get("user_id"))})
    yield Entry(found.user_id, found.event, found.session_id)
