"""plus: learn a short text about each user from what they chose, and give it to any model.

    import plus

    p = plus.load("runs/demo")
    p.summarize(history), p.prefer(history, prompt, a, b), p.score(summary, prompt, answer)

Importing plus loads no torch; `load` and `train` do.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from plus.doors import PUBLIC, MovedFinder, resolve
from plus.types import Event, Example, Message, Preference, Reaction, Summary, UserHistory

if TYPE_CHECKING:  # Type checkers see the functions; at run time `__getattr__` imports them.
    from plus.audit.report import evaluate
    from plus.audit.run import audit
    from plus.benchmark.run import benchmark
    from plus.feedback.ingest import ingest
    from plus.judge.run import judge
    from plus.love.model import Love
    from plus.love.report import love
    from plus.models.run import load
    from plus.policy.options import policy
    from plus.profiles.store import Store
    from plus.progress import Screen
    from plus.recipes import demo, summarize, train, update
    from plus.serve.client import PersonalizedOpenAI
    from plus.serve.personalize import personalize
    from plus.signals.find import find_signals as signals
    from plus.signals.find_pairs import find_pairs as pairs


__version__ = "0.1.0"
__all__ = [
    "Event",
    "Example",
    "Love",
    "Message",
    "PersonalizedOpenAI",
    "Preference",
    "Reaction",
    "Screen",
    "Store",
    "Summary",
    "UserHistory",
    "audit",
    "benchmark",
    "demo",
    "evaluate",
    "ingest",
    "judge",
    "load",
    "love",
    "pairs",
    "personalize",
    "policy",
    "signals",
    "summarize",
    "train",
    "update",
]

if not any(isinstance(finder, MovedFinder) for finder in sys.meta_path):
    sys.meta_path.append(MovedFinder())  # Last: asked only for what is not there.


def __getattr__(name: str) -> Any:
    """Import a public function or class when it is first used; a room of that name is a callable module."""
    try:
        return import_module(f"plus.{name}") if _is_room(name) else resolve(name)
    except ModuleNotFoundError as error:
        if error.name == f"plus.{name}":
            raise AttributeError(f"module 'plus' has no attribute {name!r}") from None
        raise


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})


def _is_room(name: str) -> bool:
    from importlib.util import find_spec

    return not name.startswith("_") and name in PUBLIC and find_spec(f"plus.{name}") is not None
