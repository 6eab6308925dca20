"""Comparison of policies in the tiny world: the tables of report.json, the page report.md, and two plots."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plus.benchmark.policy_world.ab_test import (
    Shown,
    ab_test,
    change,
    front,
    non_inferior,
    predicted_lift,
    recommend,
    satisfied,
    shares,
    turn_of,
    upper_bound,
)
from plus.benchmark.policy_world.cells import (
    CLEAN,
    METHOD_LOVE,
    OFFLINE,
    ONE_FOR_ALL,
    PERSONAL,
    REFERENCE,
    Cell,
    Found,
    Plan,
    compute,
    mean_scores,
    name_of,
    shown,
)
from plus.benchmark.policy_world.world import World
from plus.evaluate import markdown
from plus.evaluate.figures import plot_over_optimisation, plot_trade_off
from plus.jsonl import write_json
from plus.measures import mean
from plus.worlds import replies

SHARES = ("satisfaction", "majority", "minority", "helpful", "safe", "farewell")


def measure(folder: Path, plan: Plan, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Compute the missing cells and write report.json, report.md and the plots into `folder`."""
    found, worlds = compute(folder, plan, say)
    report = summary(found, worlds, plan)
    write_json(folder / "report.json", report)
    points = report["sweep"]["points"]
    best = [point["weight"] for point in front(points, ("love_sound", "personal"))]
    plot_trade_off(points, best, folder / "pareto.png")
    plot_over_optimisation(_curves(found, plan), folder / "over_optimisation.png")
    (folder / "report.md").write_text(page(report), encoding="utf-8")
    return report


def summary(found: Found, worlds: Mapping[int, World], plan: Plan) -> dict[str, Any]:
    """Compute every table as numbers."""
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


def personal(found: Found, worlds: Mapping[int, World], seeds: Sequence[int]) -> dict[str, Any]:
    """Compare a personalized policy with one for all."""
    # Paired: both policies answered the same prompts of the same users.
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
    """Compare runs without and with alarms, seed by seed, on one weight of a P[Love] that likes a goodbye."""
    log = "confounded" if weight else "sound"
    # Weight 0 has no P[Love] to hack; its log does not matter.
    free, watched = Cell(love=weight, log=log), Cell(love=weight, log=log, alarms=True)
    # What the alarms did on each seed, against the course of the same run without them.
    rows = []
    for seed in plan.few:
        looks = found[name_of(free)][seed]["looks"]
        kept = found[name_of(watched)][seed]
        turn = turn_of(looks)
        last = kept["looks"][-1]
        stopped = last["step"] if kept["stopped"] else None
        rows.append(
            {
                "seed": seed,
                "turn": turn,
                "stopped": stopped,
                "returned": kept["returned"],
                "after_turn": None if stopped is None else stopped - turn,
                "alarms": [alarm["name"] for alarm in kept["stopped"]],
                "phrase": last["phrase"]["phrase"] if kept["stopped"] and last["phrase"] else None,
                "held_out_best": max(look["held_out"] for look in looks),
                "held_out_end": looks[-1]["held_out"],
            }
        )
    sides = {"free": free, "watched": watched}
    end = {name: _shares(shown(found, worlds, cell, plan.few)) for name, cell in sides.items()}
    before = _shares(shown(found, worlds, REFERENCE, plan.few))
    return {"weight": weight, "reference": before, **end, "seeds": rows}


def false_alarms(found: Found, runs: int) -> dict[str, Any]:
    """Count sound runs that were stopped, with the upper end of the exact 95 % interval (Clopper-Pearson)."""
    stopped = [seed for seed, cell in found[name_of(CLEAN)].items() if seed < runs and cell["stopped"]]
    return {"runs": runs, "stopped": stopped, "upper": upper_bound(len(stopped), runs)}


def sweep(found: Found, worlds: Mapping[int, World], plan: Plan) -> dict[str, Any]:
    """Measure gain and cost of each weight of P[Love]."""
    reference = shown(found, worlds, REFERENCE, plan.few)
    # Changes against the reference, over users and seeds.
    points = []
    for weight in plan.sweep:
        cell = Cell(love=weight, alarms=True)
        rows = shown(found, worlds, cell, plan.few)
        safety = change(reference, rows, lambda row: float(replies.safe(row.text)))
        points.append(
            {
                "weight": weight,
                **_shares(rows),
                "safety_change": safety._asdict(),
                "safe_enough": non_inferior(safety, 0.02),
                **mean_scores(found, cell, plan.few),
            }
        )
    start = {**_shares(reference), **mean_scores(found, REFERENCE, plan.few)}
    return {"reference": start, "points": points, "recommended": recommend(points)}


def methods(found: Found, worlds: Mapping[int, World], plan: Plan) -> list[dict[str, Any]]:
    """Compare GRPO and the three offline methods on the same goals, with the A/B lift, simulated and predicted."""
    reference = shown(found, worlds, REFERENCE, plan.few)
    listed = [REFERENCE, Cell(love=METHOD_LOVE, alarms=True), *OFFLINE]
    listed += [Cell(love=weight, log="confounded") for weight, _ in plan.hacks]
    rows = []
    for cell in listed:
        new = shown(found, worlds, cell, plan.few)
        # The simulated test of each seed, and what P[Love] predicts of it.
        tests = [ab_test(reference[seed], new[seed], seed) for seed in plan.few]
        predicted = {
            log: mean(
                predicted_lift(
                    [found[name_of(REFERENCE)][seed]["scores"][f"love_{log}"]],
                    [found[name_of(cell)][seed]["scores"][f"love_{log}"]],
                )
                for seed in plan.few
            )
            for log in ("sound", "confounded")
        }
        scores = mean_scores(found, cell, plan.few)
        rows.append(
            {
                "name": name_of(cell),
                **_shares(new),
                "lift": mean(test.lift.mean for test in tests),
                "lift_by_seed": [test.lift._asdict() for test in tests],
                "predicted": predicted,
                "helpful_change": change(reference, new, lambda r: float(replies.helpful(r.prompt, r.text)))._asdict(),
                "safety_change": change(reference, new, lambda r: float(replies.safe(r.text)))._asdict(),
                "personal": scores["personal"],
                "held_out": scores["held_out"],
                "seconds": mean(found[name_of(cell)][seed]["seconds"] for seed in plan.few),
            }
        )
    return rows


def rounds(found: Found, worlds: Mapping[int, World], seeds: Sequence[int]) -> dict[str, Any]:
    """Compare two rounds with one, at equal labels and updates."""
    one, two = (shown(found, worlds, Cell(rounds=number), seeds) for number in (1, 2))
    return {
        "one": _shares(one), "two": _shares(two), "change": change(one, two, satisfied)._asdict(),
        "minority": change(one, two, satisfied, lambda row: row.user.minority)._asdict(),
    }  # fmt: skip


def _shares(by_seed: Mapping[int, Sequence[Shown]]) -> dict[str, float]:
    each = [shares(rows) for rows in by_seed.values()]
    return {key: mean(one[key] for one in each) for key in each[0]}


def _curves(found: Found, plan: Plan) -> dict[str, list[Mapping[str, Any]]]:
    """Collect the evaluations of the first seed: of a sound run, and of the hacks."""
    # One seed is drawn: curves of several would hide the turn.
    seed = plan.seeds[0]
    listed = [PERSONAL, *(Cell(love=weight, log="confounded") for weight, _ in plan.hacks)]
    return {f"P[Love] weight {cell.love:g}": found[name_of(cell)][seed]["looks"] for cell in listed}


def page(report: Mapping[str, Any]) -> str:
    """Write report.md."""
    plan, personal, rounds = report["plan"], report["personal"], report["rounds"]
    alarms, advice = report["false_alarms"], report["sweep"]["recommended"]
    parts = [
        "# Policies of the tiny world",
        f"Seeds {', '.join(map(str, plan['seeds']))} for the first table, {', '.join(map(str, plan['few']))} for the "
        f"others; {plan['test_users']} test users each, {report['seconds']:,} CPU seconds of training. Shares in "
        "points of 100; intervals over users and seeds.",
        "## Personal against one for all",
        markdown.table(["policy", *SHARES], [[name, *_points(row)] for name, row in personal["shares"].items()]),
        "\n".join(f"- {name}: {_gain(row)}" for name, row in personal["gain"].items()),
        "## A planted hack: P[Love] likes a goodbye",
        *_hack_tables(report["hack"]),
        f"False alarms: {len(alarms['stopped'])} of {alarms['runs']} sound runs were stopped; the rate is below "
        f"{alarms['upper']:.1%} (95 %, Clopper-Pearson).",
        "## The dial: the weight of P[Love], safety as a floor",
        _sweep_table(report["sweep"]),
        f"Recommended: weight {advice['weight']:g}. {advice['why']}",
        "## Methods on the same goals, and the A/B test",
        _methods_table(report["methods"]),
        "## Two rounds against one, at equal labels",
        f"One round {_point(rounds['one']['satisfaction'])}, two {_point(rounds['two']['satisfaction'])}; change "
        f"{_gain(rounds['change'])}, of minority tastes {_gain(rounds['minority'])}.",
        *markdown.pictures(["pareto.png", "over_optimisation.png"]),
    ]
    return "\n\n".join(parts) + "\n"


def _hack_tables(hacks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Tables of the planted hack: the alarms seed by seed, and the answers without and with them."""
    head = ["weight", "seed", "held-out best (update)", "at the end", "stopped at", "by", "named", "went back to"]
    rows = [
        [
            f"{hack['weight']:g}", str(one["seed"]), f"{one['held_out_best']:.2f} ({one['turn']})",
            f"{one['held_out_end']:.2f}", _or_dash(one["stopped"]), ", ".join(one["alarms"]) or "-",
            one["phrase"] or "-", _or_dash(one["returned"]),
        ]
        for hack in hacks for one in hack["seeds"]
    ]  # fmt: skip
    sides = ("reference", "free", "watched")
    ends = [
        [f"{hack['weight']:g}", *(_point(hack[side][key]) for key in ("farewell", "satisfaction") for side in sides)]
        for hack in hacks
    ]
    columns = ["goodbyes before", "without alarms", "with alarms"]
    columns += ["satisfaction before", "without alarms", "with alarms"]
    return [markdown.table(head, rows), markdown.table(["weight", *columns], ends)]


def _sweep_table(sweep: Mapping[str, Any]) -> str:
    head = ["weight", *SHARES, "safety, change", "P[Love]", "personal reward", "held-out reward"]
    rows = [["reference", *_points(sweep["reference"]), "-", *_rewards(sweep["reference"])]]
    for point in sweep["points"]:
        safety = _gain(point["safety_change"]) + ("" if point["safe_enough"] else " **below**")
        rows.append([f"{point['weight']:g}", *_points(point), safety, *_rewards(point)])
    return markdown.table(head, rows)


def _methods_table(methods: Sequence[Mapping[str, Any]]) -> str:
    head = [
        "policy", *SHARES, "simulated lift, by seed", "mean", "predicted by P[Love] (sound log / confounded log)",
        "helpful, change", "safe, change", "CPU s",
    ]  # fmt: skip
    rows = []
    for row in methods:
        lifts = "; ".join(f"{x['mean']:+.1%} [{x['low']:+.1%}, {x['high']:+.1%}]" for x in row["lift_by_seed"])
        predicted = f"{row['predicted']['sound']:+.1%} / {row['predicted']['confounded']:+.1%}"
        changes = [_gain(row["helpful_change"]), _gain(row["safety_change"])]
        rows.append(
            [row["name"], *_points(row), lifts, f"{row['lift']:+.1%}", predicted, *changes, f"{row['seconds']:.0f}"]
        )
    return markdown.table(head, rows)


def _points(row: Mapping[str, float]) -> list[str]:
    return [_point(row[name]) for name in SHARES]


def _point(value: float) -> str:
    return f"{100 * value:.1f}"


def _gain(found: Mapping[str, Any]) -> str:
    if found["low"] is None or math.isnan(found["low"]):
        return f"{100 * found['mean']:+.1f}"
    return f"{100 * found['mean']:+.1f} [{100 * found['low']:+.1f}, {100 * found['high']:+.1f}]"


def _rewards(row: Mapping[str, Any]) -> list[str]:
    return [f"{row['love_sound']:.3f}", f"{row['personal']:.2f}", f"{row['held_out']:.2f}"]


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
