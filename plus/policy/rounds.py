"""Rounds of RLHF: sample answers, collect choices between them, update the reward model, update the policy; again.

    OUT/round-1/to_judge.jsonl  pairs of answers of the policy as it was   {user_id, summary, prompt, a, b}
    OUT/round-1/choices.jsonl   the users' choices                         {user_id, summary, prompt, chosen, rejected}
    OUT/round-1/policy          the policy after the round; the next round starts there

Everything of a round is kept. A finished round is not run again, and a round without choices waits for them: people
choose between the answers of to_judge.jsonl with any tool, or talk with the policy (`plus chat`), and the same
command continues. Each round's KL is measured to the policy that the round began with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from plus.errors import RewardError, RunError
from plus.jsonl import read_json, read_whole_lines, write_json, write_jsonl
from plus.models.reward_model import RewardModel
from plus.policy import rewards_file
from plus.policy.card import training_json
from plus.policy.model import Policy, UserPrompt, merge_adapters
from plus.policy.monitor import EvaluationSet
from plus.policy.run import PolicyRequest, Say, grpo, split_prompts
from plus.profiles.store import Store
from plus.train.coadapt import CoAdaptation
from plus.train.loop import shuffled
from plus.train.reward_only import train_reward_model
from plus.types import Context, Preference, Turn, UserHistory

LABEL_BATCH, LABEL_EPOCHS, LABEL_RATE = 32, 3, 1e-5  # of the reward model's training on a round's choices
CHAT = "plus chat"  # source of the events that `plus chat` writes


@dataclass(frozen=True)
class Pair:
    """Two different answers of the policy to one prompt."""

    prompt: UserPrompt
    a: str
    b: str


@dataclass(frozen=True)
class Choice:
    """Choice of a user between two answers to a prompt."""

    prompt: UserPrompt
    chosen: str
    rejected: str


# Makes the choices of a round from (pairs, the round's folder); none while people still have to choose.
Collect = Callable[[Sequence[Pair], Path], Sequence[Choice]]
# Trains a reward on all choices so far and the policy on it, in place: (round, policy, choices, folder).
Learn = Callable[[int, Policy, Sequence[Choice], Path], None]


@dataclass(frozen=True)
class RoundsReport:
    """Report of `--rounds`: what report.json of each round holds, and the folder of the last policy."""

    rounds: tuple[Mapping[str, Any], ...]
    policy: Path

    def to_json(self) -> dict[str, Any]:
        """Give what report.json and `plus policy --rounds --json` hold."""
        stopped = [alarm for one in self.rounds for alarm in one["stopped"]]
        return {"rounds": list(self.rounds), "stopped": stopped, "policy": str(self.policy)}


def run_rounds(
    request: PolicyRequest, rounds: int, say: Say = lambda line: None, store: str | Path | None = None
) -> RoundsReport:
    """Run rounds on the choices of people; the first goal with a `reward_model` in the file learns them.

    The monitor evaluates on prompts that no round trains on. An alarm ends the updates of its round, not the rounds,
    since new choices correct a gamed reward model. With `store`, the choices are those made in `plus chat`. Raises
    RewardError where no goal has a reward model, RunError where a round waits for choices.
    """
    file = rewards_file.read(request.goals)
    prompts, evaluation = split_prompts(request.load_prompts(say), request.config(Path()).seed)
    entries = request.goals_entries()["goals"]
    name = next((name for name, entry in entries.items() if "reward_model" in entry), None)
    if name is None:
        raise RewardError(
            "--rounds updates a reward model, and no goal has one; write one goal as {reward_model: FOLDER}"
        )

    def learn(number: int, policy: Policy, choices: Sequence[Choice], folder: Path) -> None:
        # The reward model first, then the policy on goals with the new one.
        reward_model = learn_reward(entries[name]["reward_model"], choices, number)
        reward_model.save_pretrained(folder / "reward_model")
        goals = file.goals.with_reward(name, rewards_file.with_summary(reward_model))
        goals.measure(prompts, policy.answer(prompts, seed=number))
        evaluation_set = EvaluationSet(evaluation, goals, file.held_out, file.twins)
        evaluation_set.measure_reference(policy)
        config = request.config(folder)
        say(f"round {number}: {len(choices):,} choices, {config.max_steps} updates")
        training = grpo(folder, policy, prompts, evaluation_set, config, request.stop)
        for alarm in training.stopped:
            say(f"round {number} stopped after update {training.updates}: {alarm.sentence}")
        write_json(folder / "report.json", {"choices": len(choices), **training_json(training)})

    # The rounds, and one report of all of them.
    collect = choices_in_chat(store) if store else None
    iterate(request.output_dir, rounds, request.load_policy, prompts, learn, collect)
    places = [request.output_dir / f"round-{number}" for number in range(1, rounds + 1)]
    report = RoundsReport(tuple(read_json(place / "report.json") for place in places), places[-1] / "policy")
    write_json(request.output_dir / "report.json", report.to_json())
    return report


def iterate(
    folder: Path,
    rounds: int,
    start: Callable[[], Policy],
    prompts: Sequence[UserPrompt],
    learn: Learn,
    collect: Collect | None = None,
    seed: int = 0,
) -> Policy:
    """Run the rounds that `folder` does not hold yet; each round has an equal share of the prompts.

    Raises RunError where a round waits for choices.
    """
    policy, choices = start(), list[Choice]()
    for number in range(1, rounds + 1):
        place = folder / f"round-{number}"
        # 1. Choices between two answers to each prompt; those of earlier rounds are learned again.
        if not (place / "choices.jsonl").exists():
            _collect_choices(place, policy, prompts[number - 1 :: rounds], collect, seed + number)
        choices += read_choices(place / "choices.jsonl")
        # 2. The policy of the round, unless it is there.
        if (place / "policy" / "config.json").exists():
            policy = Policy.from_pretrained(place / "policy", policy.max_completion_length)
            continue
        learn(number, policy, choices, place)
        policy.model = merge_adapters(policy.model)
        partial = place / ".policy.partial"
        policy.save_pretrained(partial)
        partial.rename(place / "policy")
    return policy


def _collect_choices(
    place: Path, policy: Policy, prompts: Sequence[UserPrompt], collect: Collect | None, seed: int
) -> None:
    """Write the round's choices.jsonl. Raises RunError where there are none yet."""
    pairs = _pairs_to_judge(place, policy, prompts, seed)
    made = collect(pairs, place) if collect else ()
    if not made:
        raise RunError(
            f"{len(pairs)} pairs of answers wait in {place / 'to_judge.jsonl'}; write the users' choices to "
            f"{place / 'choices.jsonl'} (user_id, summary, prompt, chosen, rejected) or choose in plus chat (--store), "
            "and run the same command again"
        )
    rows = [{**_columns(one.prompt), "chosen": one.chosen, "rejected": one.rejected} for one in made]
    write_jsonl(place / "choices.jsonl", rows)


def _pairs_to_judge(place: Path, policy: Policy, prompts: Sequence[UserPrompt], seed: int) -> list[Pair]:
    """Make the round's pairs, or read those that are there: people may be choosing between them already."""
    path = place / "to_judge.jsonl"
    if not path.exists():
        place.mkdir(parents=True, exist_ok=True)
        pairs = differing_pairs(policy, prompts, seed)
        write_jsonl(path, [{**_columns(pair.prompt), "a": pair.a, "b": pair.b} for pair in pairs])
    return [Pair(_user_prompt(row), row["a"], row["b"]) for row in read_whole_lines(path)]


def differing_pairs(policy: Policy, prompts: Sequence[UserPrompt], seed: int) -> list[Pair]:
    """Sample two answers to each prompt, and leave out prompts with equal answers."""
    texts = policy.answer(prompts, 2, seed=seed)
    pairs = [Pair(one, texts[2 * n], texts[2 * n + 1]) for n, one in enumerate(prompts)]
    return [pair for pair in pairs if pair.a != pair.b]


def read_choices(path: Path) -> list[Choice]:
    """Read the choices of a round. Raises RunError that names the first line that is none."""
    found = []
    # `read_whole_lines` stops at a broken line, which a file written by people must not have.
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    rows = read_whole_lines(path)
    if len(rows) < len(lines):
        raise RunError(f"{path} line {len(rows) + 1} is not JSON; mend it")
    for number, row in enumerate(rows, start=1):
        # An empty answer is an answer, which a user may reject.
        missing = [key for key in ("prompt", "chosen", "rejected") if row.get(key) is None]
        if missing:
            raise RunError(
                f"{path} line {number} has no {missing[0]!r}; write user_id, summary, prompt, chosen, rejected"
            )
        found.append(Choice(_user_prompt(row), row["chosen"], row["rejected"]))
    if not found:
        raise RunError(f"{path} holds no choice; write one a line")
    return found


def choices_in_chat(path: str | Path) -> Collect:
    """Collect the choices that `plus chat` kept in the store at `path` after a round's answers were sampled.

    Each has its user's summary of today. Raises ProfileError where there is no such store.
    """

    def collect(pairs: Sequence[Pair], folder: Path) -> list[Choice]:
        began = (folder / "to_judge.jsonl").stat().st_mtime
        with Store(path, create=False) as store:
            return [choice for user in store.users() for choice in _choices_of(store, user, began)]

    return collect


def _choices_of(store: Store, user: str, began: float) -> list[Choice]:
    # Choices of this round: made in the chat since its answers were sampled.
    events = [event for event in store.events(user) if event.source == CHAT and (event.time or 0) >= began]
    pairs = [event.content for event in events if isinstance(event.content, Preference)]
    summary = store.summary(user) if pairs else None
    text = summary.text if summary else ""
    return [Choice(UserPrompt(pair.conversation, text, user), pair.chosen, pair.rejected) for pair in pairs]


def learn_reward(start: str, choices: Sequence[Choice], seed: int) -> RewardModel:
    """Train the reward model by Bradley-Terry steps on the choices, each with its user's summary."""
    # Only trained parameters: a reward model may have adapters.
    torch.manual_seed(seed)
    model = RewardModel.from_pretrained(start)
    optimizer = torch.optim.AdamW([p for p in model.model.parameters() if p.requires_grad], lr=LABEL_RATE)
    texts = {f"{choice.prompt.user_id}/{n}": choice.prompt.summary for n, choice in enumerate(choices)}
    contexts = [Context(UserHistory(key), (_preference(choice),)) for key, choice in zip(texts, choices, strict=True)]
    steps = max(1, LABEL_EPOCHS * len(choices) // LABEL_BATCH)
    train_reward_model(CoAdaptation(model, optimizer, seed=seed), texts, shuffled(contexts, LABEL_BATCH, seed), steps)
    return model


def _preference(choice: Choice) -> Preference:
    prompt = choice.prompt.prompt
    if isinstance(prompt, str):
        return Preference(prompt, choice.chosen, choice.rejected)
    return Preference(prompt[-1].content, choice.chosen, choice.rejected, prompt[:-1])


def _user_prompt(row: Mapping[str, Any]) -> UserPrompt:
    prompt = row["prompt"]
    turns = prompt if isinstance(prompt, str) else tuple(Turn(turn["role"], turn["content"]) for turn in prompt)
    return UserPrompt(turns, row.get("summary", ""), row.get("user_id", ""))


def _columns(one: UserPrompt) -> dict[str, Any]:
    prompt = one.prompt if isinstance(one.prompt, str) else UserPrompt(one.prompt).messages()
    return {"user_id": one.user_id, "summary": one.summary, "prompt": prompt}
