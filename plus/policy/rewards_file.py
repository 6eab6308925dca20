"""Goals file of a response policy (goals.yaml): rewards with weights, and rewards that are only monitored.

    goals:
      personal: {run: runs/demo-0}                        # reads each user's summary
      polite:   {reward_model: owner/name, weight: 0.5}    # any sequence classifier with one label
      loved:    {love: runs/love, weight: 0.1}             # P[Love], a folder of plus love
      cited:    {function: "my_rewards:cited"}             # any TRL reward function
      brief:    {words: 40, weight: 0.2}                   # minus the words beyond 40
      safe:     {function: "my_rewards:safe", floor: 0.5}  # a condition: no weight outbids it
    held_out: {run: runs/demo-1}                           # never trained on; the alarms read it
    twin: {run: runs/demo-2}                               # another seed of the first goal

Only text passes between policy and rewards, so their tokenizers need not match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from plus.errors import SettingError
from plus.evaluate.reward_function import RewardFunction as NamedFunction
from plus.love.model import Love
from plus.models.reward_model import RewardModel
from plus.models.run import last_text, load
from plus.policy.rewards import Goal, Goals, RewardFunction

KINDS = ("run", "reward_model", "love", "function", "words")


@dataclass(frozen=True)
class GoalFile:
    """Goals file with every model loaded; `twins` are the first goal and its twin of another seed."""

    goals: Goals
    held_out: RewardFunction | None
    twins: tuple[RewardFunction, RewardFunction] | None


def read(path: Path, weights: Mapping[str, float] | None = None) -> GoalFile:
    """Read a goals file and load its models; `weights` overrule those in it. Raises SettingError naming the entry."""
    found = _parsed(path)
    entries = found.get("goals")
    if not isinstance(entries, dict) or not entries:
        raise SettingError(
            f"{path} has no goals; write goals: and under it a line such as personal: {{run: runs/demo-0}}"
        )
    for name in weights or {}:
        if name not in entries:
            raise SettingError(f"there is no goal {name!r} in {path}; it has {', '.join(entries)}")
    # Each goal: its reward, weight and floor.
    goals = []
    for name, entry in entries.items():
        entry = _checked(name, entry, ("weight", "floor"))
        weight = (weights or {}).get(name, entry.get("weight", 1.0))
        goals.append(Goal(name, _reward(name, entry), _number(name, "weight", weight), _floor(name, entry)))
    # Rewards that are monitored only.
    held_out = _reward("held_out", _checked("held_out", found["held_out"])) if found.get("held_out") else None
    twin = _reward("twin", _checked("twin", found["twin"])) if found.get("twin") else None
    return GoalFile(Goals(goals), held_out, (goals[0].reward, twin) if twin else None)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SettingError(f"--goals {path} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(found, dict):
        raise SettingError(f"--goals {path} holds {type(found).__name__}; see the head of plus/policy/rewards_file.py")
    # A misspelt entry would be a goal that is silently missing.
    if unknown := found.keys() - {"goals", "held_out", "twin"}:
        raise SettingError(f"{path} has an entry {min(unknown)!r}; it takes goals, held_out and twin")
    return dict(found)


def _checked(name: str, entry: Any, more: tuple[str, ...] = ()) -> dict[str, Any]:
    kinds = [kind for kind in KINDS if isinstance(entry, dict) and kind in entry]
    unknown = sorted(entry.keys() - {*KINDS, *more}) if isinstance(entry, dict) else []
    if len(kinds) != 1 or unknown:
        options = f" and {' or '.join(more)}" if more else ""
        raise SettingError(f"the entry {name!r} is {entry!r}; it takes one of {', '.join(KINDS)}{options}")
    return dict(entry)


def _reward(name: str, entry: Mapping[str, Any]) -> RewardFunction:
    if "run" in entry:
        return load(entry["run"]).as_reward_function()
    if "reward_model" in entry:
        return with_summary(RewardModel.from_pretrained(entry["reward_model"]))
    if "love" in entry:
        return Love.load(entry["love"]).as_reward_function()
    if "function" in entry:
        return NamedFunction.named(entry["function"]).function
    return words_beyond(int(_number(name, "words", entry["words"])))


def with_summary(model: RewardModel) -> RewardFunction:
    """Make a TRL reward function of a reward model that reads the summary before the conversation."""

    def reward(
        prompts: Sequence[Any], completions: Sequence[Any], summary: Sequence[str], **columns: Any
    ) -> list[float]:
        rows = zip(summary, prompts, completions, strict=True)
        return model.rewards([(text, last_text(p), last_text(c)) for text, p, c in rows])

    return reward


def words_beyond(limit: int) -> RewardFunction:
    """Make a reward function: minus the number of words beyond the limit."""

    def reward(completions: Sequence[Any], **columns: Any) -> list[float]:
        return [-float(max(0, len(last_text(completion).split()) - limit)) for completion in completions]

    return reward


def _floor(name: str, entry: Mapping[str, Any]) -> float | None:
    return None if entry.get("floor") is None else _number(name, "floor", entry["floor"])


def _number(name: str, what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingError(f"{what} of {name!r} is {value!r}; write a number")
    return float(value)
