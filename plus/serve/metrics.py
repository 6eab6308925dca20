"""Counts of a proxy in Prometheus' text form, summed over worker processes; no user stands in them."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping

OUTCOMES = ("personalized", "unknown", "unnamed", "too_long", "gated", "resent", "tokens_saved")
_NAMES = ("requests", "errors_of_callers", "errors_of_upstream", "first_byte_microseconds", *OUTCOMES)
_SIZE = 8 * len(_NAMES)


class Metrics:
    """Counts of one worker in memory that all workers share: one row each, written by its owner alone."""

    def __init__(self, workers: int = 1) -> None:
        self._shared, self._row, self._workers = mmap.mmap(-1, _SIZE * workers), 0, workers
        self._own = dict.fromkeys(_NAMES, 0)

    def row(self, number: int) -> Metrics:
        """Take the row of a worker, in its process."""
        self._row = number
        return self

    def count(self, status: int, seconds: float, outcomes: Mapping[str, int]) -> None:
        """Count a request, and take over the counts by outcome (Personalizer.counts)."""
        own = self._own
        own["requests"] += 1
        own["errors_of_callers"] += 400 <= status < 500
        own["errors_of_upstream"] += status >= 500
        own["first_byte_microseconds"] += int(1e6 * seconds)
        for name in OUTCOMES:
            own[name] = outcomes.get(name, 0)
        struct.pack_into(f"={len(_NAMES)}q", self._shared, self._row * _SIZE, *own.values())

    def text(self) -> str:
        """Format the sums over all workers."""
        rows = [struct.unpack_from(f"={len(_NAMES)}q", self._shared, n * _SIZE) for n in range(self._workers)]
        total = dict(zip(_NAMES, map(sum, zip(*rows, strict=True)), strict=True))
        lines = [
            "# TYPE plus_proxy_requests_total counter", f"plus_proxy_requests_total {total['requests']}",
            "# TYPE plus_proxy_errors_total counter",
            f'plus_proxy_errors_total{{side="caller"}} {total["errors_of_callers"]}',
            f'plus_proxy_errors_total{{side="upstream"}} {total["errors_of_upstream"]}',
            "# TYPE plus_proxy_first_byte_seconds_total counter",
            f"plus_proxy_first_byte_seconds_total {total['first_byte_microseconds'] / 1e6:.6f}",
            "# TYPE plus_proxy_outcomes_total counter",
        ]  # fmt: skip
        lines += [f'plus_proxy_outcomes_total{{outcome="{name}"}} {total[name]}' for name in OUTCOMES]
        return "\n".join(lines) + "\n"
