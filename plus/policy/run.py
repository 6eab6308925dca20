"""One run of `plus policy`: prompts and goals in; a folder with the policy, its evaluations and a model card out.

OUT/policy       plain transformers, vLLM and TRL load it      OUT/metrics.jsonl  one line an update
OUT/looks.jsonl  evaluations by the monitor                    OUT/answers.jsonl  evaluation prompts, before and after
OUT/report.json  and README.md, the card
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from plus.errors import RunError, SettingError, SourceError
from plus.jsonl import read_json, read_jsonl, read_summaries, write_json, write_jsonl
from plus.policy.card import PolicyReport, Training, write_card
from plus.policy.model import Policy, UserPrompt, read_prompts
from plus.policy.monitor import SEED, EvaluationSet, Monitor
from plus.policy.offline import best_of_n, dpo, fine_tune, ranked, rejection_sampling
from plus.policy.rewards_file import GoalFile
from plus.policy.trainer import PolicyConfig, PolicyLog, PolicyTrainer, local_options, optimise
from plus.train import distributed, run_folder

METHODS = ("grpo", "best_of_n", "rejection_sampling", "dpo")
EVALUATION_PROMPTS = 128  # at most; they are not trained on
SCALE_PROMPTS = 512  # prompts whose answers by the reference give each goal its scale
Say = Callable[[str], None]


@dataclass(frozen=True)
class PolicyRequest:
    """Settings and input files of a run; `options` are those of TRL's `GRPOConfig`."""

    prompts: Path
    goals: Path
    model_name_or_path: str
    output_dir: Path
    method: str = "grpo"
    summaries: Path | None = None
    sft: Path | None = None
    max_completion_length: int = 256
    stop: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give what config.json holds; a run that is continued must agree in all of it."""
        return {
            "model_name_or_path": self.model_name_or_path,
            "method": self.method,
            "goals": self.goals_entries(),
            "stop": self.stop,
            "prompts": str(self.prompts),
            "summaries": str(self.summaries),
            "sft": str(self.sft),
            "max_completion_length": self.max_completion_length,
            "options": dict(self.options),
        }

    def goals_entries(self) -> Any:
        """Read the goals file as written; None where there is none."""
        return yaml.safe_load(self.goals.read_text(encoding="utf-8")) if self.goals.is_file() else None

    def config(self, folder: Path) -> PolicyConfig:
        """Make TRL's options. Raises SettingError for one that is unknown or cannot be used."""
        known = {field.name for field in dataclasses.fields(PolicyConfig) if field.init}
        if unknown := sorted(self.options.keys() - known):
            raise SettingError(f"unknown option --{unknown[0]}; see plus policy --help, and TRL's GRPOConfig")
        defaults = {"max_steps": 200, "save_steps": 20, "save_total_limit": 1}
        try:
            return PolicyConfig(**local_options({**defaults, **self.options, "output_dir": str(folder)}))
        except (TypeError, ValueError) as error:
            raise SettingError(str(error).strip().splitlines()[0]) from error

    def load_policy(self) -> Policy:
        """Load the policy that training starts from."""
        return Policy.from_pretrained(self.model_name_or_path, self.max_completion_length)

    def load_prompts(self, say: Say) -> list[UserPrompt]:
        """Read the prompts with their users' summaries; `say` gets the counts of rows left out or without a summary."""
        known = read_summaries(self.summaries) if self.summaries else {}
        prompts, dropped = read_prompts(read_jsonl(self.prompts), known)
        for line in dropped.lines():
            say(line)
        return prompts

    def load_examples(self, say: Say) -> list[tuple[UserPrompt, str]]:
        """Read answers to imitate first. Raises SourceError that names the first line without one."""
        if self.sft is None:
            return []
        # The rows that `read_prompts` keeps, each with its answer.
        rows = read_jsonl(self.sft)
        if missing := next((n for n, row in enumerate(rows, start=1) if not row.get("chosen")), None):
            raise SourceError(
                f"{self.sft} line {missing} has no 'chosen'; write prompt, chosen, and user_id or summary"
            )
        prompts, dropped = read_prompts(rows)
        for line in dropped.lines():
            say(f"{self.sft.name}: {line}")
        return [(one, row["chosen"]) for one, row in zip(prompts, (r for r in rows if r.get("prompt")), strict=True)]


def train(
    folder: Path,
    request: PolicyRequest,
    policy: Policy,
    prompts: Sequence[UserPrompt],
    file: GoalFile,
    config: PolicyConfig,
    examples: Sequence[tuple[UserPrompt, str]] = (),
    weights: Mapping[str, float] | None = None,
    say: Say = lambda line: None,
) -> PolicyReport:
    """Train by `request.method` and fill the folder. `examples` are answers to imitate first.

    `weights` are goals' weights that overrule the file's. An interrupted run continues at its newest checkpoint.
    Raises RunError where the folder holds another run, RewardError where a goal cannot be used.
    """
    if request.method not in METHODS:
        raise SettingError(f"--method is {request.method!r}; it takes {', '.join(METHODS)}")
    _claim(folder, {**request.to_json(), "weights": dict(weights or {})})
    # 1. The policy that training starts from: the reference.
    training, evaluation = split_prompts(prompts, config.seed)
    if examples:
        say(f"supervised fine-tuning on {len(examples):,} answers")
        fine_tune(policy, [one for one, _ in examples], [text for _, text in examples], config)
    # 2. The scale of each goal on its answers.
    goals = file.goals
    scaled = training[:: -(-len(training) // SCALE_PROMPTS)]
    goals.measure(scaled, policy.answer(scaled, seed=SEED))
    for name in goals.set_aside:
        say(f"set aside: {name} gives every answer of the reference the same number, so it can teach nothing")
    evaluation_set = EvaluationSet(evaluation, goals, file.held_out, file.twins)
    evaluation_set.measure_reference(policy)
    # 3. The method.
    report = PolicyReport(request.method, tuple(goals.set_aside), len(training), len(evaluation))
    if request.method == "grpo":
        followed = grpo(folder, policy, training, evaluation_set, config, request.stop)
        report = dataclasses.replace(report, training=followed)
    elif request.method == "best_of_n":
        texts = best_of_n(policy, prompts, goals, config.answers_per_prompt, config.seed)
        rows = [{**_columns(one), "answer": text} for one, text in zip(prompts, texts, strict=True)]
        write_jsonl(folder / "answers.jsonl", rows)
        write_json(folder / "report.json", report.to_json())
        return report
    else:
        sample = ranked(policy, training, goals, config.answers_per_prompt, config.seed)
        (rejection_sampling if request.method == "rejection_sampling" else dpo)(policy, sample, config)
    _write_results(folder, request, policy, evaluation_set, report)
    return report


def split_prompts(prompts: Sequence[UserPrompt], seed: int) -> tuple[list[UserPrompt], list[UserPrompt]]:
    """Split prompts into (training, evaluation): a fifth, at most EVALUATION_PROMPTS, of other users if there are.

    Raises SettingError with too few prompts.
    """
    wanted = max(1, min(EVALUATION_PROMPTS, len(prompts) // 5))
    users = sorted({one.user_id for one in prompts})
    random.Random(f"panel-{seed}").shuffle(users)
    # Whole users, until their prompts are enough; one user is always left to train on.
    held_out: set[str] = set()
    while (
        len(users) > 1 and sum(one.user_id in held_out for one in prompts) < wanted and len(held_out) < len(users) - 1
    ):
        held_out.add(users[len(held_out)])
    # A single user: the last prompts.
    evaluation = [one for one in prompts if one.user_id in held_out][:EVALUATION_PROMPTS] or list(prompts)[-wanted:]
    training = [one for one in prompts if one.user_id not in held_out] if held_out else list(prompts)[:-wanted]
    if not training:
        raise SettingError(f"{len(prompts)} prompt is not enough to train on some and look at others; give at least 5")
    return training, evaluation


def grpo(
    folder: Path,
    policy: Policy,
    training: Sequence[UserPrompt],
    evaluation_set: EvaluationSet,
    config: PolicyConfig,
    stop: bool,
) -> Training:
    """Train with GRPO under the monitor; an interrupted run continues."""
    monitors: list[Monitor] = []

    def monitor(trainer: PolicyTrainer) -> Monitor:
        monitors.append(Monitor(trainer, policy, evaluation_set, folder, stop=stop))
        return monitors[0]

    optimise(policy, training, evaluation_set.goals, config, [PolicyLog(folder), monitor], resume=True)
    (seen,) = monitors
    first, last = seen.evaluations[0], seen.evaluations[-1]
    return Training(seen.stopped, seen.restored, last.step if seen.stopped else config.max_steps, first, last)


def read_report(folder: Path) -> PolicyReport:
    """Read the report of a finished run. Raises SourceError when there is none."""
    return PolicyReport.from_json(read_json(folder / "report.json"))


def _write_results(
    folder: Path, request: PolicyRequest, policy: Policy, evaluation_set: EvaluationSet, report: PolicyReport
) -> None:
    prompts, reference = evaluation_set.prompts, evaluation_set.reference
    # Every process answers, one of them writes.
    texts = policy.answer(prompts, seed=SEED)
    if distributed.is_main():
        rows = zip(prompts, reference, texts, strict=True)
        write_jsonl(folder / "answers.jsonl", [{**_columns(one), "before": a, "after": b} for one, a, b in rows])
        policy.save_pretrained(folder / "policy")
        write_json(folder / "report.json", report.to_json())
        write_card(folder, request.model_name_or_path, request.goals_entries(), report)


def _claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Begin a run, or check that the folder's run has the same settings and is not finished. Raises RunError."""
    if not distributed.is_main():
        return
    path, ours = folder / "config.json", json.loads(json.dumps(dict(settings)))
    if not path.exists():
        run_folder.create(folder, ours)
        return
    theirs = read_json(path)
    # The same settings continue; others would change a run half-way.
    changed = next((key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)), None)
    if changed:
        raise RunError(
            f"{folder} holds a run with {changed} {theirs.get(changed)!r} and this one has {ours.get(changed)!r}; "
            "give another --output_dir"
        )
    if (folder / "report.json").exists():
        raise RunError(f"{folder} holds this run already, finished; give another --output_dir")


def _columns(one: UserPrompt) -> dict[str, Any]:
    prompt = one.prompt if isinstance(one.prompt, str) else UserPrompt(one.prompt).messages()
    return {"user_id": one.user_id, "summary": one.summary, "prompt": prompt}
