"""`plus evaluate`: judge a run again. It never trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from plus.cli.show import accuracy_table, loading, notes, print_json, results


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")] = False,
) -> None:
    """Accuracy and controls of a run on users it has never met, from its saved models.

    Example: plus evaluate runs/demo
    """
    with loading("loading the run"):
        from plus import datasets
        from plus.audit.report import report as judge
        from plus.models.reward_model import RewardModel
        from plus.models.run import load

        loaded = load(run)
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
        population = datasets.from_settings(config)
        plain = run / "bradley_terry"
        baseline = RewardModel.from_pretrained(plain, loaded.reward_model.max_length) if plain.exists() else None
    with notes.status("summarizing and judging"):
        histories = {example.history.user_id: example.history for example in population.split("test")}
        summaries = dict(zip(histories, loaded.summarizer.summarize(list(histories.values())), strict=True))
        report, _ = judge(population, loaded.reward_model, summaries, baseline, loaded.summarizer)
    if as_json:
        print_json(report)
    else:
        results.print(accuracy_table(report), report["verdict"], sep="\n")
