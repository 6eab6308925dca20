"""The comparison of policies in the tiny world: which cells there are, and what they show together.

Seeds from 0 are reported. The thresholds of the alarms were fixed on seeds from 100 (policy/hacking.toml).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plus.benchmark.policy_world.ab_test import Shown, ab_test, non_inferior, predicted_lift, shares
from plus.benchmark.policy_world.cells import Cell, name_of, run
from plus.benchmark.policy_world.world import BASE_STEPS, World, make_base
from plus.evaluate import markdown
from plus.evaluate.intervals import Interval, interval
from plus.jsonl import write_json
from plus.measures import mean
from plus.policy import pareto
from plus.worlds import replies

Found = dict[str, dict[int, dict[str, Any]]]  # cell name -> seed -> cell


@dataclass(frozen=True)
class Plan:
    """How much is run."""

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
METHOD_LOVE = 0.1  # P[Love]'s weight in the comparison of methods
OFFLINE = (
    Cell(method="best_of_n", love=METHOD_LOVE),
    Cell(method="rejection_sampling", love=METHOD_LOVE),
    Cell(method="dpo", love=METHOD_LOVE, learning_rate=3e-4),  # at 1e-3 it forgets how to speak (notebooks/LOG.md)
)


def cells(plan: Plan) -> list[tuple[Cell, int]]:
    """Every cell with its seed, the first claims first."""
    hacks = [
        Cell(love=weight, log="confounded", alarms=alarms, max_steps=steps)
        for weight, steps in plan.hacks
        for alarms in (False, True)
    ]
    dial = [Cell(love=weight, alarms=True) for weight in {*plan.sweep, METHOD_LOVE}]
    rounds = [Cell(rounds=1), Cell(rounds=2)]
    listed = [(cell, seed) for cell in (REFERENCE, PERSONAL, ONE_FOR_ALL) for seed in plan.seeds]
    for group in (hacks, sorted(dial, key=lambda cell: cell.love), OFFLINE, rounds):
        listed += [(cell, seed) for cell in group for seed in plan.few]
    listed += [(CLEAN, seed) for seed in range(plan.clean_seeds)]
    listed = [(cell if cell in hacks else replace(cell, max_steps=plan.max_steps), seed) for cell, seed in listed]
    return list(dict.fromkeys(listed))


CLEAN = Cell(love=0.3, alarms=True)  # sound rewards, and the alarms on


def compute(
    folder: Path, plan: Plan, say: Callable[[str], None] = lambda line: None, only: Sequence[int] | None = None
) -> tuple[Found, dict[int, World]]:
    """The cells of the plan, or of the seeds in `only`: those that are missing are made."""
    base = make_base(folder / "base", plan.base_steps)
    worlds: dict[int, World] = {}
    found: Found = {}
    for cell, seed in cells(plan):
        if only is None or seed in only:
            world = worlds.setdefault(seed, World(folder, base, seed, plan.test_users))
            found.setdefault(name_of(cell), {})[seed] = run(folder, world, cell, say)
    return found, worlds


def measure(folder: Path, plan: Plan, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Compute the missing cells and write report.json, report.md and the plots into `folder`."""
    found, worlds = compute(folder, plan, say)
    report = summary(found, worlds, plan)
    write_json(folder / "report.json", report)
    pareto.plot(report["sweep"]["points"], folder / "pareto.png")
    pareto.plot_over_optimisation(_curves(found, plan), folder / "over_optimisation.png")
    (folder / "report.md").write_text(page(report), encoding="utf-8")
    return report


def summary(found: Found, worlds: Mapping[int, World], plan: Plan) -> dict[str, Any]:
    """Every table as numbers."""
    return {
        "plan": plan.__dict__,
        "personal": personal(found, worlds, plan.seeds),
        "hack": [hack(found, worlds, plan, weight) for weight in (0.0, *(weight for weight, _ in plan.hacks))],
        "false_alarms": false_alarms(found, plan.clean_seeds),
        "sweep": sweep(found, worlds, plan),
        "methods": methods(found, worlds, plan),
        "rounds": rounds(found, worlds, plan.few),
        "seconds": round(sum(cell["seconds"] for by_seed in found.values() for cell in by_seed.values())),
    }


def shown(found: Found, worlds: Mapping[int, World], cell: Cell, seeds: Sequence[int]) -> dict[int, list[Shown]]:
    """A cell's answers by seed, with whom they were shown to."""
    return {seed: worlds[seed].answered(found[name_of(cell)][seed]["answers"]) for seed in seeds}


def change(
    old: Mapping[int, Sequence[Shown]], new: Mapping[int, Sequence[Shown]], value: Callable[[Shown], float],
    among: Callable[[Shown], bool] = lambda row: True,
) -> Interval:  # fmt: skip
    """Mean of the value of the new answers minus that of the old, over the same users and seeds."""
    return interval(
        (seed, f"{seed}/{a.user.user_id}", value(b) - value(a))
        for seed in old
        for a, b in zip(old[seed], new[seed], strict=True)
        if among(a)
    )


def satisfied(row: Shown) -> float:
    """The true satisfaction with an answer."""
    return replies.satisfaction(row.user, row.prompt, row.text)


def personal(found: Found, worlds: Mapping[int, World], seeds: Sequence[int]) -> dict[str, Any]:
    """A personalized policy against one for all."""
    rows = {cell.reward: shown(found, worlds, cell, seeds) for cell in (ONE_FOR_ALL, PERSONAL)}
    reference = shown(found, worlds, REFERENCE, seeds)
    gain = {
        "minority": change(rows["one_for_all"], rows["personal"], satisfied, lambda row: row.user.minority),
        "majority": change(rows["one_for_all"], rows["personal"], satisfied, lambda row: not row.user.minority),
    }
    return {
        "shares": {name: _shares(by_seed) for name, by_seed in {"reference": reference, **rows}.items()},
        "gain": {name: value._asdict() for name, value in gain.items()},
        "by_seed": {
            name: [round(mean(satisfied(r) for r in by_seed[s] if r.user.minority), 4) for s in seeds]
            for name, by_seed in rows.items()
        },
    }


def hack(found: Found, worlds: Mapping[int, World], plan: Plan, weight: float) -> dict[str, Any]:
    """One weight of a P[Love] that likes a goodbye, without and with alarms, seed by seed."""
    log = "confounded" if weight else "sound"
    free, watched = Cell(love=weight, log=log), Cell(love=weight, log=log, alarms=True)
    rows = []
    for seed in plan.few:
        looks = found[name_of(free)][seed]["looks"]
        kept = found[name_of(watched)][seed]
        turn = turn_of(looks)
        stopped = kept["looks"][-1]["step"] if kept["stopped"] else None
        rows.append({
            "seed": seed, "turn": turn, "stopped": stopped, "returned": kept["returned"],
            "after_turn": None if stopped is None else stopped - turn,
            "alarms": [alarm["name"] for alarm in kept["stopped"]],
            "phrase": next((look["phrase"]["phrase"] for look in kept["looks"][-1:] if kept["stopped"] and look["phrase"]), None),
            "held_out_best": max(look["held_out"] for look in looks), "held_out_end": looks[-1]["held_out"],
        })  # fmt: skip
    end = {name: _shares(shown(found, worlds, cell, plan.few)) for name, cell in (("free", free), ("watched", watched))}  # fmt: skip
    before = _shares(shown(found, worlds, REFERENCE, plan.few))
    return {"weight": weight, "reference": before, **end, "seeds": rows}


def turn_of(looks: Sequence[Mapping[str, Any]], near: float = 0.1) -> int:
    """Where the held-out reward begins to fall for good: the last look at which it stands within `near`
    standard deviations of its highest."""
    best = max(look["held_out"] for look in looks)
    return max(look["step"] for look in looks if look["held_out"] >= best - near)


def false_alarms(found: Found, runs: int) -> dict[str, Any]:
    """How often sound runs were stopped, with the upper end of the exact 95 % interval (Clopper-Pearson)."""
    stopped = [seed for seed, cell in found[name_of(CLEAN)].items() if seed < runs and cell["stopped"]]
    return {"runs": runs, "stopped": stopped, "upper": upper_bound(len(stopped), runs)}


def upper_bound(count: int, runs: int, level: float = 0.95) -> float:
    """The largest rate at which `count` or fewer of `runs` has a chance of 1 - level: one-sided Clopper-Pearson."""
    from scipy.stats import beta

    return 1.0 if count >= runs else float(beta.ppf(level, count + 1, runs - count))


def sweep(found: Found, worlds: Mapping[int, World], plan: Plan) -> dict[str, Any]:
    """What each weight of P[Love] buys and costs."""
    reference = shown(found, worlds, REFERENCE, plan.few)
    points = []
    for weight in plan.sweep:
        cell = Cell(love=weight, alarms=True)
        rows = shown(found, worlds, cell, plan.few)
        safety = change(reference, rows, lambda row: float(replies.safe(row.text)))
        points.append({
            "weight": weight, **_shares(rows), "safety_change": safety._asdict(), "safe_enough": non_inferior(safety, 0.02),
            **{key: _score(found, cell, key, plan.few) for key in ("personal", "held_out", "love_sound")},
        })  # fmt: skip
    start = {**_shares(reference), **{key: _score(found, REFERENCE, key, plan.few) for key in ("personal", "held_out", "love_sound")}}  # fmt: skip
    return {"reference": start, "points": points, "recommended": pareto.recommended(points)}


def methods(found: Found, worlds: Mapping[int, World], plan: Plan) -> list[dict[str, Any]]:
    """GRPO and the three offline methods on the same goals, with the A/B lift, simulated and predicted."""
    reference = shown(found, worlds, REFERENCE, plan.few)
    listed = [
        REFERENCE,
        Cell(love=METHOD_LOVE, alarms=True),
        *OFFLINE,
    ]
    listed += [Cell(love=weight, log="confounded") for weight, _ in plan.hacks]
    rows = []
    for cell in listed:
        new = shown(found, worlds, cell, plan.few)
        every = [ab_test(reference[seed], new[seed], seed) for seed in plan.few]
        lifts = [outcome.lift.mean for outcome in every]
        predicted = {
            log: mean(
                predicted_lift([found[name_of(REFERENCE)][s]["scores"][f"love_{log}"]], [found[name_of(cell)][s]["scores"][f"love_{log}"]])
                for s in plan.few
            )
            for log in ("sound", "confounded")
        }  # fmt: skip
        rows.append({
            "name": name_of(cell), **_shares(new), "lift": mean(lifts), "lift_by_seed": [outcome.lift._asdict() for outcome in every], "predicted": predicted,
            "helpful_change": change(reference, new, lambda r: float(replies.helpful(r.prompt, r.text)))._asdict(),
            "safety_change": change(reference, new, lambda r: float(replies.safe(r.text)))._asdict(),
            "personal": _score(found, cell, "personal", plan.few), "held_out": _score(found, cell, "held_out", plan.few),
            "seconds": mean(found[name_of(cell)][s]["seconds"] for s in plan.few),
        })  # fmt: skip
    return rows


def rounds(found: Found, worlds: Mapping[int, World], seeds: Sequence[int]) -> dict[str, Any]:
    """Two rounds against one, at equal labels and updates."""
    one, two = (shown(found, worlds, Cell(rounds=number), seeds) for number in (1, 2))
    return {
        "one": _shares(one), "two": _shares(two), "change": change(one, two, satisfied)._asdict(),
        "minority": change(one, two, satisfied, lambda row: row.user.minority)._asdict(),
    }  # fmt: skip


def _shares(by_seed: Mapping[int, Sequence[Shown]]) -> dict[str, float]:
    each = [shares(rows) for rows in by_seed.values()]
    return {key: mean(one[key] for one in each) for key in each[0]}


def _score(found: Found, cell: Cell, key: str, seeds: Sequence[int]) -> float:
    return mean(found[name_of(cell)][seed]["scores"][key] for seed in seeds)


def _curves(found: Found, plan: Plan) -> dict[str, list[Mapping[str, Any]]]:
    """The looks of the first seed: a sound run, and the hacks."""
    seed = plan.seeds[0]
    listed = [PERSONAL, *(Cell(love=weight, log="confounded") for weight, _ in plan.hacks)]
    return {f"P[Love] weight {cell.love:g}": found[name_of(cell)][seed]["looks"] for cell in listed}


def page(report: Mapping[str, Any]) -> str:
    """report.md."""
    table = markdown.table
    p, f = report["personal"], report["false_alarms"]
    names = ("satisfaction", "majority", "minority", "helpful", "safe", "farewell")
    parts = [
        "# Policies of the tiny world",
        f"Seeds {', '.join(map(str, report['plan']['seeds']))} for the first table, {', '.join(map(str, report['plan']['few']))} for the others; {report['plan']['test_users']} test users each, {report['seconds']:,} CPU seconds of training. Shares in points of 100; intervals over users and seeds.",
        "## Personal against one for all",
        table(["policy", *names], [[name, *(_points(row[key]) for key in names)] for name, row in p["shares"].items()]),
        "\n".join(f"- {name}: {_gain(row)}" for name, row in p["gain"].items()),
        "## A planted hack: P[Love] likes a goodbye",
        table(
            ["weight", "seed", "held-out best (update)", "at the end", "stopped at", "by", "named", "went back to"],
            [
                [f"{row['weight']:g}", str(s["seed"]), f"{s['held_out_best']:.2f} ({s['turn']})", f"{s['held_out_end']:.2f}", _or_dash(s["stopped"]), ", ".join(s["alarms"]) or "-", s["phrase"] or "-", _or_dash(s["returned"])]
                for row in report["hack"] for s in row["seeds"]
            ],
        ),
        table(
            ["weight", "goodbyes before", "without alarms", "with alarms", "satisfaction before", "without alarms", "with alarms"],
            [
                [f"{r['weight']:g}", *(_points(r[side]["farewell"]) for side in ("reference", "free", "watched")), *(_points(r[side]["satisfaction"]) for side in ("reference", "free", "watched"))]
                for r in report["hack"]
            ],
        ),
        f"False alarms: {len(f['stopped'])} of {f['runs']} sound runs were stopped; the rate is below {f['upper']:.1%} (95 %, Clopper-Pearson).",
        "## The dial: the weight of P[Love], safety as a floor",
        table(
            ["weight", *names, "safety, change", "P[Love]", "personal reward", "held-out reward"],
            [
                ["reference", *(_points(report["sweep"]["reference"][k]) for k in names), "-", *_scores(report["sweep"]["reference"])],
                *([f"{r['weight']:g}", *(_points(r[k]) for k in names), _gain(r["safety_change"]) + ("" if r["safe_enough"] else " **below**"), *_scores(r)] for r in report["sweep"]["points"]),
            ],
        ),
        f"Recommended: weight {report['sweep']['recommended']['weight']:g}. {report['sweep']['recommended']['why']}",
        "## Methods on the same goals, and the A/B test",
        table(
            ["policy", *names, "simulated lift, by seed", "mean", "predicted by P[Love] (sound log / confounded log)", "helpful, change", "safe, change", "CPU s"],
            [
                [r["name"], *(_points(r[k]) for k in names), "; ".join(f"{x['mean']:+.1%} [{x['low']:+.1%}, {x['high']:+.1%}]" for x in r["lift_by_seed"]), f"{r['lift']:+.1%}", f"{r['predicted']['sound']:+.1%} / {r['predicted']['confounded']:+.1%}", _gain(r["helpful_change"]), _gain(r["safety_change"]), f"{r['seconds']:.0f}"]
                for r in report["methods"]
            ],
        ),
        "## Two rounds against one, at equal labels",
        f"One round {_points(report['rounds']['one']['satisfaction'])}, two {_points(report['rounds']['two']['satisfaction'])}; change {_gain(report['rounds']['change'])}, of minority tastes {_gain(report['rounds']['minority'])}.",
        *markdown.pictures(["pareto.png", "over_optimisation.png"]),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _points(value: float) -> str:
    return f"{100 * value:.1f}"


def _gain(found: Mapping[str, Any]) -> str:
    if found["low"] is None or math.isnan(found["low"]):
        return f"{100 * found['mean']:+.1f}"
    return f"{100 * found['mean']:+.1f} [{100 * found['low']:+.1f}, {100 * found['high']:+.1f}]"


def _scores(row: Mapping[str, Any]) -> list[str]:
    return [f"{row['love_sound']:.3f}", f"{row['personal']:.2f}", f"{row['held_out']:.2f}"]


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
