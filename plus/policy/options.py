"""`plus.policy`, the whole job of `plus policy`: one run, a sweep over a goal's weight, or rounds of choices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plus.errors import SettingError
from plus.jsonl import write_json
from plus.policy import rewards_file
from plus.policy.card import PolicyReport, SweepPoint, SweepReport, plot_sweep, recommend_point, sweep_page
from plus.policy.rounds import RoundsReport, run_rounds
from plus.policy.run import PolicyRequest, Say, read_report, train
from plus.progress import SILENT, Screen


def policy(
    prompts: str | Path,
    goals: str | Path,
    model_name_or_path: str | Path,
    output_dir: str | Path,
    method: str = "grpo",
    summaries: str | Path | None = None,
    sft: str | Path | None = None,
    sweep: str | None = None,
    rounds: int | None = None,
    store: str | Path | None = None,
    max_completion_length: int = 256,
    stop: bool = True,
    screen: Screen = SILENT,
    **options: Any,
) -> PolicyReport | SweepReport | RoundsReport:
    """Train a response policy on goals, under a monitor that may stop it, and fill `output_dir`.

    prompts: JSON lines with prompt (text or messages), and user_id or summary. goals: YAML (`rewards_file.py`).
    method: grpo, best_of_n, rejection_sampling or dpo. summaries: JSON lines of user_id and summary.
    sft: JSON lines with prompt and chosen, answers to imitate first.
    sweep: a goal and its weights, as "love=0,0.1,0.3"; one run each.
    rounds: rounds of choices and training, at least 1. store: profile store with the choices of plus chat.
    stop: alarms end the run and restore the last good weights. options: those of TRL's GRPOConfig.
    Raises SettingError, SourceError, RewardError, RunError.
    """
    request = PolicyRequest(
        Path(prompts), Path(goals), str(model_name_or_path), Path(output_dir), method, _path(summaries), _path(sft),
        max_completion_length, stop, options,
    )  # fmt: skip
    if sweep and rounds:
        raise SettingError(
            "--sweep and --rounds cannot be given together; sweep first, then iterate at the point you like"
        )
    if store and not rounds:
        raise SettingError("--store is where --rounds finds the choices of plus chat; give --rounds as well")
    if sweep:
        return run_sweep(request, sweep, screen.say)
    if rounds:
        return run_rounds(request, rounds, screen.say, store)
    return run_once(request, screen.say)


def run_once(
    request: PolicyRequest,
    say: Say = lambda line: None,
    folder: Path | None = None,
    weights: Mapping[str, float] | None = None,
) -> PolicyReport:
    """Train one policy; `weights` of goals overrule those of the goals file."""
    folder = folder or request.output_dir
    config, prompts, examples = request.config(folder), request.load_prompts(say), request.load_examples(say)
    file = rewards_file.read(request.goals, weights)
    model = request.load_policy()
    if model.tokenizer.chat_template is None:
        say(
            "the policy's tokenizer has no chat template: it reads plain paragraphs, which suits a base model; "
            "an instruct model should have one"
        )
    return train(folder, request, model, prompts, file, config, examples, weights, say)


def run_sweep(request: PolicyRequest, sweep: str, say: Say = lambda line: None) -> SweepReport:
    """Train a policy for each weight of one goal; write a table, a plot and the weight to take.

    Finished runs are not trained again. Raises SettingError for a sweep that cannot be read, or another method.
    """
    name, _, values = sweep.partition("=")
    try:
        weights = [float(value) for value in values.split(",")]
    except ValueError as error:
        raise SettingError(f"--sweep is {sweep!r}; write a goal and its weights, as love=0,0.1,0.3") from error
    # One folder a weight.
    points = []
    for weight in weights:
        folder = request.output_dir / f"{name}-{weight:g}"
        if not (folder / "report.json").exists():
            say(f"{name} {weight:g}")
            run_once(request, say, folder, {name: weight})
        points.append(_point(weight, read_report(folder)))
    # The comparison, beside them.
    report = SweepReport(name, tuple(points), recommend_point(points))
    write_json(request.output_dir / "sweep.json", report.to_json())
    (request.output_dir / "sweep.md").write_text(sweep_page(report), encoding="utf-8")
    plot_sweep(points, name, request.output_dir / "pareto.png")
    return report


def _point(weight: float, report: PolicyReport) -> SweepPoint:
    if report.training is None:
        raise SettingError("--sweep needs --method grpo: only there somebody looks while it trains")
    first, last = report.training.first, report.training.last
    stopped = tuple(alarm.name for alarm in report.training.stopped)
    goals, before = last.goals or {}, first.goals or {}
    return SweepPoint(weight, goals, before, last.held_out, last.floor, first.floor, last.kl, stopped)


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)
