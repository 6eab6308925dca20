"""A TRL reward function as a `Scorer`: r(chosen) - r(rejected) becomes a probability by a sigmoid."""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from plus.errors import EvidenceError
from plus.prompts import scorer_messages
from plus.types import Preference


class RewardFunction:
    """Calls f(prompts, completions, ...) as TRL does, with conversations.

    A function that names a `summary` parameter gets the text there and the bare conversation as
    prompt (`Run.as_reward_function` is one); any other finds it in the prompt, where our reward
    models read it.
    """

    def __init__(self, function: Callable[..., Sequence[float | None]]) -> None:
        self.function = function
        self.takes_summary = "summary" in inspect.signature(function).parameters

    @classmethod
    def named(cls, name: str) -> RewardFunction:
        """Import `package.module:function`, also from the working directory. Raises EvidenceError."""
        module, _, attribute = name.partition(":")
        if not attribute:
            raise EvidenceError(f"--reward_function is {name!r}; write module:function, as my_rewards:polite")
        sys.path.insert(0, str(Path.cwd()))
        try:
            return cls(getattr(importlib.import_module(module), attribute))
        except (ImportError, AttributeError) as error:
            raise EvidenceError(
                f"--reward_function {name} cannot be found ({error}); run where {module}.py is"
            ) from error
        finally:
            sys.path.remove(str(Path.cwd()))

    def log_likelihood(self, texts: Sequence[str], pairs: Sequence[Preference]) -> list[float]:
        """Compute log sigmoid(r(chosen) - r(rejected)). Raises EvidenceError where a reward is None or no number."""
        rewards = self._rewards(
            [*texts, *texts], [*((p, p.chosen) for p in pairs), *((p, p.rejected) for p in pairs)]
        )  # (2N,)
        chosen, rejected = rewards[: len(pairs)], rewards[len(pairs) :]
        return [_log_sigmoid(a - b) for a, b in zip(chosen, rejected, strict=True)]

    def _rewards(self, texts: Sequence[str], answers: Sequence[tuple[Preference, str]]) -> list[float]:
        # One conversation an answer; its last message is the answer itself.
        conversations = [
            scorer_messages("" if self.takes_summary else text, pair.conversation, answer)
            for text, (pair, answer) in zip(texts, answers, strict=True)
        ]
        columns = {"summary": list(texts)} if self.takes_summary else {}
        prompts, completions = [m[:-1] for m in conversations], [m[-1:] for m in conversations]
        found = self.function(prompts=prompts, completions=completions, **columns)
        if len(found) != len(completions):
            raise EvidenceError(
                f"the reward function returned {len(found)} rewards for {len(completions)} completions; "
                "one for each is needed"
            )
        for value in found:
            if value is None or not math.isfinite(value):
                raise EvidenceError(
                    f"the reward function returned {value} for a completion; every one needs a finite number"
                )
        return [float(value) for value in found if value is not None]


def _log_sigmoid(margin: float) -> float:
    return min(margin, 0.0) - math.log1p(math.exp(-abs(margin)))
