"""`plus benchmark`: every method and its controls on one data set, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from plus.cli.show import bar, loading, notes, print_json, results, say


def benchmark(
    dataset_name: Annotated[str, typer.Option(help="llmfao, polis or ukpconvarg1: real people's choices.")],
    data_dir: Annotated[Path | None, typer.Option(help="Folder with the data set's files.")] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of the benchmark; one that was stopped is continued. Default: runs/benchmark-NAME."),
    ] = None,
    methods: Annotated[str | None, typer.Option(help="Names with commas between them. Default: all.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Training runs of each method and fold, seeds 0, 1, ...")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")] = False,
) -> None:
    """Is personalization real here, and better than the simple thing? Every method, tested on users it has never met.

    Each cell (method, fold, seed) is computed once and kept; the same command continues where it stopped.

    Example: plus benchmark --dataset_name llmfao --data_dir data/llmfao_sample --seeds 1
    """
    report = run(dataset_name, data_dir, output_dir, methods, seeds)
    if as_json:
        print_json(report)
    else:
        results.print(Path(report["folder"], "report.md").read_text(encoding="utf-8"), markup=False, soft_wrap=True)
        say(f"report.md, report.json and the predictions of every cell in {report['folder']}")


def run(
    dataset_name: str, data_dir: Path | None, output_dir: Path | None, methods: str | None, seeds: int | None
) -> dict[str, Any]:
    """Compute the missing cells and write the report."""
    from plus.sources import people as sources
    from plus.sources.population import Dropped

    dropped = Dropped()
    folds = sources.load(dataset_name, data_dir, dropped)
    for line in dropped.lines():
        say(f"left out: {line}")
    with loading("loading torch and the sentence model"):
        from plus.evaluate import benchmark as cells
        from plus.evaluate import people, people_table
        from plus.models.embeddings import Embeddings, minilm
        from plus.train.run_folder import write_json
    settings = people.SETTINGS[dataset_name]
    folder = (
        output_dir or Path("runs") / f"benchmark-{folds[0].name.split('/new')[0].split('/same')[0].replace('/', '-')}"
    )
    everything = people.People(Embeddings(minilm(), folder / "embeddings.safetensors"), settings).methods()
    chosen = _chosen(methods, list(everything))
    number = seeds or people.SEEDS[dataset_name]
    with bar("cells") as show:
        found = cells.run(
            folder, {name: everything[name] for name in chosen}, folds, range(number),
            {"dataset_name": dataset_name, **settings.__dict__},
            lambda name, done, total: show(done, total, {}),
        )  # fmt: skip
    with notes.status("intervals"):
        report = {
            "dataset": folder.name,
            "folder": str(folder),
            "notes": [
                *(f"left out: {line}" for line in dropped.lines()),
                f"{number} seeds; settings {settings.__dict__}",
            ],
            **people_table.tables(found, chosen),
        }
    write_json(folder / "report.json", report)
    (folder / "report.md").write_text(people_table.markdown(report), encoding="utf-8")
    return report


def _chosen(asked: str | None, known: list[str]) -> list[str]:
    from plus.errors import SettingError

    names = [name.strip() for name in asked.split(",")] if asked else known
    if unknown := [name for name in names if name not in known]:
        raise SettingError(f"--methods names {unknown[0]!r}; it takes {', '.join(known)}")
    return names
