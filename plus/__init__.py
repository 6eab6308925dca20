"""plus: learn a short text about each user from what they chose, and give it to any model.

    import plus

    p = plus.load("runs/demo")
    p.summarize(history), p.prefer(history, prompt, a, b), p.score(summary, prompt, answer)

Importing plus loads no torch; `load` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plus.types import Event, Example, Message, Preference, Reaction, Summary, UserHistory

if TYPE_CHECKING:
    from pathlib import Path

    from plus.models.run import Run

__version__ = "0.1.0"
__all__ = ["Event", "Example", "Message", "Preference", "Reaction", "Summary", "UserHistory", "load"]


def load(run: str | Path) -> Run:
    """Open a run folder, as `plus train` and `plus demo` write them, or OWNER/NAME on the Hub.

    The models are loaded on this machine's CPU. Raises ModelError when there is no finished run.
    """
    from plus.models.run import load as load_run

    return load_run(run)
