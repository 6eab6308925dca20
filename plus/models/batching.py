"""Sequences of different lengths in batches with little padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

PASS = 256  # What one more pass through a model costs beside its tokens, in tokens.


def by_length(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Row numbers in batches of at most `budget` padded tokens (at least one row), shortest first."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (lengths[row], row)):
        if batch and lengths[row] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def tight(lengths: Sequence[int], overhead: int = PASS) -> list[list[int]]:
    """All rows, in the groups of similar length that cost least together: padded tokens, and
    `overhead` for each group. Exact, by dynamic programming over the sorted lengths."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    best, start = [0.0], [0]
    for end in range(1, len(order) + 1):
        longest = lengths[order[end - 1]]
        cost, begin = min((best[begin] + longest * (end - begin), begin) for begin in range(end))
        best.append(cost + overhead)
        start.append(begin)
    groups, end = [], len(order)
    while end:
        groups.append(order[start[end] : end])
        end = start[end]
    return groups[::-1]
