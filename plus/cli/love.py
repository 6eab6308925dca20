"""`plus love`: from reactions to P[Love], a reward model of what a user will love."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from plus.cli.data import ColumnNames
from plus.cli.show import SCREEN, print_json, results
from plus.cli.stores import AsJson

Files = Annotated[
    list[str],
    typer.Argument(help="Rows of user_id, prompt, completion, label; a profile store; or a Polis folder."),
]
Condition = Annotated[
    str, typer.Option(help="What is read of a user: history (their past reactions), summary, or none.")
]
Summaries = Annotated[
    Path | None, typer.Option(help="For --condition summary: a run folder, or JSONL of user_id and summary.")
]
SplitBy = Annotated[str, typer.Option(help="users: test on people never met. time: test on what came after a moment.")]
PositiveShare = Annotated[
    float,
    typer.Option(help="Rare positives are drawn up to this share in training; predictions are of the true rate."),
]
Model = Annotated[
    str,
    typer.Option(help="frozen: MiniLM embeddings and a small head. Else any model for sequence classification."),
]
UseGuards = Annotated[bool, typer.Option(help="Leave out duplicates, bursts, and what goes beyond the cap.")]
MaxPerUser = Annotated[int, typer.Option(help="The cap: reactions that one user may have.")]
MaxSteps = Annotated[int | None, typer.Option(help="Updates of each member.")]
LearningRate = Annotated[float | None, typer.Option(help="Default: 1e-3 for a head, 2e-5 for a whole model.")]
UserIdColumn = Annotated[str, typer.Option(help="The column that says whose row it is.")]
OutputDir = Annotated[Path | None, typer.Option(help="Folder for the model trained on all users; never overwritten.")]
Seed = Annotated[int, typer.Option(help="Of the deal, the order and the weights.")]


def love(
    files: Files,
    condition: Condition = "history",
    summaries: Summaries = None,
    split_by: SplitBy = "users",
    positive_share: PositiveShare = 0.1,
    model_name_or_path: Model = "frozen",
    guards: UseGuards = True,
    max_per_user: MaxPerUser = 500,
    max_steps: MaxSteps = None,
    learning_rate: LearningRate = None,
    user_id_column: UserIdColumn = "user_id",
    map: ColumnNames = None,
    output_dir: OutputDir = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Learn how likely a user is to love an answer, from likes and dislikes, and say how far to trust it.

    With --output_dir the model is kept: Love.load(FOLDER).as_reward_function() is a reward for TRL.

    Example: plus love data/polis_sample --output_dir runs/love
    """
    with SCREEN.loading("loading torch and the sentence model"):
        from plus.love import report
    result = report.love(
        files, condition, summaries, split_by, positive_share, model_name_or_path, guards, max_per_user, max_steps,
        learning_rate, user_id_column, output_dir, seed, SCREEN, map,
    )  # fmt: skip
    if as_json:
        print_json(result.to_json())
    else:
        _print(result.to_json())


def _print(report: Mapping[str, Any]) -> None:
    fit = report["calibration"]
    lines = [
        f"{report['users']:,} users, {report['reactions']:,} reactions, {report['love_rate']:.1%} of them love",
        f"tested on {report['split']}: {report['test_users']:,} users, {report['test_reactions']:,} reactions"
        + ("" if report["timed"] else "; no times, so nothing here is about time"),
        "",
        *(f"{name:<28} AUROC {_shown(value)}" for name, value in report["auroc"].items()),
        "",
        *(f"P[Love] minus {name:<28} {_shown(value, '+')}" for name, value in report["gain"].items()),
        "",
        f"calibration slope {_shown(fit['slope'])}, intercept {_shown(fit['intercept'])}",
        f"calibration error {fit['ece']:.3f}, a perfect model's {fit['if_perfect']:.3f}",
        f"correlation with length {_shown(report['length_correlation'])}",
        *(
            f"window of {one['reactions']:,} reactions: came minus predicted {_shown(one['difference'], '+')}, "
            f"AUROC {_shown(one['auroc'])}"
            for one in report["drift"]
        ),
        _offline_line(report["offline_to_online"]),
        *(
            f"stands out: user {one['user_id']}, {one['duplicates']} duplicates and {one['bursts']} in bursts of "
            f"{one['reactions']} reactions, {'love' if one['love'] > 0.5 else 'no love'} for {one['answer'][:60]!r}"
            for one in report["suspects"][:10]
        ),
        *(
            f"counts most: user {one['user_id']} moves {one['answer'][:60]!r} by {one['change']:+.2f} nats with "
            f"{one['reactions']} reactions"
            for one in report["influence"][:3]
        ),
    ]
    for line in lines:
        results.print(line, markup=False, soft_wrap=True)


def _offline_line(found: Mapping[str, Any]) -> str:
    if "not_computed" in found:
        return f"offline to online: not computed, {found['not_computed']}"
    return f"offline to online, {found['policies']} policies: r {_shown(found['r'])}, slope {_shown(found['slope'])}"


def _shown(value: list[float | None], sign: str = "") -> str:
    mean, low, high = value
    if mean is None:
        return "-"
    return f"{mean:{sign}.3f}" + ("" if low is None else f" [{low:{sign}.3f}, {high:{sign}.3f}]")
