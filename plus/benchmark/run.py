"""Benchmark job: every method and its controls on one data set, in one table.

Each cell (method, fold, seed) is computed once and kept; the same call continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plus.benchmark.real_people import PEOPLE
from plus.datasets import SYNTHETIC, is_source
from plus.errors import SettingError
from plus.jsonl import write_json
from plus.progress import SILENT, Screen
from plus.types import Dropped

# Models are imported when the options are known to be good: a mistake is told at once, and without torch.
if TYPE_CHECKING:
    from plus.benchmark.cells import Method, OnCell
    from plus.models.embeddings import Embeddings
    from plus.progress import Show
    from plus.sources.columns import ColumnMap
    from plus.sources.folds import Fold
    from plus.train.select import SelectSettings

QUICK_SEEDS = 2
QUICK = "--quick: too few updates and seeds to judge by, and this base knows pets alone; leave it out for evidence"


@dataclass(frozen=True)
class BenchmarkResult:
    """Result of a benchmark: its folder, and what report.json there holds."""

    folder: Path
    report: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the report with its folder, as `plus benchmark --json` prints it."""
        return {**self.report, "folder": str(self.folder)}


def benchmark(
    dataset_name: str,
    data_dir: str | Path | None = None,
    *,
    output_dir: Path | None = None,
    methods: Sequence[str] | None = None,
    seeds: int | None = None,
    quick: bool = False,
    ablation: bool = False,
    config: Path | None = None,
    user_id_column: str = "user_id",
    map: ColumnMap = None,
    split_by: str | None = None,
    allow_dropped: bool = False,
    screen: Screen = SILENT,
) -> BenchmarkResult:
    """Test every method on users that it has never met, and write report.json and report.md.

    `dataset_name` is a file of rows of your own, llmfao, polis, spi or ukpconvarg1 (real people, with `data_dir`), a
    synthetic data set, or with `config`, a YAML file of `plus train`'s options, any. `user_id_column`, `map`,
    `split_by` (one kind of test alone: users, topics or same) and `allow_dropped` are for rows of your own. `methods`
    are all by default; `seeds` counts training runs. `quick` and `ablation` are for synthetic users. The folder is
    `output_dir`, by default runs/benchmark-NAME; one that was stopped is continued. Raises SettingError and RunError.
    """
    # Options that contradict each other, then one job for each kind of data.
    if config is not None and (quick or ablation):
        raise SettingError(f"--config names its own models; leave out --{'quick' if quick else 'ablation'}")
    if ablation and methods is not None:
        raise SettingError("--ablation runs every arm and --methods names none; scripts/ablation.py takes --arms")
    if config is not None:
        return _own_models(dataset_name, data_dir, output_dir, methods, seeds, config, screen)
    if dataset_name in SYNTHETIC:
        if ablation:
            return _ablation(dataset_name, output_dir, seeds, quick, screen)
        return _synthetic(dataset_name, output_dir, methods, seeds, quick, screen)
    if quick or ablation:
        option = "quick" if quick else "ablation"
        raise SettingError(f"--{option} is for synthetic users ({', '.join(SYNTHETIC)}); leave it out")
    with_rows = {
        "user_id_column": user_id_column, "map": map, "split_by": split_by, "allow_dropped": allow_dropped,
    }  # fmt: skip
    # A name first, as everywhere: a folder called polis does not hide the data set.
    if dataset_name not in PEOPLE and is_source(dataset_name):
        return _real_people(_own_rows(dataset_name, with_rows, screen), output_dir, methods, seeds, screen)
    if asked := [name for name, value in with_rows.items() if value not in ("user_id", None, False)]:
        raise SettingError(f"--{asked[0]} is for rows of your own; {dataset_name} has its own rule, so leave it out")
    return _real_people(_named_people(dataset_name, data_dir, screen), output_dir, methods, seeds, screen)


def own_options(
    dataset_name: str, data_dir: str | Path | None, output_dir: Path | None, config: Path
) -> tuple[Path, dict[str, Any]]:
    """Resolve the folder and a run's options from a YAML file, as `benchmark(config=...)` uses them."""
    from plus.train import settings

    folder = output_dir or Path("runs") / f"benchmark-{Path(dataset_name).stem}-{config.stem}"
    flags = {"dataset_name": dataset_name, "data_dir": data_dir and str(data_dir), "output_dir": str(folder)}
    return folder, settings.resolve(flags, config)


@dataclass(frozen=True)
class _People:
    """Data of a benchmark on real people, and the methods for them.

    stored: what benchmark.json holds of the data; notes: lines of the report; leading: the events of a summary, where
    the report leads with that table.
    """

    name: str
    folds: Sequence[Fold]
    settings: SelectSettings
    seeds: int
    stored: Mapping[str, Any]
    notes: Sequence[str]
    methods: Callable[[Embeddings], Mapping[str, Method]]
    leading: int | None = None


def _named_people(dataset_name: str, data_dir: str | Path | None, screen: Screen) -> _People:
    """Load a named data set of real people: a mistake in it is told before torch is loaded."""
    from plus.benchmark import real_people

    dropped = Dropped()
    folds = real_people.load_folds(dataset_name, data_dir, dropped)
    name = folds[0].name.rsplit("/", 2)[0]
    shown = real_people.SHOWN_IN_PAIRS.get(dataset_name)
    habits = [real_people.habit(shown(Path(data_dir)))] if shown and data_dir else []
    with screen.loading("loading torch and the sentence model"):
        from plus.benchmark.embedding_methods import SEEDS, SETTINGS, EmbeddingMethods
        from plus.benchmark.spi_methods import SpiMethods
    notes = [*(f"left out: {line}" for line in dropped.lines()), *habits]
    stored = {"dataset_name": dataset_name}
    settings, leading = SETTINGS[dataset_name], None
    if dataset_name == "spi" and data_dir is not None:
        leading = settings.events_per_summary
        subject: Callable[[Embeddings], EmbeddingMethods] = partial(SpiMethods, data_dir, settings=settings)
    else:
        subject = partial(EmbeddingMethods, settings=settings)

    def methods(embeddings: Embeddings) -> Mapping[str, Method]:
        return subject(embeddings).methods()

    return _People(name, folds, settings, SEEDS[dataset_name], stored, notes, methods, leading)


def _own_rows(source: str, options: Mapping[str, Any], screen: Screen) -> _People:
    """Load rows of one's own, with the folds that they allow: a mistake in them is told before torch is loaded."""
    from plus.benchmark import own_people

    dropped = Dropped()
    with screen.status("reading rows and making folds"):
        own = own_people.load(source, dropped, **options)
    with screen.loading("loading torch and the sentence model"):
        from plus.benchmark.embedding_methods import OWN_ROWS, EmbeddingMethods
    k = OWN_ROWS.events_per_summary

    def methods(embeddings: Embeddings) -> Mapping[str, Method]:
        return EmbeddingMethods(embeddings, OWN_ROWS, (k,), own_rows=True).methods()

    notes = [*own.notes, *(f"left out: {line}" for line in dropped.lines())]
    stored = {"dataset_name": own.name, "rows": own.fingerprint, "split_by": options["split_by"]}
    return _People(own.name, own.folds, OWN_ROWS, own.seeds, stored, notes, methods, leading=k)


def _real_people(
    people: _People, output_dir: Path | None, methods: Sequence[str] | None, seeds: int | None, screen: Screen
) -> BenchmarkResult:
    """Compute the missing cells on real people and write the report."""
    from plus.benchmark import cells, embedding_methods, embedding_tables, leading_table
    from plus.models import embeddings

    for line in people.notes:
        screen.say(line)
    folder = output_dir or Path("runs") / f"benchmark-{people.name.replace('/', '-')}"
    # 1. The methods. The sentence model is loaded when first asked for: a method that embeds nothing works without.
    model = cache(embeddings.minilm)
    cached = embeddings.Embeddings(lambda lines: model()(lines), folder / "embeddings.safetensors")
    everything = people.methods(cached)
    chosen = _chosen(methods, list(everything))
    number = seeds or people.seeds
    stored = embedding_methods.stored(people.settings)
    # 2. The cells.
    with screen.bar("cells") as show:
        found = cells.run(
            folder, {name: everything[name] for name in chosen}, people.folds, range(number),
            {**people.stored, **stored}, _on_cell(show),
        )  # fmt: skip
    # 3. The report.
    notes = [*people.notes, f"{number} seeds; settings {stored}"]
    with screen.status("intervals"):
        report: dict[str, Any] = {"dataset": people.name, "folder": str(folder), "notes": notes}
        report |= embedding_tables.tables(found, chosen)
        if people.leading:
            report["leading"] = leading_table.leading(found, people.leading, list(report["groups"]))
    write_json(folder / "report.json", report)
    first = leading_table.section(report["leading"], people.leading) if people.leading else []
    (folder / "report.md").write_text(embedding_tables.page(report, first), encoding="utf-8")
    return BenchmarkResult(folder, report)


def _synthetic(
    dataset_name: str,
    output_dir: Path | None,
    methods: Sequence[str] | None,
    seeds: int | None,
    quick: bool,
    screen: Screen,
) -> BenchmarkResult:
    """Compute the missing cells on synthetic users and write the report."""
    with screen.loading("loading torch, transformers and trl"):
        from plus.benchmark import bases, language_models
    folder = output_dir or Path("runs") / f"benchmark-{dataset_name}{'-quick' if quick else ''}"
    number = range(seeds or (QUICK_SEEDS if quick else language_models.SEEDS))
    # A base for each seed and the data set's budget; with --quick the shipped base and a small budget.
    base_of, described = bases.own_base(dataset_name, folder.parent / "bases", screen.say), bases.OWN_BASES
    budget = language_models.BUDGETS[dataset_name]
    if quick:
        base_of, described, budget = bases.shipped_base, bases.SHIPPED_BASE, language_models.QUICK
    subject = language_models.LanguageModelMethods(dataset_name, folder, budget, base_of, screen.say)
    notes = [budget.in_words(described), *([QUICK] if quick else [])]
    return _language_models(subject, methods, number, described, notes, screen)


def _own_models(
    dataset_name: str,
    data_dir: str | Path | None,
    output_dir: Path | None,
    methods: Sequence[str] | None,
    seeds: int | None,
    config: Path,
    screen: Screen,
) -> BenchmarkResult:
    """Compute the missing cells with the models and options of a YAML file and write the report."""
    with screen.loading("loading torch, transformers and trl"):
        from plus.benchmark import bases, language_models
    folder, given = own_options(dataset_name, data_dir, output_dir, config)
    budget = language_models.Budget(given.get("max_steps", -1))
    subject = language_models.LanguageModelMethods(
        dataset_name, folder, budget, bases.shipped_base, screen.say, given=given
    )
    described = f"{given['model_name_or_path']} and {given['reward_model_name_or_path']}"
    return _language_models(subject, methods, range(seeds or language_models.SEEDS), described, [described], screen)


def _language_models(
    subject: Any, methods: Sequence[str] | None, seeds: range, bases: str, notes: Sequence[str], screen: Screen
) -> BenchmarkResult:
    """Compute the missing cells of a `LanguageModelMethods` and write the report."""
    from plus.benchmark.language_model_tables import write_report
    from plus.benchmark.language_models import compute

    chosen = _chosen(methods, list(subject.methods()))
    # The cells that are missing, then the report of all.
    with screen.bar("cells") as show:
        found = compute(subject, seeds, chosen, bases, _on_cell(show))
    with screen.status("intervals"):
        best = subject.best_possible(seeds)
        report = write_report(subject.folder, found, chosen, subject.dataset_name, notes, best)
    return BenchmarkResult(subject.folder, report)


def _ablation(
    dataset_name: str, output_dir: Path | None, seeds: int | None, quick: bool, screen: Screen
) -> BenchmarkResult:
    """Run the missing arms of the ablation on synthetic users and write the report."""
    with screen.loading("loading torch, transformers and trl"):
        from plus import datasets
        from plus.benchmark import bases, language_models
        from plus.benchmark.ablation import run_ablation
    folder = output_dir or Path("runs") / f"benchmark-{dataset_name}{'-quick' if quick else ''}-ablation"
    number = range(seeds or (QUICK_SEEDS if quick else language_models.SEEDS))
    base_of = bases.shipped_base if quick else bases.own_base(dataset_name, folder.parent / "bases", screen.say)
    with screen.bar("arms") as show:
        done = iter(range(1, 1_000_000))
        report = run_ablation(
            folder, lambda seed: datasets.load(dataset_name, seed=seed), list(number), base=base_of,
            on_cell=lambda arm, seed, seconds, stored: show(next(done), 0, {}),
        )  # fmt: skip
    return BenchmarkResult(folder, report)


def _on_cell(show: Show) -> OnCell:
    return lambda name, done, total: show(done, total, {})


def _chosen(asked: Sequence[str] | None, known: list[str]) -> list[str]:
    """Check the methods asked for; all where none is named. Raises SettingError for an unknown one."""
    names = list(asked) if asked else known
    if unknown := [name for name in names if name not in known]:
        raise SettingError(f"--methods names {unknown[0]!r}; it takes {', '.join(known)}")
    return names
