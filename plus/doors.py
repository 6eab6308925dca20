"""Doors into the package: rooms that can be called (`plus.train(...)`), and one line for each old module path."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# Public name -> the module and the function or class behind it. `import plus` imports none of them.
PUBLIC = {
    "Love": "plus.love.model:Love",
    "audit": "plus.audit.run:audit",
    "benchmark": "plus.benchmark.run:benchmark",
    "evaluate": "plus.audit.report:evaluate",
    "PersonalizedOpenAI": "plus.serve.client:PersonalizedOpenAI",
    "Screen": "plus.progress:Screen",
    "Store": "plus.profiles.store:Store",
    "demo": "plus.recipes:demo",
    "ingest": "plus.feedback.ingest:ingest",
    "judge": "plus.judge.run:judge",
    "load": "plus.models.run:load",
    "pairs": "plus.signals.find_pairs:find_pairs",
    "love": "plus.love.report:love",
    "personalize": "plus.serve.personalize:personalize",
    "policy": "plus.policy.options:policy",
    "signals": "plus.signals.find:find_signals",
    "summarize": "plus.recipes:summarize",
    "train": "plus.recipes:train",
    "update": "plus.recipes:update",
}
# Module path of an earlier version -> today's.
MOVED = {
    "plus.baselines.fit": "plus.train.reward_only",
    "plus.evaluate.ablation": "plus.benchmark.ablation",
    "plus.evaluate.offline": "plus.love.offline",
    "plus.evaluate.policy_table": "plus.benchmark.policy_world.table",
    "plus.feedback.rubrics": "plus.signals.rubrics",
    "plus.models.batching": "plus.models.text",
    "plus.models.decode": "plus.models.shared_prefix.decode",
    "plus.models.event_reader": "plus.models.embedding_reward_model",
    "plus.models.generation": "plus.models.completions",
    "plus.models.logprobs": "plus.models.completions",
    "plus.models.lora": "plus.models.loading",
    "plus.models.prefix": "plus.models.shared_prefix.attention",
    "plus.serve.checklist": "plus.judge.checklist",
    "plus.serve.endpoint_summarizer": "plus.serve.endpoint",
    "plus.serve.ranking": "plus.serve.client",
    "plus.serve.stand_in": "plus.serve.fake_server",
    "plus.sources.card": "plus.sources.check",
    "plus.sources.choices": "plus.sources.generic",
    "plus.sources.export": "plus.sources.generic",
    "plus.sources.leaks": "plus.sources.splits",
    "plus.sources.messages": "plus.sources.fields",
    "plus.sources.named": "plus.datasets",
    "plus.sources.population": "plus.types",
    "plus.sources.recut": "plus.sources.contexts",
    "plus.sources.tally": "plus.sources.check",
    "plus.sources.timestamps": "plus.sources.fields",
    "plus.train.alarms": "plus.policy.hacking",
    "plus.train.best": "plus.train.reward_only",
    "plus.train.goals": "plus.policy.rewards",
    "plus.train.love": "plus.love.model",
    "plus.train.objectives": "plus.benchmark.objectives",
    "plus.train.ranks": "plus.train.distributed",
    "plus.train.read_once": "plus.train.grpo",
    "plus.train.rows": "plus.train.trainer",
    "plus.train.upsampling": "plus.love.batches",
    "plus.train.parts": "plus.train.run_folder",
    "plus.train.run_log": "plus.train.run_folder",
}


class CallableRoom(ModuleType):
    """A package that is called like the function of its name: `plus.train(...)` beside `plus.train.loop`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the public function of the room's name."""
        return resolve(self.__name__.removeprefix("plus."))(*args, **kwargs)


def resolve(name: str) -> Any:
    """Import the function or class behind a public name. Raises AttributeError for an unknown one."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'plus' has no attribute {name!r}")
    module, _, attribute = PUBLIC[name].partition(":")
    return getattr(import_module(module), attribute)


def make_callable(room: str) -> None:
    """Make the package `room` callable; its `__init__` says so."""
    sys.modules[room].__class__ = CallableRoom


class MovedFinder(MetaPathFinder):
    """Import hook that names the new place of a module that moved."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find nothing. Raises ImportError with the new place for a path of `MOVED`.

        No ModuleNotFoundError: `from plus.train import love` would swallow that and say something else.
        """
        if name in MOVED:
            raise ImportError(f"{name} is now {MOVED[name]}: import it from there", name=name)
        return None
