"""Progress of a whole job, for its caller to show: lines, spinners and bars; by default nothing is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

Show = Callable[[int, int, Mapping[str, Any]], None]  # step, total, metrics


@contextmanager
def _silent_bar(name: str) -> Iterator[Show]:
    yield lambda step, total, metrics: None


@dataclass(frozen=True)
class Screen:
    """Outputs of a job while it runs: lines, spinners and progress bars. Silent by default."""

    say: Callable[[str], None] = lambda line: None
    status: Callable[[str], AbstractContextManager[Any]] = lambda what: nullcontext()
    loading: Callable[[str], AbstractContextManager[Any]] = lambda what: nullcontext()
    bar: Callable[[str], AbstractContextManager[Show]] = _silent_bar


SILENT = Screen()
