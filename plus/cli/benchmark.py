"""`plus benchmark`: every method and its controls on one data set, in one table."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from plus.cli.show import bar, loading, notes, print_json, results, say

QUICK_SEEDS = 2
QUICK = "--quick: too few updates and seeds to judge by, and this base knows pets alone; leave it out for evidence"


def benchmark(
    dataset_name: Annotated[
        str,
        typer.Option(
            help="llmfao, polis or ukpconvarg1: real people's choices. pets, pets_ood, styles, ...: synthetic."
        ),
    ],
    data_dir: Annotated[Path | None, typer.Option(help="Folder with the data set's files.")] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of the benchmark; one that was stopped is continued. Default: runs/benchmark-NAME."),
    ] = None,
    methods: Annotated[str | None, typer.Option(help="Names with commas between them. Default: all.")] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Training runs of each method and fold, seeds 0, 1, ...")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Ten minutes at most: few updates, two seeds, no base of their own.")
    ] = False,
    ablation: Annotated[
        bool, typer.Option("--ablation", help="Which parts of the method carry it, on synthetic users.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file of plus train's options: every method with these models, on any data set."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --config: print the options and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")] = False,
) -> None:
    """Is personalization real here, and better than the simple thing? Every method, tested on users it has never met.

    Each cell (method, fold, seed) is computed once and kept; the same command continues where it stopped. On synthetic
    users every seed has a tiny base of its own, made where there is none.

    Example: plus benchmark --dataset_name llmfao --data_dir data/llmfao_sample --seeds 1
    """
    from plus.datasets import SYNTHETIC
    from plus.errors import SettingError

    if dry_run and config is None:
        raise SettingError("--dry-run prints the options of --config FILE; give one")
    if config is not None and (quick or ablation):
        raise SettingError(f"--config names its own models; leave out --{'quick' if quick else 'ablation'}")
    if ablation and methods is not None:
        raise SettingError("--ablation runs every arm and --methods names none; scripts/ablation.py takes --arms")
    if config is not None:
        report = own_models(dataset_name, data_dir, output_dir, methods, seeds, config, dry_run)
        if dry_run:
            print_json(report)
            return
    elif dataset_name in SYNTHETIC:
        report = synthetic(dataset_name, output_dir, methods, seeds, quick, ablation)
    elif quick or ablation:
        raise SettingError(
            f"--{'quick' if quick else 'ablation'} is for synthetic users ({', '.join(SYNTHETIC)}); leave it out"
        )
    else:
        report = run(dataset_name, data_dir, output_dir, methods, seeds)
    if as_json:
        print_json(report)
    else:
        results.print(Path(report["folder"], "report.md").read_text(encoding="utf-8"), markup=False, soft_wrap=True)
        say(f"report.md, report.json and the predictions of every cell in {report['folder']}")


def run(
    dataset_name: str, data_dir: Path | None, output_dir: Path | None, methods: str | None, seeds: int | None
) -> dict[str, Any]:
    """Compute the missing cells on real people and write the report."""
    from plus.benchmark import real_people as sources
    from plus.types import Dropped

    dropped = Dropped()
    folds = sources.load(dataset_name, data_dir, dropped)
    for line in dropped.lines():
        say(f"left out: {line}")
    with loading("loading torch and the sentence model"):
        from plus.benchmark import cells, embedding_methods, embedding_tables, position_bias
        from plus.jsonl import write_json
        from plus.models.embeddings import Embeddings, minilm
    settings = embedding_methods.SETTINGS[dataset_name]
    name = folds[0].name.split("/new")[0].split("/same")[0]
    folder = output_dir or Path("runs") / f"benchmark-{name.replace('/', '-')}"
    # Loaded when first asked for: a method that embeds nothing works without.
    model = cache(minilm)
    embeddings = Embeddings(lambda lines: model()(lines), folder / "embeddings.safetensors")
    everything = embedding_methods.People(embeddings, settings).methods()
    chosen = _chosen(methods, list(everything))
    number = seeds or embedding_methods.SEEDS[dataset_name]
    with bar("cells") as show:
        found = cells.run(
            folder, {name: everything[name] for name in chosen}, folds, range(number),
            {"dataset_name": dataset_name, **settings.__dict__},
            lambda name, done, total: show(done, total, {}),
        )  # fmt: skip
    shown = sources.SHOWN_IN_PAIRS.get(dataset_name)
    habits = [position_bias.habit(shown(data_dir))] if shown and data_dir else []
    with notes.status("intervals"):
        report = {
            "dataset": name,
            "folder": str(folder),
            "notes": [
                *(f"left out: {line}" for line in dropped.lines()),
                f"{number} seeds; settings {settings.__dict__}",
                *habits,
            ],
            **embedding_tables.tables(found, chosen),
        }
    write_json(folder / "report.json", report)
    (folder / "report.md").write_text(embedding_tables.markdown(report), encoding="utf-8")
    return report


def synthetic(
    dataset_name: str,
    output_dir: Path | None = None,
    methods: str | None = None,
    seeds: int | None = None,
    quick: bool = False,
    ablation: bool = False,
) -> dict[str, Any]:
    """Compute the missing cells on synthetic users and write the report."""
    with loading("loading torch, transformers and trl"):
        from plus.benchmark import language_models as room
        from plus.benchmark.language_model_tables import write_report
    kind = "".join(f"-{name}" for name, on in (("quick", quick), ("ablation", ablation)) if on)
    folder = output_dir or Path("runs") / f"benchmark-{dataset_name}{kind}"
    number = range(seeds or (QUICK_SEEDS if quick else room.SEEDS))
    base_of = room.shipped_base if quick else room.own_base(dataset_name, folder.parent / "bases", say)
    if ablation:
        return _ablation(dataset_name, folder, number, base_of)
    budget, bases = (room.QUICK, room.SHIPPED_BASE) if quick else (room.BUDGETS[dataset_name], room.OWN_BASES)
    subject = room.Synthetic(dataset_name, folder, budget, base_of, say)
    chosen = _chosen(methods, list(subject.methods()))
    with bar("cells") as show:
        found = room.compute(subject, number, chosen, bases, lambda name, done, total: show(done, total, {}))
    with notes.status("intervals"):
        said = [budget.in_words(bases), *([QUICK] if quick else [])]
        report = write_report(folder, found, chosen, dataset_name, said, subject.best_possible(number))
    return report | {"folder": str(folder)}


def own_models(
    dataset_name: str,
    data_dir: Path | None,
    output_dir: Path | None,
    methods: str | None,
    seeds: int | None,
    config: Path,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Every method with the models and options of a YAML file; with `dry_run` only what a run would use."""
    with loading("loading torch, transformers and trl"):
        from plus.benchmark import language_models as room
        from plus.benchmark.language_model_tables import write_report
        from plus.train import settings as options
    folder = output_dir or Path("runs") / f"benchmark-{Path(dataset_name).stem}-{config.stem}"
    flags = {"dataset_name": dataset_name, "data_dir": data_dir and str(data_dir), "output_dir": str(folder)}
    given = options.resolve(flags, config)
    if dry_run:
        return options.printable(given)
    budget = room.Budget(given.get("max_steps", -1))
    subject = room.Synthetic(dataset_name, folder, budget, room.shipped_base, say, given=given)
    chosen, number = _chosen(methods, list(subject.methods())), range(seeds or room.SEEDS)
    bases = f"{given['model_name_or_path']} and {given['reward_model_name_or_path']}"
    with bar("cells") as show:
        found = room.compute(subject, number, chosen, bases, lambda name, done, total: show(done, total, {}))
    with notes.status("intervals"):
        report = write_report(folder, found, chosen, dataset_name, [bases], subject.best_possible(number))
    return report | {"folder": str(folder)}


def _ablation(dataset_name: str, folder: Path, seeds: range, base_of) -> dict[str, Any]:
    from plus import datasets
    from plus.benchmark.ablation import run_ablation

    with bar("arms") as show:
        done = iter(range(1, 1_000_000))
        report = run_ablation(
            folder, lambda seed: datasets.load(dataset_name, seed=seed), list(seeds), base=base_of,
            on_cell=lambda arm, seed, seconds, stored: show(next(done), 0, {}),
        )  # fmt: skip
    return report | {"folder": str(folder)}


def _chosen(asked: str | None, known: list[str]) -> list[str]:
    from plus.errors import SettingError

    names = [name.strip() for name in asked.split(",")] if asked else known
    if unknown := [name for name in names if name not in known]:
        raise SettingError(f"--methods names {unknown[0]!r}; it takes {', '.join(known)}")
    return names
