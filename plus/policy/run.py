"""`plus policy`, one run: prompts and goals in, a folder with the policy, what was seen, and a card out.

OUT/policy       plain transformers, vLLM and TRL load it      OUT/metrics.jsonl  one line an update
OUT/looks.jsonl  what the alarms saw                           OUT/answers.jsonl  held-out prompts, before and after
OUT/report.json  and README.md, the card
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from plus.errors import RunError, SettingError
from plus.jsonl import write_json, write_jsonl
from plus.policy.card import write_card
from plus.policy.model import Asked, Policy
from plus.policy.monitor import SEED, Panel, Watch
from plus.policy.offline import best_of_n, dpo, ranked, rejection_sampling
from plus.policy.rewards_file import GoalFile
from plus.policy.trainer import PolicyConfig, PolicyLog, fine_tune, optimise
from plus.train import distributed, run_folder

METHODS = ("grpo", "best_of_n", "rejection_sampling", "dpo")
PANEL = 128  # prompts that are looked at, and not trained on
SCALED = 512  # prompts whose answers by the reference give each goal its scale


def train(
    folder: Path, settings: Mapping[str, Any], policy: Policy, asked: Sequence[Asked], file: GoalFile,
    config: PolicyConfig, examples: Sequence[tuple[Asked, str]] = (), stop: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:  # fmt: skip
    """Run `settings["method"]` and write the folder; returns its report. `examples` are answers to imitate first.

    A run that was interrupted goes on at its newest checkpoint. Raises RunError where the folder holds
    another run, RewardError where a goal cannot be used.
    """
    method = settings["method"]
    if method not in METHODS:
        raise SettingError(f"--method is {method!r}; it takes {', '.join(METHODS)}")
    _claim(folder, settings)
    training, panel_asked = split(asked, config.seed)
    if examples:
        say(f"supervised fine-tuning on {len(examples):,} answers")
        fine_tune(policy, [one for one, _ in examples], [text for _, text in examples], config)
    scaled = training[:: -(-len(training) // SCALED)]
    file.goals.measure(scaled, policy.answer(scaled, seed=SEED))
    for name in file.goals.set_aside:
        say(f"set aside: {name} gives every answer of the reference the same number, so it can teach nothing")
    panel = Panel(panel_asked, file.goals, file.held_out, file.twins)
    panel.meet(policy)
    report: dict[str, Any] = {"method": method, "set_aside": file.goals.set_aside, "prompts": len(training), "panel": len(panel_asked)}  # fmt: skip
    if method == "grpo":
        report |= grpo(folder, policy, training, panel, config, stop)
    elif method == "best_of_n":
        return _best(folder, policy, asked, file, config, report)
    else:
        sample = ranked(policy, training, file.goals, config.num_generations or 8, config.seed)
        learn = rejection_sampling if method == "rejection_sampling" else dpo
        learn(policy, sample, config)
    return _finished(folder, settings, policy, panel, report)


def split(asked: Sequence[Asked], seed: int) -> tuple[list[Asked], list[Asked]]:
    """Prompts to train on and prompts to look at: a fifth, at most `PANEL`, of other users where there are some."""
    wanted = max(1, min(PANEL, len(asked) // 5))
    users = sorted({one.user_id for one in asked})
    random.Random(f"panel-{seed}").shuffle(users)
    looked: set[str] = set()
    while len(users) > 1 and sum(one.user_id in looked for one in asked) < wanted and len(looked) < len(users) - 1:
        looked.add(users[len(looked)])
    panel = [one for one in asked if one.user_id in looked][:PANEL] or list(asked)[-wanted:]
    training = [one for one in asked if one.user_id not in looked] if looked else list(asked)[:-wanted]
    if not training:
        raise SettingError(f"{len(asked)} prompt is not enough to train on some and look at others; give at least 5")
    return training, panel


def grpo(
    folder: Path, policy: Policy, training: Sequence[Asked], panel: Panel, config: PolicyConfig, stop: bool
) -> dict[str, Any]:
    """GRPO on the panel's goals under the eyes of the alarms; an interrupted run goes on. What they saw."""
    watching: list[Watch] = []

    def watch(trainer):
        watching.append(Watch(trainer, policy, panel, folder, stop=stop))
        return watching[0]

    optimise(policy, training, panel.goals, config, [PolicyLog(folder), watch], resume=True)
    (seen,) = watching
    return {
        "stopped": [asdict(alarm) for alarm in seen.stopped],
        "returned": seen.returned,
        "updates": seen.looks[-1]["step"] if seen.stopped else config.max_steps,
        "first_look": seen.looks[0],
        "last_look": seen.looks[-1],
    }


def _best(
    folder: Path, policy: Policy, asked: Sequence[Asked], file: GoalFile, config: PolicyConfig, report: dict[str, Any]
) -> dict[str, Any]:
    texts = best_of_n(policy, asked, file.goals, config.num_generations or 8, config.seed)
    write_jsonl(folder / "answers.jsonl", [{**_row(one), "answer": text} for one, text in zip(asked, texts, strict=True)])  # fmt: skip
    write_json(folder / "report.json", report)
    return report


def _finished(
    folder: Path, settings: Mapping[str, Any], policy: Policy, panel: Panel, report: dict[str, Any]
) -> dict[str, Any]:
    texts = policy.answer(panel.asked, seed=SEED)
    if distributed.is_main():
        write_jsonl(
            folder / "answers.jsonl",
            [{**_row(one), "before": a, "after": b} for one, a, b in zip(panel.asked, panel.reference, texts, strict=True)],
        )  # fmt: skip
        policy.save_pretrained(folder / "policy")
        write_json(folder / "report.json", report)
        write_card(folder, settings, report)
    return report


def _claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Begin a run, or check that the one in the folder is the same and is not finished."""
    if not distributed.is_main():
        return
    path, ours = folder / "config.json", json.loads(json.dumps(dict(settings)))
    if not path.exists():
        run_folder.create(folder, ours)
        return
    theirs = json.loads(path.read_text(encoding="utf-8"))
    changed = next((key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)), None)
    if changed:
        raise RunError(f"{folder} holds a run with {changed} {theirs.get(changed)!r} and this one has {ours.get(changed)!r}; give another --output_dir")  # fmt: skip
    if (folder / "report.json").exists():
        raise RunError(f"{folder} holds this run already, finished; give another --output_dir")


def _row(asked: Asked) -> dict[str, Any]:
    prompt = asked.prompt if isinstance(asked.prompt, str) else Asked(asked.prompt).messages()
    return {"user_id": asked.user_id, "summary": asked.summary, "prompt": prompt}
