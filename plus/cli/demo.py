"""`plus demo`: the whole method in a few minutes on two CPU cores, with its controls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from plus.cli.show import SCREEN, accuracy_table, print_json, results


def demo(
    seed: Annotated[int, typer.Option(help="Of users, order and sampling.")] = 0,
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder of the run. Default: runs/demo-SEED, or the next free name.")
    ] = None,
    share_prefix: Annotated[
        bool,
        typer.Option(help="Read each history once; --no-share-prefix reads it once per summary, as stock TRL does."),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")] = False,
) -> None:
    """Watch a summarizer go from what users *talked about* to what they *prefer*.

    Synthetic users each like one of eight animals. A tiny language model writes about their past choices, a reward model
    reads that and predicts their next choice, and both learn together. Then the same on a few real people's votes.

    Example: plus demo --seed 1
    """
    from plus import recipes

    done = recipes.demo(seed, output_dir, share_prefix, SCREEN)
    if as_json:
        print_json(done.report)
    else:
        _print(done.report)
    if done.missed:
        raise typer.Exit(1)


def _print(result: Mapping[str, Any]) -> None:
    from rich.table import Table

    results.print(accuracy_table(result))
    examples = Table(title="five users never met", title_justify="left")
    for column in ("before", "after", "truth"):
        examples.add_column(column)
    for row in result["examples"]:
        examples.add_row(row["before"], row["after"], row["truth"])
    results.print(examples)
    said, real = result["faithfulness"], result["real"]
    results.print(
        f"what the summaries claim is true in {said['precision']:.1%} of claims, and names the favourite of {said['recall']:.1%} of users"
    )
    results.print(
        f"null run, choices dealt to other users at random ({result['null']['steps']} updates): {result['null']['accuracy']:.3f}"
    )
    results.print(
        f"real people, {real['dataset']}, {real['steps']} updates: plus {real['accuracy']['plus']:.3f}, bradley_terry "
        f"{real['accuracy']['bradley_terry']:.3f}, majority {real['accuracy']['majority']:.3f} "
        f"({real['test']['users']} users, {real['test']['targets']} choices: too few to judge by)"
    )
    for line in result["missed"]:
        results.print(f"MISSED: {line}", style="bold red")
    results.print(
        f"{result['verdict']}\n{result['seconds']:.0f} s; summaries, metrics, models and curves.png in {result['run']}"
    )
