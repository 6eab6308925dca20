"""Two users with opposite pasts and opposite choices."""

from __future__ import annotations

from plus.types import Context, Event, Preference, UserHistory

LEFT = Preference("q", "build the bridge", "keep the ferry")


def user(name: str, left: bool) -> Context:
    pair = LEFT if left else LEFT.swapped()
    past = Preference("q", "raise the tax", "cut the tax") if left else Preference("q", "cut the tax", "raise the tax")
    return Context(UserHistory(name, (Event("1", "choice", past),)), (pair,))
