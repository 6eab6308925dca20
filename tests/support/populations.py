"""Populations made of examples, one row a target."""

from __future__ import annotations

from collections.abc import Iterable

from plus.types import Context, Example


def rows(examples: Iterable[Example]) -> tuple[Context, ...]:
    return tuple(Context(example.history, (example.target,), example.split) for example in examples)
