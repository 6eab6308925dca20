"""Cells of the comparison in the tiny world: the plan, and one trained policy with its answers for each cell.

A cell is a folder `cells/NAME--SEED` whose cell.json, written last, holds its settings, its answers to the test
users and the monitor's evaluations. Every reported number is computed from those answers. A run that is started
again computes the missing cells only; an interrupted cell continues at its last checkpoint. Seeds from 0 are
reported; the alarms' thresholds were fixed on seeds from 100 (policy/hacking.toml).
"""

from __future__ import annotations

import math
import random
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from plus.benchmark.cells import CellStore
from plus.benchmark.policy_world.ab_test import Shown
from plus.benchmark.policy_world.world import BASE_STEPS, World, fit_reward_model, helpful, make_base, safe
from plus.measures import mean
from plus.policy.model import Policy
from plus.policy.monitor import EvaluationSet, Monitor
from plus.policy.offline import best_of_n, dpo, ranked, rejection_sampling
from plus.policy.rewards import Goal, Goals, score_answers
from plus.policy.rewards_file import with_summary
from plus.policy.rounds import Choice, Pair, iterate
from plus.policy.trainer import PolicyConfig, PolicyTrainer, local_options, optimise
from plus.types import Preference
from plus.worlds import replies
from plus.worlds.replies import User

REFERENCE_SEED, TEST_SEED = 2, 1  # of the answers that scale the goals, and of those to the test users
SCORES = ("personal", "held_out", "love_sound")  # of cell.json, that are reported
N = 8  # answers to a prompt in the three offline methods


Found = dict[str, dict[int, dict[str, Any]]]  # cell name -> seed -> cell


@dataclass(frozen=True)
class Cell:
    """Settings of one policy. With `rounds` above 0 its reward is learned from choices between its own answers."""

    method: str = "grpo"
    reward: str = "personal"
    love: float = 0.0
    log: str = "sound"
    alarms: bool = False
    rounds: int = 0
    max_steps: int = 50
    learning_rate: float = 3e-3
    every: int = 5


@dataclass(frozen=True)
class Plan:
    """Plan of a comparison: seeds and budgets."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)  # of the first comparison
    few: tuple[int, ...] = (0, 1, 2)  # of the others
    clean_seeds: int = 20
    sweep: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0, 3.0)
    hacks: tuple[tuple[float, int], ...] = ((0.1, 100), (0.3, 100))  # P[Love]'s weight, updates: a hack may come late
    max_steps: int = 50
    test_users: int = 300
    base_steps: int = BASE_STEPS


QUICK = Plan(
    seeds=(0, 1), few=(0, 1), clean_seeds=3, sweep=(0.0, 0.3, 3.0), hacks=((0.3, 50),), max_steps=60, base_steps=600
)
REFERENCE = Cell(method="reference")
PERSONAL, ONE_FOR_ALL = Cell(), Cell(reward="one_for_all")
CLEAN = Cell(love=0.3, alarms=True)  # sound rewards, with alarms
METHOD_LOVE = 0.1  # P[Love]'s weight in the comparison of methods
OFFLINE = (
    Cell(method="best_of_n", love=METHOD_LOVE),
    Cell(method="rejection_sampling", love=METHOD_LOVE),
    Cell(method="dpo", love=METHOD_LOVE, learning_rate=3e-4),  # at 1e-3 it forgets how to speak (notebooks/LOG.md)
)


def planned_cells(plan: Plan) -> list[tuple[Cell, int]]:
    """List every cell with its seed, those of the first claims first."""
    # Runs with the planted hack keep their own number of updates.
    hacks = [
        Cell(love=weight, log="confounded", alarms=alarms, max_steps=steps)
        for weight, steps in plan.hacks
        for alarms in (False, True)
    ]
    weights = [Cell(love=weight, alarms=True) for weight in {*plan.sweep, METHOD_LOVE}]
    rounds = [Cell(rounds=1), Cell(rounds=2)]
    # Personal against one for all on every seed, the other comparisons on a few.
    listed = [(cell, seed) for cell in (REFERENCE, PERSONAL, ONE_FOR_ALL) for seed in plan.seeds]
    for group in (hacks, sorted(weights, key=lambda cell: cell.love), OFFLINE, rounds):
        listed += [(cell, seed) for cell in group for seed in plan.few]
    listed += [(CLEAN, seed) for seed in range(plan.clean_seeds)]
    listed = [(cell if cell in hacks else replace(cell, max_steps=plan.max_steps), seed) for cell, seed in listed]
    return list(dict.fromkeys(listed))


def name_of(cell: Cell) -> str:
    """Write a cell's name, as people and file systems read it."""
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
    """Train the cell's policy and take its answers to the test prompts."""
    if cell.rounds:
        return {"answers": _rounds(place, world, cell).answer(world.test_prompts(), seed=TEST_SEED)}
    policy = world.policy()
    if cell.method == "reference":
        return {"answers": policy.answer(world.test_prompts(), seed=TEST_SEED)}
    goals = world.goals(cell.reward, cell.love, cell.log)
    goals.measure(world.prompts, policy.answer(world.prompts, seed=REFERENCE_SEED))
    if cell.method == "grpo":
        monitor = train(place, world, policy, goals, cell)
        seen = {
            "looks": [one.to_json() for one in monitor.evaluations],
            "stopped": [asdict(alarm) for alarm in monitor.stopped],
            "returned": monitor.restored,
        }
        return {"answers": policy.answer(world.test_prompts(), seed=TEST_SEED), **seen}
    if cell.method == "best_of_n":
        return {"answers": best_of_n(policy, world.test_prompts(), goals, N, TEST_SEED)}
    sample = ranked(policy, world.prompts, goals, N, world.seed)
    learn = rejection_sampling if cell.method == "rejection_sampling" else dpo
    learn(policy, sample, config(place, world, cell))
    return {"answers": policy.answer(world.test_prompts(), seed=TEST_SEED)}


def scores(world: World, answers: Sequence[str]) -> dict[str, float]:
    """Score the answers: `personal` and `held_out` rewards as means, P[Love] as mean probabilities."""
    prompts = world.test_prompts()
    found = {
        name: mean(score_answers(name, getattr(world, name), prompts, answers)) for name in ("personal", "held_out")
    }
    for log in ("sound", "confounded"):
        found[f"love_{log}"] = mean(1 / (1 + math.exp(-odds)) for odds in world.love(log)(answers))
    return found


def train(place: Path, world: World, policy: Policy, goals: Goals, cell: Cell) -> Monitor:
    """Train with GRPO under a monitor, and return the monitor."""
    evaluation_set = EvaluationSet(world.evaluation_prompts, goals, world.held_out, (world.personal, world.twin))
    evaluation_set.measure_reference(policy)
    monitors: list[Monitor] = []

    def monitor(trainer: PolicyTrainer) -> Monitor:
        monitors.append(Monitor(trainer, policy, evaluation_set, place, cell.every, stop=cell.alarms))
        return monitors[0]

    optimise(policy, world.prompts, goals, config(place, world, cell), [monitor], resume=True)
    return monitors[0]


def config(place: Path, world: World, cell: Cell, steps: int | None = None) -> PolicyConfig:
    """Make the training options of a cell."""
    return PolicyConfig(**local_options({
        "output_dir": str(place), "max_steps": steps or cell.max_steps, "learning_rate": cell.learning_rate,
        "save_steps": 20, "save_total_limit": 1, "lr_scheduler_type": "constant", "seed": world.seed,
    }))  # fmt: skip


def _rounds(place: Path, world: World, cell: Cell) -> Policy:
    """Train in rounds; the labels are as many for every number of rounds, and each round learns all labels so far."""
    people = {user.user_id: user for user in world.people}

    def collect(pairs: Sequence[Pair], folder: Path) -> list[Choice]:
        return [_chosen(world.seed, people[pair.prompt.user_id], pair) for pair in pairs]

    def learn(number: int, policy: Policy, choices: Sequence[Choice], folder: Path) -> None:
        rows = [(people[c.prompt.user_id], Preference(str(c.prompt.prompt), c.chosen, c.rejected)) for c in choices]
        model = fit_reward_model(world.base, rows, True, 1000 * world.seed + number)
        goals = Goals([
            Goal("personal", with_summary(model)), Goal("helpful", helpful, 1.0), Goal("safe", safe, floor=0.5),
        ])  # fmt: skip
        goals.measure(world.prompts, policy.answer(world.prompts, seed=REFERENCE_SEED))
        steps = cell.max_steps // cell.rounds
        optimise(policy, world.prompts, goals, config(folder, world, cell, steps), resume=True)
        for leftover in folder.glob("checkpoint-*"):
            shutil.rmtree(leftover)

    return iterate(place, cell.rounds, world.policy, world.prompts, learn, collect, world.seed)


def _chosen(seed: int, user: User, pair: Pair) -> Choice:
    # Seeded by the pair, so that a resumed run gets the same choices.
    rng = random.Random(f"rounds-{seed}/{pair}")
    taken = replies.choose(rng, user, str(pair.prompt.prompt), pair.a, pair.b)
    return Choice(pair.prompt, taken.chosen, taken.rejected)


def compute(
    folder: Path, plan: Plan, say: Callable[[str], None] = lambda line: None, only: Sequence[int] | None = None
) -> tuple[Found, dict[int, World]]:
    """Make the missing cells of the plan, or of the seeds in `only`, and return all of them with their worlds."""
    # The models of a world are made when a cell first needs them.
    base = make_base(folder / "base", plan.base_steps)
    worlds: dict[int, World] = {}
    found: Found = {}
    for cell, seed in planned_cells(plan):
        if only is None or seed in only:
            world = worlds.setdefault(seed, World(folder, base, seed, plan.test_users))
            found.setdefault(name_of(cell), {})[seed] = run(folder, world, cell, say)
    return found, worlds


def shown(found: Found, worlds: Mapping[int, World], cell: Cell, seeds: Sequence[int]) -> dict[int, list[Shown]]:
    """Pair a cell's answers with their users, by seed."""
    return {seed: worlds[seed].answered(found[name_of(cell)][seed]["answers"]) for seed in seeds}


def mean_scores(found: Found, cell: Cell, seeds: Sequence[int]) -> dict[str, float]:
    """Average the rewards of a cell's answers over seeds."""
    by_seed = found[name_of(cell)]
    return {key: mean(by_seed[seed]["scores"][key] for seed in seeds) for key in SCORES}
