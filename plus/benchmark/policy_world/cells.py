"""Policies of the tiny world, one cell each: trained once, kept as the answers that it gave.

A cell is a folder `cells/NAME--SEED` whose cell.json, written last, holds its settings, its answers to
the test users and what was seen while it trained. Everything that is reported is computed from those
answers. A run that is started again computes the missing cells only; a cell that was stopped in the
middle goes on at its last checkpoint.
"""

from __future__ import annotations

import math
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plus.benchmark.cells import CellStore
from plus.benchmark.policy_world.world import World, fit_reader, helpful, safe
from plus.measures import mean
from plus.policy.model import Policy
from plus.policy.monitor import Panel, Watch
from plus.policy.offline import best_of_n, dpo, ranked, rejection_sampling
from plus.policy.rewards import Goal, Goals, scored
from plus.policy.rewards_file import with_summary
from plus.policy.rounds import Choice, Pair, iterate
from plus.policy.trainer import PolicyConfig, local, optimise
from plus.types import Preference
from plus.worlds import replies
from plus.worlds.replies import User

REFERENCE_SEED, TEST_SEED = 2, 1  # of the answers that scale the goals, and of those to the test users
N = 8  # answers to a prompt in the three offline methods


@dataclass(frozen=True)
class Cell:
    """How one policy is made. `rounds` above 0 learns its reward from choices between its own answers."""

    method: str = "grpo"
    reward: str = "personal"
    love: float = 0.0
    log: str = "sound"
    alarms: bool = False
    rounds: int = 0
    max_steps: int = 50
    learning_rate: float = 3e-3
    every: int = 5


def name_of(cell: Cell) -> str:
    """A name as people and file systems read it."""
    love = f"-love-{cell.love:g}-{cell.log}" if cell.love else ""
    rounds = f"-rounds-{cell.rounds}" if cell.rounds else ""
    return f"{cell.method}-{cell.reward}{love}{rounds}{'-alarms' if cell.alarms else ''}"


def run(folder: Path, world: World, cell: Cell, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Return the stored cell, or make it. Raises SettingError where it was made with other settings."""
    name = name_of(cell)

    def make(place: Path) -> dict[str, Any]:
        began = time.process_time()
        made = _made(place, world, cell)
        seconds = round(time.process_time() - began, 1)
        for leftover in place.glob("checkpoint-*"):
            shutil.rmtree(leftover)
        found = {"settings": asdict(cell), "seed": world.seed, "seconds": seconds, **made}
        return found | {"scores": scores(world, made["answers"])}

    facts, _, stored = CellStore(folder).facts(f"{name}--{world.seed}", asdict(cell), make)
    if not stored:
        say(f"{name}, seed {world.seed}: {facts['seconds']:.0f} CPU seconds")
    return facts


def _made(place: Path, world: World, cell: Cell) -> dict[str, Any]:
    if cell.rounds:
        return {"answers": _rounds(place, world, cell).answer(world.test_prompts(), seed=TEST_SEED)}
    policy = world.policy()
    if cell.method == "reference":
        return {"answers": policy.answer(world.test_prompts(), seed=TEST_SEED)}
    goals = world.goals(cell.reward, cell.love, cell.log)
    goals.measure(world.prompts, policy.answer(world.prompts, seed=REFERENCE_SEED))
    if cell.method == "grpo":
        watch = train(place, world, policy, goals, cell)
        seen = {"looks": watch.looks, "stopped": [asdict(a) for a in watch.stopped], "returned": watch.returned}
        return {"answers": policy.answer(world.test_prompts(), seed=TEST_SEED), **seen}
    if cell.method == "best_of_n":
        return {"answers": best_of_n(policy, world.test_prompts(), goals, N, TEST_SEED)}
    sample = ranked(policy, world.prompts, goals, N, world.seed)
    learn = rejection_sampling if cell.method == "rejection_sampling" else dpo
    learn(policy, sample, config(place, world, cell))
    return {"answers": policy.answer(world.test_prompts(), seed=TEST_SEED)}


def scores(world: World, answers: Sequence[str]) -> dict[str, float]:
    """What the rewards say of the answers: `personal` and `held_out` as means, P[Love] as mean probabilities."""
    asked = world.test_prompts()
    found = {name: mean(scored(name, getattr(world, name), asked, answers)) for name in ("personal", "held_out")}
    for log in ("sound", "confounded"):
        found[f"love_{log}"] = mean(1 / (1 + math.exp(-odds)) for odds in world.love(log)(answers))
    return found


def train(place: Path, world: World, policy: Policy, goals: Goals, cell: Cell) -> Watch:
    """GRPO with somebody looking; returns who looked."""
    panel = Panel(world.panel, goals, world.held_out, (world.personal, world.twin))
    panel.meet(policy)
    watching: list[Watch] = []

    def watch(trainer):
        watching.append(Watch(trainer, policy, panel, place, cell.every, stop=cell.alarms))
        return watching[0]

    optimise(policy, world.prompts, goals, config(place, world, cell), [watch], resume=True)
    return watching[0]


def config(place: Path, world: World, cell: Cell, steps: int | None = None) -> PolicyConfig:
    """The options of a cell's run."""
    return PolicyConfig(**local({
        "output_dir": str(place), "max_steps": steps or cell.max_steps, "learning_rate": cell.learning_rate,
        "save_steps": 20, "save_total_limit": 1, "lr_scheduler_type": "constant", "seed": world.seed,
    }))  # fmt: skip


def _rounds(place: Path, world: World, cell: Cell) -> Policy:
    """As many labels whatever the number of rounds; each round learns its reward from all labels so far."""
    people = {user.user_id: user for user in world.people}

    def collect(pairs: Sequence[Pair], folder: Path) -> list[Choice]:
        return [_chosen(world.seed, people[pair.asked.user_id], pair) for pair in pairs]

    def learn(number: int, policy: Policy, choices: Sequence[Choice], folder: Path) -> None:
        rows = [(people[c.asked.user_id], Preference(str(c.asked.prompt), c.chosen, c.rejected)) for c in choices]
        model = fit_reader(world.base, rows, True, 1000 * world.seed + number)
        goals = Goals([Goal("personal", with_summary(model)), Goal("helpful", helpful, 1.0), Goal("safe", safe, floor=0.5)])  # fmt: skip
        goals.measure(world.prompts, policy.answer(world.prompts, seed=REFERENCE_SEED))
        steps = cell.max_steps // cell.rounds
        optimise(policy, world.prompts, goals, config(folder, world, cell, steps), resume=True)
        for leftover in folder.glob("checkpoint-*"):
            shutil.rmtree(leftover)

    return iterate(place, cell.rounds, world.policy, world.prompts, learn, collect, world.seed)


def _chosen(seed: int, user: User, pair: Pair) -> Choice:
    rng = random.Random(
        f"rounds-{seed}/{pair}"
    )  # Of its own: a resumed run asks the users once more, and hears the same.
    taken = replies.choose(rng, user, str(pair.asked.prompt), pair.a, pair.b)
    return Choice(pair.asked, taken.chosen, taken.rejected)
