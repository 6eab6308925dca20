"""`plus demo`: the whole method in a few minutes on two CPU cores, with its controls."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from plus.cli.show import accuracy_table, bar, loading, notes, print_json, results, say

NULL_STEPS = 15
REAL = {"preset": "tiny", "dataset_name": "polis", "max_steps": 6, "per_device_train_batch_size": 32}  # 8 users


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
    started = time.monotonic()
    result = run(seed, output_dir or _free(Path("runs") / f"demo-{seed}"), share_prefix)
    result["seconds"] = round(time.monotonic() - started, 1)
    if as_json:
        print_json(result)
    else:
        _print(result)
    if result["missed"]:
        raise typer.Exit(1)


def run(seed: int, folder: Path, share_prefix: bool = True) -> dict[str, Any]:
    """Everything the demo shows, as one dictionary; the run is left in `folder`."""
    with loading("loading torch, transformers and trl"):
        from plus.audit.faithfulness import faithfulness
        from plus.audit.report import report as judge
        from plus.audit.report import write_page
        from plus.audit.run_card import write_card
        from plus.baselines import bradley_terry, oracle, untrained
        from plus.benchmark.targets import missed
        from plus.evaluate.plots import plot_curves
        from plus.jsonl import write_json
        from plus.measures import accuracy
        from plus.train import run as training
        from plus.train import settings as options
        from plus.train.run_log import Progress
        from plus.worlds import pets
    chosen = {"dataset_name": "pets", "seed": seed, "output_dir": str(folder), "share_prefix": share_prefix}
    settings = options.resolve({"preset": "tiny", **chosen})
    population = pets.load(seed)
    test = population.split("test")
    say(f"{population.name}: {len(population.histories):,} users, {len(test):,} test choices, each mirrored")
    base, _ = training.start_models(settings)
    before = untrained.summaries(population, base, seed)
    shown = [example.history for example in test[:5]]
    before_greedy = base.summarize(shown)

    with bar("plus") as show:
        trained = training.train(settings, population, say, [Progress(show)])
    with notes.status("summarizing every user"):
        summaries = training.write_summaries(folder, trained.summarizer, population)

    def baseline(name: str, texts: dict[str, str]):
        with bar(name) as show:
            model = training.train_baseline(
                settings, population, texts, lambda step, loss: show(step, settings["max_steps"], {"loss": loss})
            )
        own = [texts[example.history.user_id] for example in test]
        return model, accuracy(model.log_likelihood(own, [example.target for example in test]))

    plain, _ = baseline("bradley_terry", bradley_terry.summaries(population.histories))
    _, untrained_accuracy = baseline("untrained", before)
    persona_reader, oracle_accuracy = baseline("oracle", oracle.summaries(population))
    plain.save_pretrained(folder / "bradley_terry")
    with notes.status("judging on users never met"):
        readers = {"a reward model trained on true personas": persona_reader}
        result, predictions = judge(population, trained.reward_model, summaries, plain, trained.summarizer, readers)
        result["accuracy"] |= {"untrained": untrained_accuracy, "oracle": oracle_accuracy}
        said = faithfulness(summaries, [e.history for e in test], pets.claims, pets.traits, pets.favourite_of)
        result["faithfulness"] = {"precision": said.precision, "recall": said.recall}

    null = pets.permuted(population, seed)
    with bar("null run") as show:
        null_settings = {**settings, "output_dir": str(folder / "null"), "max_steps": NULL_STEPS}
        permuted = training.train(null_settings, null, lambda line: None, [Progress(show)])
    null_test = null.split("test")
    texts = dict(zip(null.users("test"), permuted.summarizer.summarize([e.history for e in null_test]), strict=True))
    result["null"] = {
        "accuracy": accuracy(
            permuted.reward_model.log_likelihood(
                [texts[e.history.user_id] for e in null_test], [e.target for e in null_test]
            )
        ),
        "steps": NULL_STEPS,
    }
    result["real"] = _real_people(folder, seed)
    result["examples"] = [
        {"user_id": h.user_id, "before": old, "after": summaries[h.user_id], "truth": population.personas[h.user_id]}
        for h, old in zip(shown, before_greedy, strict=True)
    ]
    result |= {"seed": seed, "run": str(folder), "missed": missed(result)}
    write_json(folder / "report.json", result)
    write_page(folder, result["audit"], predictions, folder)
    plot_curves(folder)
    write_card(folder, settings, result)
    return result


def _real_people(folder: Path, seed: int) -> dict[str, Any]:
    """A few updates on the shipped votes: it runs on real rows; what it predicts says little."""
    from plus.cli.train import run as train_run
    from plus.resources import shipped
    from plus.train import settings as options

    report = train_run(
        options.resolve(
            {**REAL, "data_dir": str(shipped("polis_sample")), "seed": seed, "output_dir": str(folder / "polis")}
        )
    )
    return {key: report[key] for key in ("dataset", "accuracy", "controls", "test", "verdict")} | {
        "steps": REAL["max_steps"]
    }


def _free(folder: Path) -> Path:
    """`folder`, or the first of folder-2, folder-3, ... that does not exist."""
    number, found = 1, folder
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found


def _print(result: dict[str, Any]) -> None:
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
