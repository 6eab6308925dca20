"""Best of n: the choices of one answer in the order of the user's reward model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plus.errors import PlusError, SettingError
from plus.serve.gate import text_of
from plus.types import Prompt, Turn

# (summary, prompt, answer) rows to rewards, such as plus.load(run).reward_model.rewards.
Rewards = Callable[[Sequence[tuple[str, Prompt, str]]], Sequence[float]]
PLUS = "plus"


def refuse(rank: str, path: tuple[str, ...], request: Mapping[str, Any], user_id: Any, rewards: Rewards | None) -> None:
    """Refuse a request whose answers cannot be ranked, before it is sent. Raises SettingError."""
    if rank != PLUS:
        raise SettingError(f"there is no rank={rank!r}; the reward model's order is rank={PLUS!r}")
    if rewards is None:
        raise SettingError("rank='plus' needs a reward model; give rewards=plus.load(RUN).reward_model.rewards")
    if user_id is None:
        raise SettingError("rank='plus' ranks for a user; give user_id")
    if path[-3:] not in (("chat", "completions", "create"), ("chat", "completions", "parse")) or path[0].startswith(
        "with_"
    ):
        raise SettingError(f"rank='plus' orders the choices of chat.completions.create, not of {'.'.join(path)}")
    if request.get("stream"):
        raise SettingError("rank='plus' reads whole answers and a stream has none; leave out stream or rank")


def order(made: Any, rewards: Rewards, summary: str, request: Mapping[str, Any]) -> bool:
    """Sort the choices of a ChatCompletion by reward, best first, and set each one's `plus_reward`.

    `index` stays the server's. Returns False, and keeps the server's order, for choices that the reward model cannot read.
    """
    prompt = conversation(request.get("messages") or [])
    try:
        found = rewards([(summary, prompt, choice.message.content or "") for choice in made.choices])
    except PlusError:
        return False  # The answers are paid for; a window that is too small shall not lose them.
    for choice, reward in zip(made.choices, found, strict=True):
        choice.plus_reward = float(reward)
    # Calls of tools have no text to read: they come last.
    made.choices.sort(key=lambda choice: (choice.message.content is None, -choice.plus_reward))
    return True


def conversation(messages: Sequence[Any]) -> Prompt:
    """Select the turns of user and assistant, which reward models read; a single one is returned as its text."""
    turns = tuple(
        Turn(message["role"], text_of(message.get("content")))
        for message in messages
        if isinstance(message, Mapping) and message.get("role") in ("user", "assistant")
    )
    return turns[0].content if len(turns) == 1 else turns
