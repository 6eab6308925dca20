"""Growth without a clock: how many calls a function makes, which no busy machine changes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def calls(function: Callable[..., Any], *arguments: Any) -> int:
    """Count the calls, of Python and of C functions, that `function(*arguments)` makes."""
    count, before = 0, sys.getprofile()

    def on_event(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(on_event)
    try:
        function(*arguments)
    finally:
        sys.setprofile(before)
    return count


# Code for a child process: its own peak memory in kB. `ru_maxrss` would count the parent's too, which a child
# inherits at `exec`, and a test's worker that has loaded torch is a large parent.
PEAK_KB = "next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))"
