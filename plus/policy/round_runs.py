"""`plus policy --rounds`: choices between the policy's answers, a reward model that learns them, updates, alarms; again.

The choices come from a file that somebody writes, or from `plus chat`: what was chosen there since a round's answers
were sampled is the round's, if people talked with the policy that the round begins with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from plus.errors import RewardError
from plus.jsonl import write_json
from plus.models.reward_model import RewardModel
from plus.policy import rewards_file
from plus.policy.model import Asked, Policy
from plus.policy.monitor import Panel
from plus.policy.options import Request
from plus.policy.rounds import Choice, Collect, Pair
from plus.policy.rounds import iterate as run_rounds
from plus.policy.run import grpo, split
from plus.profiles.store import Store
from plus.train.coadapt import CoAdaptation
from plus.train.loop import shuffled
from plus.train.reward_only import train_reward_model
from plus.types import Context, Preference, UserHistory

LABEL_BATCH, LABEL_EPOCHS, LABEL_RATE = 32, 3, 1e-5  # how a round's choices are learned
CHAT = "plus chat"  # the source of an event that `plus chat` wrote


def iterate(request: Request, rounds: int, say: Callable[[str], None], store: Path | None = None) -> dict[str, Any]:
    """Rounds of choosing and training. The goal that reads `reward_model` first in the file is learned on; the
    alarms look at prompts that no round asks or trains on, and an alarm ends its round's updates, not the rounds:
    fresh choices are what a gamed reward lacks.

    Raises RewardError where no goal can be learned on, RunError where a round waits for choices.
    """
    file, (asked, looked) = rewards_file.read(request.goals), split(request.asked(say), request.config(Path()).seed)
    entries = request.settings()["goals"]["goals"]
    name = next((name for name, entry in entries.items() if "reward_model" in entry), None)
    if name is None:
        raise RewardError("--rounds updates a reward model, and no goal has one; write one goal as {reward_model: FOLDER}")  # fmt: skip

    def learn(number: int, policy: Policy, choices: Sequence[Choice], folder: Path) -> None:
        reward_model = learn_reward(entries[name]["reward_model"], choices, number)
        reward_model.save_pretrained(folder / "reward_model")
        goals = file.goals.replaced(name, rewards_file.with_summary(reward_model))
        goals.measure(asked, policy.answer(asked, seed=number))
        panel = Panel(looked, goals, file.held_out, file.twins)
        panel.meet(policy)
        config = request.config(folder)
        say(f"round {number}: {len(choices):,} choices, {config.max_steps} updates")
        report = grpo(folder, policy, asked, panel, config, request.stop)
        for alarm in report["stopped"]:
            say(f"round {number} stopped after update {report['updates']}: {alarm['sentence']}")
        write_json(folder / "report.json", {"choices": len(choices), **report})

    run_rounds(request.output_dir, rounds, request.policy, asked, learn, from_chat(store) if store else None)
    places = [request.output_dir / f"round-{number}" for number in range(1, rounds + 1)]
    each = [json.loads((place / "report.json").read_text(encoding="utf-8")) for place in places]
    report = {"rounds": each, "stopped": [alarm for one in each for alarm in one["stopped"]], "policy": str(places[-1] / "policy")}  # fmt: skip
    write_json(request.output_dir / "report.json", report)
    return report


def from_chat(path: Path) -> Collect:
    """The choices that `plus chat` kept in the store at `path` after a round's answers were sampled, each with its
    user's summary of today. Raises ProfileError where there is no such store."""

    def collect(pairs: Sequence[Pair], folder: Path) -> list[Choice]:
        began = (folder / "to_judge.jsonl").stat().st_mtime
        with Store(path, create=False) as store:
            return [choice for user in store.users() for choice in _chosen(store, user, began)]

    return collect


def _chosen(store: Store, user: str, began: float) -> list[Choice]:
    events = [e for e in store.events(user) if e.source == CHAT and (e.time or 0) >= began]
    pairs = [event.content for event in events if isinstance(event.content, Preference)]
    summary = store.summary(user) if pairs else None
    text = summary.text if summary else ""
    return [Choice(Asked(pair.conversation, text, user), pair.chosen, pair.rejected) for pair in pairs]


def learn_reward(start: str, choices: Sequence[Choice], seed: int) -> RewardModel:
    """The reward model after Bradley-Terry steps on the choices, each with its user's summary."""
    torch.manual_seed(seed)
    model = RewardModel.from_pretrained(start)
    optimizer = torch.optim.AdamW([p for p in model.model.parameters() if p.requires_grad], lr=LABEL_RATE)
    texts = {f"{choice.asked.user_id}/{n}": choice.asked.summary for n, choice in enumerate(choices)}
    contexts = [Context(UserHistory(key), (_preference(choice),)) for key, choice in zip(texts, choices, strict=True)]
    steps = max(1, LABEL_EPOCHS * len(choices) // LABEL_BATCH)
    train_reward_model(CoAdaptation(model, optimizer, seed=seed), texts, shuffled(contexts, LABEL_BATCH, seed), steps)
    return model


def _preference(choice: Choice) -> Preference:
    prompt = choice.asked.prompt
    if isinstance(prompt, str):
        return Preference(prompt, choice.chosen, choice.rejected)
    return Preference(prompt[-1].content, choice.chosen, choice.rejected, prompt[:-1])
