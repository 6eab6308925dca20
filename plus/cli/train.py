"""`plus train`: from choices to a summarizer and a reward model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from plus.cli.show import accuracy_table, bar, loading, notes, print_json, results, say

OUTPUT = "Folder of the run; never overwritten."


def train(
    ctx: typer.Context,
    dataset_name: Annotated[
        str | None,
        typer.Option(help="A JSONL, CSV or Parquet file, a folder, a Hub id, or a name such as pets or polis."),
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Folder with the data set's files.")] = None,
    user_id_column: Annotated[
        str | None, typer.Option(help="Rows of your own: the column that says whose row it is.")
    ] = None,
    split_by: Annotated[
        str | None, typer.Option(help="Rows of your own: test on new users, new topics or later choices.")
    ] = None,
    past_events: Annotated[
        str | None, typer.Option(help="Rows of your own: events in a context, at most 8 or between 2-8. Default: half.")
    ] = None,
    allow_dropped: Annotated[
        bool | None, typer.Option("--allow_dropped", help="Rows of your own: go on where over 5 % cannot be used.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="tiny: the CPU base that comes with plus, and settings that learned with it.")
    ] = None,
    model_name_or_path: Annotated[
        str | None, typer.Option(help="The summarizer's base: a Hub id, a folder, or tiny.")
    ] = None,
    reward_model_name_or_path: Annotated[
        str | None,
        typer.Option(
            help="The reward model's base. Default: the summarizer's, since a reward model must already read."
        ),
    ] = None,
    output_dir: Annotated[str | None, typer.Option(help=OUTPUT)] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of options; flags win over it.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Updates.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The summarizer's.")] = None,
    reward_learning_rate: Annotated[
        float | None,
        typer.Option(help="The reward model's: the sharpest knob in trials, too high and nothing is learned."),
    ] = None,
    beta: Annotated[
        float | None,
        typer.Option(help="Weight of the KL to the base. 0.1 nearly blocks learning; 0 invites a private code."),
    ] = None,
    num_generations: Annotated[
        int | None, typer.Option(help="Summaries per user and update, compared with each other; 4 to 8.")
    ] = None,
    per_device_train_batch_size: Annotated[
        int | None,
        typer.Option(
            help="Summaries per update: users x num_generations. 60 or more distinct pairs an update learn reliably."
        ),
    ] = None,
    pairs_per_user: Annotated[int | None, typer.Option(help="Choices that test each summary.")] = None,
    separate_pairs: Annotated[
        bool | None,
        typer.Option(
            help="Reward and reward-model loss on different pairs: a memorised pair earns nothing, at the price of noise."
        ),
    ] = None,
    summary_dropout: Annotated[
        float | None, typer.Option(help="Share of rows read without summary, so that 'empty' stays a fair control.")
    ] = None,
    max_completion_length: Annotated[
        int | None, typer.Option(help="Tokens a summary may have: shorter is cheaper wherever it is read.")
    ] = None,
    max_prompt_length: Annotated[
        int | None, typer.Option(help="Tokens of history: the oldest events are cut first, the instruction never.")
    ] = None,
    use_peft: Annotated[
        bool | None,
        typer.Option("--use_peft", help="Train LoRA adapters of the summarizer; see --lora_r and the like."),
    ] = None,
    reward_use_peft: Annotated[
        bool | None, typer.Option("--reward_use_peft", help="Train LoRA adapters and the head of the reward model.")
    ] = None,
    lora_target_modules: Annotated[
        str | None, typer.Option(help="Linear layers to adapt, as q_proj,v_proj. Default: all-linear.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="Of both models' weights: float32, bfloat16, auto.")] = None,
    attn_implementation: Annotated[
        str | None, typer.Option(help="Attention kernel of both models: sdpa, eager, flash_attention_2.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of data, order and sampling.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved options and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")] = False,
) -> None:
    """Train a summarizer and the reward model that rewards it, together.

    Any other option of TRL's GRPOConfig is taken under its name, as --save_steps 20 or --gradient_checkpointing, and so
    are --lora_r, --lora_alpha, --lora_dropout and --reward_model_init_kwargs. Starts under torchrun too. Continue an interrupted run with
    --output_dir RUN --resume_from_checkpoint, which needs no other option.

    Example: plus train --dataset_name polis --data_dir data/polis_sample --preset tiny --max_steps 30 --output_dir runs/polis
    """
    from plus.train import settings as options

    flags = {key: value for key, value in ctx.params.items() if key not in ("config", "dry_run", "as_json")}
    flags |= options.parse_flags(ctx.args)
    settings = options.resolve(_continued(flags), config)
    if dry_run:
        print_json(options.printable(settings))
        return
    report = run(settings)
    if as_json:
        print_json(report)
    else:
        results.print(
            accuracy_table(report),
            report["verdict"],
            f"summaries, metrics and plot in {settings['output_dir']}",
            sep="\n",
        )


def run(settings: dict[str, Any]) -> dict[str, Any]:
    """Train, judge on new users, and leave everything in the run folder."""
    with loading("loading torch, transformers and trl"):
        from plus import datasets
        from plus.audit.report import report as judge
        from plus.audit.report import write_page
        from plus.audit.run_card import write_card
        from plus.baselines import bradley_terry
        from plus.evaluate.plots import plot_curves
        from plus.jsonl import write_json
        from plus.train import run as training
        from plus.train.run_log import Progress
    population = datasets.from_settings(settings)
    for line in population.dropped.lines():
        say(f"left out: {line}")
    say(f"{population.name}: {len(population.histories):,} users, {len(population.examples):,} choices to predict")
    if population.best_possible is not None:
        say(
            f"whoever draws from each context all that is in it predicts {population.best_possible:.3f} of the test choices"
        )
    with bar("plus") as show:
        trained = training.train(settings, population, say, [Progress(show)])
    if not trained.main:  # Of several processes the first does the rest.
        raise typer.Exit
    total = training.steps(settings, population)
    with bar("bradley_terry") as show:
        texts = bradley_terry.summaries(population.histories)
        plain = training.train_baseline(
            settings,
            population,
            texts,
            lambda step, loss: show(step, total, {"loss": loss}),
        )
    plain.save_pretrained(trained.folder / "bradley_terry")
    with notes.status("summarizing every user and judging on new ones"):
        summaries = training.write_summaries(trained.folder, trained.summarizer, population)
        report, predictions = judge(population, trained.reward_model, summaries, plain, trained.summarizer)
        write_json(trained.folder / "report.json", report)
        write_page(trained.folder, report["audit"], predictions, trained.folder)
        plot_curves(trained.folder)
        write_card(trained.folder, settings, report)
    return report


def _continued(flags: dict[str, Any]) -> dict[str, Any]:
    """With --resume_from_checkpoint the run's own options hold; a flag may not change them."""
    from plus.errors import SettingError

    if not flags.get("resume_from_checkpoint") or flags.get("output_dir") is None:
        return flags
    stored = Path(flags["output_dir"]) / "config.json"
    if not stored.exists():
        return flags
    config = json.loads(stored.read_text(encoding="utf-8"))
    free = ("output_dir", "resume_from_checkpoint")
    changed = [
        key for key, value in flags.items() if value is not None and key not in free and config.get(key) != value
    ]
    if changed:
        raise SettingError(
            f"--{changed[0]} is {flags[changed[0]]!r} and the run was started with {config.get(changed[0])!r}; leave it out to continue, or start a new --output_dir"
        )
    return {**config, **{key: flags[key] for key in free}}
