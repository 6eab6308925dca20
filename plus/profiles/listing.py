"""Lists of users, a page at a time: by the beginning of an id, by words of the summary, by what needs a look.

A page goes on from a key and not from an offset, so the millionth costs what the first does. A search for words, or for
what few users have, looks at `SPAN` users a call and says where to go on: no index holds texts, which would outlive a
forget.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from plus.profiles.store import Store
from plus.profiles.text_filters import flags

PAGE = 25  # users
SPAN = 1000  # users looked at in one call
LOW = 0.5  # accuracy of a summary that predicts no better than a coin
_LAST = "\U0010ffff"


class Listed(NamedTuple):
    """User in a list: the number, the id, and what stands out. `text` is the summary, "" where there is none."""

    number: int
    user_id: str
    version: int
    paused: bool
    is_stale: bool
    text: str
    origin: str
    created: float
    score: Mapping[str, Any] | None
    is_edited: bool


# Name of a filter -> whether a user passes it.
FILTERS: Mapping[str, Callable[[Listed], bool]] = {
    "edited": lambda user: user.is_edited,
    "flagged": lambda user: bool(flags(user.text)),
    "stale": lambda user: user.is_stale,
    "none": lambda user: not user.version,
    "paused": lambda user: user.paused,
    "low": lambda user: user.score is not None and user.score.get("accuracy", 1) <= LOW,
}


@dataclass(frozen=True)
class Page:
    """Page of users. after: the number from which the next page goes on, 0 at the end; searched: how far it looked."""

    users: tuple[Listed, ...]
    after: int
    searched: int
    total: int


def by_id(store: Store, beginning: str, limit: int = PAGE) -> list[Listed]:
    """List users by the beginning of an id, in the order of ids.

    On a server, where ids are sealed: whoever has this id, and the first 20,000 users whose ids begin so, as they came.
    """
    if not store.sql.listed_by_id:
        exact = store.find(beginning)
        begun = [number for number, name in store.rows(store.sql.first_users) if name.startswith(beginning)]
        numbers = dict.fromkeys([*([exact.number] if exact else []), *begun])
        return [user for number in islice(numbers, limit) for user in _walk(store, number - 1, number)]
    values = (beginning, beginning + _LAST, "", limit)
    return [_listed(row) for row in store.rows(store.sql.listed + store.sql.listed_by_id, values)]


def page(store: Store, words: str = "", name: str = "", after: int = 0, limit: int = PAGE, span: int = SPAN) -> Page:
    """List users from a number on: summaries with all of the words, of users who pass a filter by its name.

    Without words and filter a page is full; with them it ends after `limit` users found or `span` looked at.
    """
    last = store.number(store.sql.last_number)
    wanted = [word.casefold() for word in words.split()]
    keep = FILTERS.get(name)
    found: list[Listed] = []
    at = after
    for user in _walk(store, after, min(after + span, last)):
        at = user.number
        text = user.text.casefold()
        if (keep is None or keep(user)) and all(word in text for word in wanted):
            found.append(user)
            if len(found) == limit:
                break
    else:
        at = min(after + span, last)
    return Page(tuple(found), at if at < last else 0, at, last)


def _walk(store: Store, after: int, upto: int) -> Iterator[Listed]:
    return map(_listed, store.rows(store.sql.listed + store.sql.listed_between, (after, upto)))


def _listed(row: tuple[Any, ...]) -> Listed:
    number, user_id, version, paused, stale, text, origin, created, score, edited = row
    return Listed(
        number, user_id, version, bool(paused), bool(stale), text or "", origin or "", created or 0.0,
        json.loads(score) if score else None, bool(edited),
    )  # fmt: skip
