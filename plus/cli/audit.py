"""`plus audit`: every control that can expose a scorer which only seems personal."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plus.cli.dry_run import DryRun, catcher, show_outgoing
from plus.cli.show import bar, loading, notes, print_json, results, say

if TYPE_CHECKING:
    from rich.table import Table


def audit(
    run: Annotated[Path | None, typer.Argument(help="A run folder; or name another scorer below.")] = None,
    reward_model: Annotated[str | None, typer.Option(help="A reward model: a Hub id or a folder.")] = None,
    reward_function: Annotated[str | None, typer.Option(help="A TRL reward function, as module:function.")] = None,
    judge_model: Annotated[
        str | None,
        typer.Option(help="A judge behind --base_url: a reader of the summaries, or alone what is audited."),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Its OpenAI-compatible address; the key is OPENAI_API_KEY.")
    ] = None,
    dataset_name: Annotated[str | None, typer.Option(help="For what is no run: the choices to predict.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="Folder with the data set's files.")] = None,
    summaries: Annotated[
        Path | None,
        typer.Option(help="JSONL of user_id and summary. Default: the run's; elsewhere the past itself is pasted in."),
    ] = None,
    other_run: Annotated[
        list[Path] | None, typer.Option(help="Another seed's run, whose reward model reads these summaries.")
    ] = None,
    persona_steps: Annotated[
        int, typer.Option(help="Updates of a reward model on true personas, as a reader; 0 leaves it out.")
    ] = 0,
    null_steps: Annotated[
        int, typer.Option(help="Updates of a run on choices dealt to other users; 0 leaves it out.")
    ] = 0,
    max_examples: Annotated[int | None, typer.Option(help="Judge the first so many test choices only.")] = None,
    seed: Annotated[int, typer.Option(help="Of the data, for what is no run.")] = 42,
    output_dir: Annotated[
        Path | None, typer.Option(help="New folder for report.json, report.md, predictions.jsonl and plots.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")] = False,
) -> None:
    """Is it personal, or does it only seem so? Own, empty, another's and the opposite user's text; leaks; counterfactuals;
    who else can read the summaries.

    Nothing is sent anywhere unless --judge_model and --base_url name an endpoint.

    Example: plus audit runs/demo-0 --persona_steps 40
    """
    from plus.errors import SettingError

    _refuse(run, reward_model, reward_function, judge_model, base_url, output_dir)
    if dry_run and judge_model is None:
        raise SettingError("without --judge_model nothing would be sent; --dry-run shows what a judge would be")
    caught = catcher() if dry_run else None
    if run is None and dataset_name is None:
        raise SettingError("--dataset_name is missing")
    if run is None and (null_steps or persona_steps):
        raise SettingError("--null_steps and --persona_steps train anew, which takes a run folder")
    with loading("loading"):
        from plus import datasets as sources
        from plus.audit.audit import audit as examine
        from plus.audit.report import write_audit
        from plus.evaluate.controls import PastedHistory
        from plus.evaluate.reward_function import RewardFunction
        from plus.jsonl import read_summaries
        from plus.judge.judge import Judge
        from plus.models.reward_model import RewardModel
        from plus.models.run import load
        from plus.serve.endpoint import Endpoint
        from plus.train import run_folder

        settings = (
            run_folder.read_config(run) if run else {"dataset_name": dataset_name, "data_dir": data_dir, "seed": seed}
        )
        population = sources.from_settings({"data_dir": None, **settings})
        judge = None
        if judge_model and base_url:
            key = "none" if caught else None  # What is caught needs none.
            judge = Judge(Endpoint(base_url, judge_model, key, http_client=caught.client if caught else None))
        loaded = load(run) if run else None
        scorer: Any
        summarizer: Any
        readers: dict[str, Any] = {
            f"the reward model of {name}": load(other).reward_model for name, other in _names(other_run or []).items()
        }
    scorer, summarizer, texts = judge, None, {}
    if loaded is not None:
        scorer, summarizer, texts = loaded.reward_model, loaded.summarizer, loaded.summaries
    elif reward_model:
        scorer = RewardModel.from_pretrained(reward_model)
    elif reward_function:
        scorer = RewardFunction.named(reward_function)
    if summaries is not None:
        texts, summarizer = read_summaries(summaries), None
    elif not texts:
        summarizer = summarizer or PastedHistory(8)
        with notes.status("writing a text about every user"):
            texts = dict(
                zip(population.histories, summarizer.summarize(list(population.histories.values())), strict=True)
            )
    if judge is not None and scorer is not judge:
        readers[f"zero-shot judge {judge_model}"] = judge
    if persona_steps and population.personas:
        readers["a reward model trained on true personas"] = _persona_reader(settings, population, persona_steps)
    null = _null(settings, population, null_steps) if null_steps else None
    with notes.status("auditing"):
        examples = population.split("test")[:max_examples]
        result, predictions = examine(population, scorer, texts, summarizer, readers, null, examples)
    if caught is not None:
        show_outgoing(caught.outgoing, as_json)
        return
    if persona_steps and not population.personas:
        result["not_run"]["a reader of true personas"] = (
            f"{population.name} has real users, whose true taste nobody knows"
        )
    if output_dir is not None:
        write_audit(output_dir, result, predictions, run)
        say(f"report.md, report.json, predictions and plots in {output_dir}")
    if as_json:
        print_json(result)
    else:
        results.print(_table(result), result["verdict"], sep="\n")


def _refuse(
    run: Path | None,
    reward_model: str | None,
    reward_function: str | None,
    judge_model: str | None,
    base_url: str | None,
    output_dir: Path | None,
) -> None:
    """Raises SettingError where it is not clear what to audit, or where to write."""
    from plus.errors import SettingError

    subjects = {"RUN": run, "--reward_model": reward_model, "--reward_function": reward_function}
    named = [name for name, given in subjects.items() if given]
    if len(named) > 1:
        raise SettingError(f"{' and '.join(named)} were both given; audit one scorer at a time")
    if not named and not judge_model:
        raise SettingError("nothing to audit; give a run folder, --reward_model, --reward_function or --judge_model")
    if (judge_model is None) != (base_url is None):
        raise SettingError("--judge_model and --base_url belong together; give both")
    if output_dir is not None and output_dir.exists() and (not output_dir.is_dir() or any(output_dir.iterdir())):
        raise SettingError(f"{output_dir} is in use and nothing is overwritten; give another --output_dir")


def _names(runs: list[Path]) -> dict[str, Path]:
    """Runs by the name of their folder, or by their path where two share one: a report should not say where things lie."""
    names = [run.resolve().name for run in runs]
    return {name if names.count(name) == 1 else str(run): run for name, run in zip(names, runs, strict=True)}


def _persona_reader(settings: dict[str, Any], population, steps: int):
    from plus.baselines import oracle
    from plus.train.run import train_baseline

    with bar("true personas") as show:
        return train_baseline(
            {**settings, "max_steps": steps}, population, oracle.summaries(population),
            lambda step, loss: show(step, steps, {"loss": loss}),
        )  # fmt: skip


def _null(settings: dict[str, Any], population, steps: int):
    from plus.audit.null_run import null_run
    from plus.train.run_log import Progress

    with tempfile.TemporaryDirectory() as folder, bar("null run") as show:
        return null_run(settings, population, Path(folder) / "null", steps, [Progress(show)])


def _table(result: dict[str, Any]) -> Table:
    from rich.table import Table

    mark = {True: "ok", False: "FAILS", None: ""}
    table = Table(
        title=f"{result['dataset']}: {result['targets']:,} choices of {result['users']:,} users", title_justify="left"
    )
    for column in ("control", "", "finding"):
        table.add_column(column)
    for finding in result["findings"]:
        table.add_row(finding["control"], mark[finding["ok"]], finding["sentence"])
    for name, why in result["not_run"].items():
        table.add_row(name, "not run", why)
    return table
