"""`plus train` and `plus demo`: from choices to a summarizer and a reward model, and the method in a few minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from plus.cli.show import SCREEN, accuracy_table, failure, gains_table, print_json, results
from plus.errors import SettingError
from plus.train.option_help import HELP

# The common options of a run, typed and explained; every other one of TRL's GRPOConfig is taken under its name.
DatasetName = Annotated[
    str | None,
    typer.Option(help="A JSONL, CSV or Parquet file, a folder, a Hub id, or a name such as pets or polis."),
]
DataDir = Annotated[str | None, typer.Option(help="Folder with the data set's files.")]
UserIdColumn = Annotated[str | None, typer.Option(help="Rows of your own: the column that says whose row it is.")]
ColumnNames = Annotated[
    str | None,
    typer.Option(
        help="Rows of your own: their columns, as prompt=question,completion=statement,label=vote,user_id=who."
    ),
]
SplitBy = Annotated[str | None, typer.Option(help="Rows of your own: test on new users, new topics or later choices.")]
PastEvents = Annotated[
    str | None, typer.Option(help="Rows of your own: events in a context, at most 8 or between 2-8. Default: half.")
]
AllowDropped = Annotated[
    bool | None, typer.Option("--allow_dropped", help="Rows of your own: go on where over 5 % cannot be used.")
]
SELECT, LANGUAGE = "Options of the select engine", "Options of language models"
BOTH = "Options of both engines"
EventsPerSummary = Annotated[int | None, typer.Option(help=HELP["events_per_summary"], rich_help_panel=SELECT)]
EmbeddingModel = Annotated[str | None, typer.Option(help=HELP["embedding_model"], rich_help_panel=SELECT)]
Preset = Annotated[
    str | None,
    typer.Option(
        help="tiny: the CPU base that comes with plus, and settings that learned with it.", rich_help_panel=LANGUAGE
    ),
]
Model = Annotated[
    str | None,
    typer.Option(help="The summarizer's base: a Hub id, a folder, FILE.gguf, smollm2, tiny.", rich_help_panel=LANGUAGE),
]
RewardModelName = Annotated[
    str | None,
    typer.Option(
        help="The reward model's base. Default: the summarizer's, since a reward model must already read. embeddings: "
        "past events are selected, the model writes about those alone, and sentence embeddings read it, on two cores.",
        rich_help_panel=LANGUAGE,
    ),
]
OutputDir = Annotated[str | None, typer.Option(help="Folder of the run; never overwritten.")]
Config = Annotated[Path | None, typer.Option(help="YAML file of options; flags win over it.")]
MaxSteps = Annotated[int | None, typer.Option(help="Updates.", rich_help_panel=BOTH)]
LearningRate = Annotated[float | None, typer.Option(help="The summarizer's.", rich_help_panel=BOTH)]
RewardLearningRate = Annotated[float | None, typer.Option(help=HELP["reward_learning_rate"], rich_help_panel=BOTH)]
NumGenerations = Annotated[int | None, typer.Option(help=HELP["num_generations"], rich_help_panel=BOTH)]
PairsPerUser = Annotated[int | None, typer.Option(help=HELP["pairs_per_user"], rich_help_panel=BOTH)]
MaxCompletionLength = Annotated[int | None, typer.Option(help=HELP["max_completion_length"], rich_help_panel=BOTH)]
Seed = Annotated[int | None, typer.Option(help="Of data, order and sampling.", rich_help_panel=BOTH)]
Beta = Annotated[float | None, typer.Option(help=HELP["beta"], rich_help_panel=LANGUAGE)]
BatchSize = Annotated[int | None, typer.Option(help=HELP["per_device_train_batch_size"], rich_help_panel=LANGUAGE)]
SeparatePairs = Annotated[bool | None, typer.Option(help=HELP["separate_pairs"], rich_help_panel=LANGUAGE)]
SummaryDropout = Annotated[float | None, typer.Option(help=HELP["summary_dropout"], rich_help_panel=LANGUAGE)]
MaxPromptLength = Annotated[int | None, typer.Option(help=HELP["max_prompt_length"], rich_help_panel=LANGUAGE)]
UsePeft = Annotated[
    bool | None,
    typer.Option(
        help="Train LoRA adapters of the summarizer; see --lora_r and the like.",
        rich_help_panel=LANGUAGE,
    ),
]
RewardUsePeft = Annotated[
    bool | None,
    typer.Option(
        help="Train LoRA adapters and the head of the reward model.",
        rich_help_panel=LANGUAGE,
    ),
]
LoraTargets = Annotated[
    str | None,
    typer.Option(help="Linear layers to adapt, as q_proj,v_proj. Default: all-linear.", rich_help_panel=LANGUAGE),
]
Dtype = Annotated[
    str | None, typer.Option(help="Of both models' weights: float32, bfloat16, auto.", rich_help_panel=LANGUAGE)
]
Attention = Annotated[
    str | None,
    typer.Option(help="Attention kernel of both models: sdpa, eager, flash_attention_2.", rich_help_panel=LANGUAGE),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the options, estimate time and memory, and stop.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]


def train(
    ctx: typer.Context,
    dataset_name: DatasetName = None,
    data_dir: DataDir = None,
    user_id_column: UserIdColumn = None,
    map: ColumnNames = None,
    split_by: SplitBy = None,
    past_events: PastEvents = None,
    allow_dropped: AllowDropped = None,
    events_per_summary: EventsPerSummary = None,
    embedding_model: EmbeddingModel = None,
    max_steps: MaxSteps = None,
    learning_rate: LearningRate = None,
    reward_learning_rate: RewardLearningRate = None,
    num_generations: NumGenerations = None,
    pairs_per_user: PairsPerUser = None,
    max_completion_length: MaxCompletionLength = None,
    seed: Seed = None,
    preset: Preset = None,
    model_name_or_path: Model = None,
    reward_model_name_or_path: RewardModelName = None,
    beta: Beta = None,
    per_device_train_batch_size: BatchSize = None,
    separate_pairs: SeparatePairs = None,
    summary_dropout: SummaryDropout = None,
    max_prompt_length: MaxPromptLength = None,
    use_peft: UsePeft = None,
    reward_use_peft: RewardUsePeft = None,
    lora_target_modules: LoraTargets = None,
    dtype: Dtype = None,
    attn_implementation: Attention = None,
    output_dir: OutputDir = None,
    config: Config = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Train a summarizer and the reward model that rewards it, together: plus train FILE --output_dir RUN

    Without a model named, the summarizer selects past events and the reward model reads them over sentence embeddings:
    a minute on a CPU. --preset tiny or --model_name_or_path choose a language model, which a second one reads, or those
    embeddings do (--reward_model_name_or_path embeddings). Any other option of TRL's GRPOConfig is taken under its name
    (--save_steps 20), and so are --lora_r, --lora_layers_to_transform (18-29) and --reward_model_init_kwargs. Starts
    under torchrun too. Continue a run with --output_dir RUN --resume_from_checkpoint, which needs no other option.

    Example: plus train choices.jsonl --output_dir runs/mine
    """
    from plus import recipes
    from plus.train.settings import parse_flags

    flags = {key: value for key, value in ctx.params.items() if key not in ("config", "dry_run", "as_json")}
    more = parse_flags(_leading_file(flags, ctx.args))  # First: it names the data set.
    settings = recipes.train_settings(flags | more, config)
    if dry_run:
        return _show_plan(settings)
    SCREEN.say(_engine(settings))
    if (done := recipes.train_run(settings, SCREEN)) is not None and as_json:
        print_json(done.report)
    elif done is not None:
        tables = [accuracy_table(done.report), *([gains_table(done.report)] if "gains" in done.report else [])]
        results.print(*tables, done.report["verdict"], f"all of it is in {done.folder}", sep="\n")


def _show_plan(settings: Mapping[str, Any]) -> None:
    """Print the resolved options as JSON, and on stderr what the run would take."""
    from plus import recipes
    from plus.train.settings import printable

    print_json({k: v for k, v in settings.items() if v is not None} if "engine" in settings else printable(settings))
    recipes.train_forecast(settings, SCREEN)


def _engine(settings: Mapping[str, Any]) -> str:
    """Say which engine trains, and why."""
    if settings.get("engine") == "select":
        if settings["resume_from_checkpoint"]:
            return f"engine      select: the run in {settings['output_dir']} is one of it"
        return (
            "engine      select: no model is named; it selects each user's past choices and reads them over sentence "
            "embeddings; --preset tiny or --model_name_or_path choose a language model"
        )
    if settings.get("engine") == "write":
        why = "--reward_model_name_or_path embeddings asks for it; without it a language model reads"
        if settings["resume_from_checkpoint"]:
            why = f"the run in {settings['output_dir']} is one of it"
        return (
            f"engine      write: past events are selected, {settings['model_name_or_path']} writes about those alone, "
            f"and sentence embeddings read it; {why}"
        )
    model, reads = settings["model_name_or_path"], settings["reward_model_name_or_path"]
    why = "--preset tiny names it" if settings.get("preset") == "tiny" else "--model_name_or_path names it"
    if settings["resume_from_checkpoint"]:
        why = f"the run in {settings['output_dir']} is one of it"
    return (
        f"engine      language model: {model} writes summaries and {reads} reads them; {why}; without a model named "
        "the select engine runs"
    )


def _leading_file(flags: dict[str, Any], words: Sequence[str]) -> list[str]:
    """Take the FILE of `plus train FILE` as the data set; returns the other words.

    It is no argument of typer's, which would take the value of an option that it does not know.
    """
    if not words or words[0].startswith("-"):
        return list(words)
    if flags["dataset_name"] is not None:
        raise SettingError(f"{words[0]} and --dataset_name {flags['dataset_name']} are two data sets; give one")
    flags["dataset_name"] = words[0]
    return list(words[1:])


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

    Synthetic users each like one of eight animals. A tiny language model writes about their past choices, a reward
    model reads that and predicts their next choice, and both learn together. Then the default engine does the same
    on the votes of 280 real people.

    Example: plus demo --seed 1
    """
    from plus import recipes

    done = recipes.demo(seed, output_dir, share_prefix, SCREEN)
    error = (
        failure(1, "missed", f"promises that were missed: {', '.join(map(str, done.missed))}") if done.missed else None
    )
    if as_json:
        print_json(done.report, error)
    else:
        _print_demo(done.report)
    if error:
        raise typer.Exit(error["status"])


def _print_demo(result: Mapping[str, Any]) -> None:
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
        f"what the summaries claim is true in {said['precision']:.1%} of claims, and names the favourite of "
        f"{said['recall']:.1%} of users"
    )
    null = result["null"]
    results.print(f"null run, choices dealt to other users at random ({null['steps']} updates): {null['accuracy']:.3f}")
    _print_real_people(real)
    for line in result["missed"]:
        results.print(f"MISSED: {line}", style="bold red")
    results.print(
        f"{result['verdict']}\n{result['seconds']:.0f} s; summaries, metrics, models and curves.png in {result['run']}"
    )


def _print_real_people(real: Mapping[str, Any]) -> None:
    """Print what the default engine found on real people's votes: one voter line by line, and the gains."""
    from rich.table import Table

    if "not_run" in real:
        results.print(f"real people were left out: {real['not_run']}")
        return
    voter = real["voter"]
    lines = Table(title=f"real people, {real['dataset']}: the summary of one voter", title_justify="left")
    lines.add_column("line, as this voter voted")
    lines.add_column("worth", justify="right")
    for line in voter["lines"]:
        lines.add_row(line["text"], f"{line['worth']:+.3f}")
    results.print(lines)
    results.print(
        f"Of {voter['of_users']} voters never met it is the one whom the summary helps most: of {voter['choices']} "
        f"later choices {voter['accuracy']:.3f} are predicted right with it, {voter['accuracy_empty']:.3f} without. "
        "Worth: nats a choice that are lost without the line."
    )
    results.print(accuracy_table(real), gains_table(real), sep="\n")
