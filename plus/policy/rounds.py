"""The loop of RLHF: sample answers, collect choices between them, update the reward, update the policy; again.

    OUT/round-1/to_judge.jsonl   pairs of answers of the policy as it was    {user_id, summary, prompt, a, b}
    OUT/round-1/choices.jsonl    which one the users took                    {user_id, summary, prompt, chosen, rejected}
    OUT/round-1/policy           the policy that came of it; the next round starts there

Everything of a round stays. A finished round is not run again, and a round whose choices are not there
yet waits for them: people can choose between the answers of to_judge.jsonl with whatever they like, or
talk with the policy (`plus chat`), and the same command goes on. Each round's KL is measured to the policy that the round began with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plus.errors import RunError
from plus.jsonl import read_whole_lines, write_jsonl
from plus.policy.model import Asked, Policy
from plus.policy.trainer import merged
from plus.types import Turn


@dataclass(frozen=True)
class Pair:
    """Two different answers of the policy to one prompt."""

    asked: Asked
    a: str
    b: str


@dataclass(frozen=True)
class Choice:
    """Which of two answers a user took."""

    asked: Asked
    chosen: str
    rejected: str


# The choices of a round, (pairs to choose from, the round's folder), as a population makes them; none: people must still choose.
Collect = Callable[[Sequence[Pair], Path], Sequence[Choice]]
# Learns a reward from all choices so far and trains the policy on it, in place: (round, policy, choices, folder).
Learn = Callable[[int, Policy, Sequence[Choice], Path], None]


def iterate(
    folder: Path, rounds: int, start: Callable[[], Policy], asked: Sequence[Asked], learn: Learn,
    collect: Collect | None = None, seed: int = 0,
) -> Policy:  # fmt: skip
    """Run the rounds that `folder` does not hold yet; `asked` is dealt out to the rounds in equal shares.

    Raises RunError where a round waits for choices.
    """
    policy, choices = start(), list[Choice]()
    for number in range(1, rounds + 1):
        place = folder / f"round-{number}"
        mine = asked[number - 1 :: rounds]
        if not (place / "choices.jsonl").exists():
            pairs = _to_judge(place, policy, mine, seed + number)
            made = collect(pairs, place) if collect else ()
            if not made:
                raise RunError(
                    f"{len(pairs)} pairs of answers wait in {place / 'to_judge.jsonl'}; write the users' choices to {place / 'choices.jsonl'} (user_id, summary, prompt, chosen, rejected) or choose in plus chat (--store), and run the same command again"
                )
            write_jsonl(place / "choices.jsonl", [{**_columns(c.asked), "chosen": c.chosen, "rejected": c.rejected} for c in made])  # fmt: skip
        choices += read_choices(place / "choices.jsonl")
        if (place / "policy" / "config.json").exists():
            policy = Policy.from_pretrained(place / "policy", policy.max_completion_length)
            continue
        learn(number, policy, choices, place)
        policy.model = merged(policy.model)
        partial = place / ".policy.partial"
        policy.save_pretrained(partial)
        partial.rename(place / "policy")
    return policy


def _to_judge(place: Path, policy: Policy, asked: Sequence[Asked], seed: int) -> list[Pair]:
    """The pairs of a round; those that people may be choosing from already stay as they are."""
    path = place / "to_judge.jsonl"
    if not path.exists():
        place.mkdir(parents=True, exist_ok=True)
        pairs = differing(policy, asked, seed)
        write_jsonl(path, [{**_columns(p.asked), "a": p.a, "b": p.b} for p in pairs])
    return [Pair(_asked(row), row["a"], row["b"]) for row in read_whole_lines(path)]


def differing(policy: Policy, asked: Sequence[Asked], seed: int) -> list[Pair]:
    """Two answers to each prompt; a prompt that is answered alike twice leaves nothing to choose."""
    texts = policy.answer(asked, 2, seed=seed)
    pairs = [Pair(one, texts[2 * n], texts[2 * n + 1]) for n, one in enumerate(asked)]
    return [pair for pair in pairs if pair.a != pair.b]


def read_choices(path: Path) -> list[Choice]:
    """The choices of a round. Raises RunError where a row is none."""
    found = []
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    rows = read_whole_lines(path)
    if len(rows) < len(lines):
        raise RunError(f"{path} line {len(rows) + 1} is not JSON; mend it")
    for number, row in enumerate(rows, start=1):
        # A policy may answer with nothing at all, and somebody may well reject that.
        missing = [key for key in ("prompt", "chosen", "rejected") if row.get(key) is None]
        if missing:
            raise RunError(f"{path} line {number} has no {missing[0]!r}; write user_id, summary, prompt, chosen, rejected")  # fmt: skip
        found.append(Choice(_asked(row), row["chosen"], row["rejected"]))
    if not found:
        raise RunError(f"{path} holds no choice; write one a line")
    return found


def _asked(row: Mapping[str, Any]) -> Asked:
    prompt = row["prompt"]
    turns = prompt if isinstance(prompt, str) else tuple(Turn(t["role"], t["content"]) for t in prompt)
    return Asked(turns, row.get("summary", ""), row.get("user_id", ""))


def _columns(asked: Asked) -> dict[str, object]:
    prompt = asked.prompt if isinstance(asked.prompt, str) else json.loads(json.dumps(Asked(asked.prompt).messages()))
    return {"user_id": asked.user_id, "summary": asked.summary, "prompt": prompt}
