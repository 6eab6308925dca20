"""`plus benchmark`: every method and its controls on one data set, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plus.cli.show import SCREEN, print_json, results, say

DatasetName = Annotated[
    str,
    typer.Option(help="llmfao, polis or ukpconvarg1: real people's choices. pets, pets_ood, styles, ...: synthetic."),
]
DataDir = Annotated[Path | None, typer.Option(help="Folder with the data set's files.")]
OutputDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the benchmark; one that was stopped is continued. Default: runs/benchmark-NAME."),
]
Methods = Annotated[str | None, typer.Option(help="Names with commas between them. Default: all.")]
Seeds = Annotated[int | None, typer.Option(min=1, help="Training runs of each method and fold, seeds 0, 1, ...")]
Quick = Annotated[
    bool, typer.Option("--quick", help="Ten minutes at most: few updates, two seeds, no base of their own.")
]
Ablation = Annotated[bool, typer.Option("--ablation", help="Which parts of the method carry it, on synthetic users.")]
Config = Annotated[
    Path | None,
    typer.Option(help="YAML file of plus train's options: every method with these models, on any data set."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="With --config: print the options and stop.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]


def benchmark(
    dataset_name: DatasetName,
    data_dir: DataDir = None,
    output_dir: OutputDir = None,
    methods: Methods = None,
    seeds: Seeds = None,
    quick: Quick = False,
    ablation: Ablation = False,
    config: Config = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Benchmark personalization: is it real here, and better than the simple thing? Every method is tested on users
    that it has never met.

    Each cell (method, fold, seed) is computed once and kept; the same command continues where it stopped. On synthetic
    users every seed has a tiny base of its own, made where there is none.

    Example: plus benchmark --dataset_name llmfao --data_dir data/llmfao_sample --seeds 1
    """
    from plus.benchmark.run import benchmark as run_benchmark
    from plus.benchmark.run import own_options
    from plus.errors import SettingError

    if dry_run and config is None:
        raise SettingError("--dry-run prints the options of --config FILE; give one")
    # A dry run resolves the options as a benchmark would, and shows them.
    if dry_run and config is not None and not (quick or ablation):
        with SCREEN.loading("loading torch, transformers and trl"):
            from plus.train.settings import printable
        print_json(printable(own_options(dataset_name, data_dir, output_dir, config)[1]))
        return
    # The whole job; a mistake in the options ends it before torch is loaded.
    named = [name.strip() for name in methods.split(",")] if methods else None
    found = run_benchmark(
        dataset_name, data_dir, output_dir=output_dir, methods=named, seeds=seeds, quick=quick, ablation=ablation,
        config=config, screen=SCREEN,
    )  # fmt: skip
    if as_json:
        print_json(found.to_json())
    else:
        results.print((found.folder / "report.md").read_text(encoding="utf-8"), markup=False, soft_wrap=True)
        say(f"report.md, report.json and the predictions of every cell in {found.folder}")
