"""`plus policy`: from prompts and goals to a response policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from plus.cli.show import SCREEN, print_json, results, say
from plus.cli.stores import store_path

Prompts = Annotated[Path, typer.Argument(help="JSONL with prompt (text or messages), and user_id or summary.")]
Goals = Annotated[Path, typer.Option(help="YAML: what to want, how much, and what is a condition.")]
Model = Annotated[str, typer.Option(help="The policy to begin with: a Hub id or a folder.")]
OutputDir = Annotated[Path, typer.Option(help="Folder of the run; an interrupted one goes on.")]
Method = Annotated[str, typer.Option(help="grpo, best_of_n, rejection_sampling or dpo.")]
Summaries = Annotated[Path | None, typer.Option(help="A run folder, or JSONL with user_id and summary.")]
Sft = Annotated[
    Path | None, typer.Option(help="JSONL with prompt, chosen, user_id or summary: answers to imitate first.")
]
Sweep = Annotated[str | None, typer.Option(help="A goal and its weights, as love=0,0.1,0.3: a run each.")]
Rounds = Annotated[
    int | None,
    typer.Option(help="Sample answers, have users choose, learn the first reward_model, train; again.", min=1),
]
StoreOfChoices = Annotated[
    str | None,
    typer.Option(help="With --rounds: what users chose in plus chat with this store is a round's choices."),
]
MaxCompletionLength = Annotated[int, typer.Option(help="Tokens an answer may have.")]
Stop = Annotated[bool, typer.Option("--stop/--no_stop", help="Alarms end the run and put the last good weights back.")]

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]


def policy(
    ctx: typer.Context,
    prompts: Prompts,
    goals: Goals,
    model_name_or_path: Model,
    output_dir: OutputDir,
    method: Method = "grpo",
    summaries: Summaries = None,
    sft: Sft = None,
    sweep: Sweep = None,
    rounds: Rounds = None,
    store: StoreOfChoices = None,
    max_completion_length: MaxCompletionLength = 256,
    stop: Stop = True,
    as_json: AsJson = False,
) -> None:
    """Train a response model that is helpful, loved, safe and personal at once, and be told when it starts to game it.

    Further options are those of TRL's GRPOConfig (--max_steps, --learning_rate, --beta, --num_generations, --seed).

    Example: plus policy prompts.jsonl --goals goals.yaml --model_name_or_path Qwen/Qwen2.5-0.5B-Instruct \
--summaries runs/mine/summaries.jsonl --output_dir runs/policy
    """
    with SCREEN.loading("loading torch"):
        from plus.policy import options
        from plus.train.settings import parse_flags
    report = options.policy(
        prompts, goals, model_name_or_path, output_dir, method, summaries, sft, sweep, rounds,
        store_path(store) if store else None, max_completion_length, stop, SCREEN, **parse_flags(list(ctx.args)),
    ).to_json()  # fmt: skip
    if as_json:
        print_json(report)
    else:
        _show(report, output_dir)


def _show(report: Mapping[str, Any], folder: Path) -> None:
    for alarm in report.get("stopped", []):
        results.print(f"stopped: {alarm['sentence']}", markup=False, soft_wrap=True)
    if report.get("returned") is not None:
        results.print(f"the weights are those of update {report['returned']}", markup=False)
    page = folder / ("sweep.md" if "points" in report else "README.md")
    if page.exists():
        results.print(page.read_text(encoding="utf-8"), markup=False, soft_wrap=True)
    say(f"everything is in {folder}")
