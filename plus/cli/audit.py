"""`plus audit`, `plus evaluate` and `plus benchmark`: is it personal, and better than the simple thing?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plus.cli.dry_run import DryRun, catcher, show_outgoing
from plus.cli.show import SCREEN, accuracy_table, print_json, results, say

if TYPE_CHECKING:
    from rich.table import Table

    from plus.audit.findings import Audit

Run = Annotated[Path | None, typer.Argument(help="A run folder; or name another scorer below.")]
OneRun = Annotated[Path, typer.Argument(help="A run folder.")]
RewardModel = Annotated[str | None, typer.Option(help="A reward model: a Hub id or a folder.")]
RewardFunction = Annotated[str | None, typer.Option(help="A TRL reward function, as module:function.")]
JudgeModel = Annotated[
    str | None,
    typer.Option(help="A judge behind --base_url: a reader of the summaries, or alone what is audited."),
]
BaseUrl = Annotated[str | None, typer.Option(help="Its OpenAI-compatible address; the key is OPENAI_API_KEY.")]
DatasetName = Annotated[str | None, typer.Option(help="For what is no run: the choices to predict.")]
DataDir = Annotated[str | None, typer.Option(help="Folder with the data set's files.")]
Summaries = Annotated[
    Path | None,
    typer.Option(help="JSONL of user_id and summary. Default: the run's; elsewhere the past itself is pasted in."),
]
OtherRun = Annotated[
    list[Path] | None, typer.Option(help="Another seed's run, whose reward model reads these summaries.")
]
PersonaSteps = Annotated[
    int, typer.Option(help="Updates of a reward model on true personas, as a reader; 0 leaves it out.")
]
NullSteps = Annotated[int, typer.Option(help="Updates of a run on choices dealt to other users; 0 leaves it out.")]
MaxExamples = Annotated[int | None, typer.Option(help="Judge the first so many test choices only.")]
Seed = Annotated[int, typer.Option(help="Of the data, for what is no run.")]
OutputDir = Annotated[
    Path | None, typer.Option(help="New folder for report.json, report.md, predictions.jsonl and plots.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]


def audit(
    run: Run = None,
    reward_model: RewardModel = None,
    reward_function: RewardFunction = None,
    judge_model: JudgeModel = None,
    base_url: BaseUrl = None,
    dataset_name: DatasetName = None,
    data_dir: DataDir = None,
    summaries: Summaries = None,
    other_run: OtherRun = None,
    persona_steps: PersonaSteps = 0,
    null_steps: NullSteps = 0,
    max_examples: MaxExamples = None,
    seed: Seed = 42,
    output_dir: OutputDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Audit a scorer: is it personal, or does it only seem so? The same choices with own, empty, another's and the
    opposite user's text; leaks; counterfactual pasts; other readers of the summaries.

    Nothing is sent anywhere unless --judge_model and --base_url name an endpoint.

    Example: plus audit runs/demo-0 --persona_steps 40
    """
    from plus.audit.run import audit as run_audit

    caught = catcher() if dry_run else None
    found = run_audit(
        run, reward_model=reward_model, reward_function=reward_function, judge_model=judge_model, base_url=base_url,
        dataset_name=dataset_name, data_dir=data_dir, summaries=summaries, other_runs=other_run or (),
        persona_steps=persona_steps, null_steps=null_steps, max_examples=max_examples, seed=seed, output_dir=output_dir,
        http_client=caught.client if caught else None, screen=SCREEN,
    )  # fmt: skip
    # A dry run shows what would be sent, and nothing else.
    if caught is not None:
        show_outgoing(caught.outgoing, as_json)
        return
    if output_dir is not None:
        say(f"report.md, report.json, predictions and plots in {output_dir}")
    if as_json:
        print_json(found.to_json())
    else:
        results.print(_table(found), found.verdict, sep="\n")


def evaluate(run: OneRun, as_json: AsJson = False) -> None:
    """Evaluate a run's saved models on users they have never met: accuracy and controls.

    Example: plus evaluate runs/demo
    """
    with SCREEN.loading("loading the run"):
        from plus.audit.report import evaluate as evaluate_run

    report = evaluate_run(run, SCREEN).to_json()
    if as_json:
        print_json(report)
    else:
        results.print(accuracy_table(report), report["verdict"], sep="\n")


def _table(audit: Audit) -> Table:
    from rich.table import Table

    mark = {True: "ok", False: "FAILS", None: ""}
    title = f"{audit.dataset}: {audit.targets:,} choices of {audit.users:,} users"
    table = Table(title=title, title_justify="left")
    for column in ("control", "", "finding"):
        table.add_column(column)
    for finding in audit.findings:
        table.add_row(finding.control, mark[finding.ok], finding.sentence)
    for name, why in audit.not_run.items():
        table.add_row(name, "not run", why)
    return table


BenchmarkFile = Annotated[str | None, typer.Argument(metavar="FILE", help="Rows of your own: JSONL, CSV or Parquet.")]
BenchmarkDatasetName = Annotated[
    str | None,
    typer.Option(
        help="A file, or llmfao, polis, spi, ukpconvarg1: real people. pets, pets_ood, styles, ...: synthetic."
    ),
]
UserIdColumn = Annotated[str, typer.Option(help="Rows of your own: the column that says whose row it is.")]
ColumnNames = Annotated[
    str | None,
    typer.Option(help="Rows of your own: their columns, as prompt=question,user_id=who (plus data check)."),
]
BenchmarkSplitBy = Annotated[
    str | None,
    typer.Option(
        help="Rows of your own: new users, topics (new prompts or answers) or same users alone. Default: all."
    ),
]
AllowDropped = Annotated[
    bool, typer.Option("--allow_dropped", help="Rows of your own: go on where over 5 % cannot be used.")
]
BenchmarkDataDir = Annotated[Path | None, typer.Option(help="Folder with the data set's files.")]
BenchmarkOutputDir = Annotated[
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
BenchmarkDryRun = Annotated[bool, typer.Option("--dry-run", help="With --config: print the options and stop.")]


def benchmark(
    file: BenchmarkFile = None,
    dataset_name: BenchmarkDatasetName = None,
    data_dir: BenchmarkDataDir = None,
    user_id_column: UserIdColumn = "user_id",
    map: ColumnNames = None,
    split_by: BenchmarkSplitBy = None,
    allow_dropped: AllowDropped = False,
    output_dir: BenchmarkOutputDir = None,
    methods: Methods = None,
    seeds: Seeds = None,
    quick: Quick = False,
    ablation: Ablation = False,
    config: Config = None,
    dry_run: BenchmarkDryRun = False,
    as_json: AsJson = False,
) -> None:
    """Benchmark personalization: is it real here, and better than the simple thing? Every method is tested on users
    that it has never met.

    Each cell (method, fold, seed) is computed once and kept; the same command continues where it stopped. On synthetic
    users every seed has a tiny base of its own, made where there is none. Rows of your own are tested on new users, new
    prompts or answers, and the same users, as far as they allow.

    Example: plus benchmark my.jsonl
    """
    from plus.benchmark.run import benchmark as run_benchmark
    from plus.benchmark.run import own_options
    from plus.errors import SettingError

    if (file is None) == (dataset_name is None):
        raise SettingError("plus benchmark takes one data set; give a FILE or --dataset_name, and not both")
    name = file or dataset_name or ""
    if dry_run and config is None:
        raise SettingError("--dry-run prints the options of --config FILE; give one")
    # A dry run resolves the options as a benchmark would, and shows them.
    if dry_run and config is not None and not (quick or ablation):
        with SCREEN.loading("loading torch, transformers and trl"):
            from plus.train.settings import printable
        print_json(printable(own_options(name, data_dir, output_dir, config)[1]))
        return
    # The whole job; a mistake in the options ends it before torch is loaded.
    named = [name.strip() for name in methods.split(",")] if methods else None
    found = run_benchmark(
        name, data_dir, output_dir=output_dir, methods=named, seeds=seeds, quick=quick, ablation=ablation,
        config=config, user_id_column=user_id_column, map=map, split_by=split_by, allow_dropped=allow_dropped,
        screen=SCREEN,
    )  # fmt: skip
    if as_json:
        print_json(found.to_json())
    else:
        results.print((found.folder / "report.md").read_text(encoding="utf-8"), markup=False, soft_wrap=True)
        say(f"report.md, report.json and the predictions of every cell in {found.folder}")
