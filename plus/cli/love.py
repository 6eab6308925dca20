"""`plus love`: from reactions to P[Love], a reward model of what a user will love."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer

from plus.cli.show import bar, loading, notes, print_json, results, say
from plus.cli.stores import AsJson


def love(
    files: Annotated[
        list[str],
        typer.Argument(help="Rows of user_id, prompt, completion, label; a profile store; or a Polis folder."),
    ],
    condition: Annotated[
        str, typer.Option(help="What is read of a user: history (their past reactions), summary, or none.")
    ] = "history",
    summaries: Annotated[Path | None, typer.Option(help="For --condition summary: a summaries.jsonl.")] = None,
    split_by: Annotated[
        str, typer.Option(help="users: test on people never met. time: test on what came after a moment.")
    ] = "users",
    positive_share: Annotated[
        float,
        typer.Option(help="Rare positives are drawn up to this share in training; predictions are of the true rate."),
    ] = 0.1,
    model_name_or_path: Annotated[
        str,
        typer.Option(help="frozen: MiniLM embeddings and a small head. Else any model for sequence classification."),
    ] = "frozen",
    guards: Annotated[bool, typer.Option(help="Leave out duplicates, bursts, and what goes beyond the cap.")] = True,
    max_per_user: Annotated[int, typer.Option(help="The cap: reactions that one user may have.")] = 500,
    max_steps: Annotated[int | None, typer.Option(help="Updates of each member.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Default: 1e-3 for a head, 2e-5 for a whole model.")
    ] = None,
    user_id_column: Annotated[str, typer.Option(help="The column that says whose row it is.")] = "user_id",
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder for the model trained on all users; never overwritten.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the deal, the order and the weights.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Learn how likely a user is to love an answer, from likes and dislikes, and say how far to trust it.

    With --output_dir the model is kept: Love.load(FOLDER).as_reward_function() is a reward for TRL.

    Example: plus love data/polis_sample --output_dir runs/love
    """
    report = run(
        files, condition, summaries, split_by, positive_share, model_name_or_path, guards, max_per_user, max_steps,
        learning_rate, user_id_column, output_dir, seed,
    )  # fmt: skip
    if as_json:
        print_json(report)
    else:
        _print(report)


def run(
    files: Sequence[str | Path], condition: str = "history", summaries: Path | None = None, split_by: str = "users",
    positive_share: float = 0.1, model_name_or_path: str = "frozen", guards: bool = True, max_per_user: int = 500,
    max_steps: int | None = None, learning_rate: float | None = None, user_id_column: str = "user_id",
    output_dir: Path | None = None, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Read, guard, judge on people held out, and keep a model of everybody where a folder is given."""
    from dataclasses import asdict, replace

    from plus.errors import SettingError
    from plus.love import reactions
    from plus.love import splits as deal
    from plus.love.guards import OFF, Guards, guard
    from plus.love.upsampling import Upsampling
    from plus.types import Dropped

    if split_by not in ("users", "time"):
        raise SettingError(f"--split_by is {split_by!r}; it takes users or time")
    Upsampling.of(0.5, positive_share)
    dropped, mended = Dropped(), Dropped()
    with notes.status("reading"):
        known = reactions.load(files, dropped, mended, user_id_column)
        events, suspects = guard(known, replace(Guards(), max_per_user=max_per_user) if guards else OFF, dropped, seed)
    for title, counted in (("left out", dropped), ("mended", mended)):
        for line in counted.lines():
            say(f"{title}: {line}")
    splits = deal.later(events, seed=seed) if split_by == "time" else deal.new_users(events, seed=seed)
    with loading("loading torch and the sentence model"):
        from plus.jsonl import read_summaries, write_json
        from plus.love import report as judging
        from plus.love import run as training
        from plus.love.batches import Texts
        from plus.train.run_folder import refuse_if_used
    if output_dir is not None:
        refuse_if_used(output_dir)
    texts = Texts(condition, read_summaries(summaries) if summaries else {})
    frozen = model_name_or_path == "frozen"
    settings = replace(
        training.LoveSettings() if frozen else training.CLASSIFIER,
        condition=condition, positive_share=positive_share, seed=seed,
    )  # fmt: skip
    settings = replace(
        settings, max_steps=max_steps or settings.max_steps, learning_rate=learning_rate or settings.learning_rate,
        look_every=min(settings.look_every, max_steps or settings.max_steps),
    )  # fmt: skip
    prompts = {reactions.message_of(event)[0] for past in events.values() for event in past}
    new_reader = (
        training.frozen_readers(len(prompts) > 1) if frozen else training.classifier_readers(model_name_or_path)
    )
    with bar("P[Love]") as show:
        total = settings.max_steps * settings.members * (len(splits) + (output_dir is not None))
        done = count(1)

        def on_step(step: int, loss: float) -> None:
            number = next(done)
            if number % 10 == 0:
                show(number, total, {"loss": loss})

        found = judging.judge(splits, settings, new_reader, texts, on_step)
        final = training.fit(events, settings, new_reader, texts, on_step) if output_dir is not None else None
    with notes.status("intervals"):
        features = judging.features_of(new_reader(), events)
        labels = reactions.labels_of(events)
        report: dict[str, Any] = {
            "users": len(events), "reactions": len(labels), "love_rate": sum(labels) / len(labels),
            "condition": condition, "model": model_name_or_path, "settings": asdict(settings),
            "dropped": dict(dropped), "mended": dict(mended), "suspects": [asdict(one) for one in suspects],
            **judging.report(found, splits, features, seed),
            "influence": judging.most_influential(events, features),
        }  # fmt: skip
    if final is not None and output_dir is not None:
        final.save(output_dir)
        write_json(output_dir / "report.json", report)
        say(f"the model and report.json are in {output_dir}")
    return report


def _print(report: dict[str, Any]) -> None:
    said = [
        f"{report['users']:,} users, {report['reactions']:,} reactions, {report['love_rate']:.1%} of them love",
        f"tested on {report['split']}: {report['test_users']:,} users, {report['test_reactions']:,} reactions"
        + ("" if report["timed"] else "; no times, so nothing here is about time"),
        "",
        *(f"{name:<28} AUROC {_shown(value)}" for name, value in report["auroc"].items()),
        "",
        *(f"P[Love] minus {name:<28} {_shown(value, '+')}" for name, value in report["gain"].items()),
        "",
        f"calibration slope {_shown(report['calibration']['slope'])}, intercept {_shown(report['calibration']['intercept'])}",
        f"calibration error {report['calibration']['ece']:.3f}, a perfect model's {report['calibration']['if_perfect']:.3f}",
        f"correlation with length {_shown(report['length_correlation'])}",
        *(
            f"window of {one['reactions']:,} reactions: came minus predicted {_shown(one['difference'], '+')}, AUROC {_shown(one['auroc'])}"
            for one in report["drift"]
        ),
        _offline_line(report["offline_to_online"]),
        *(
            f"stands out: user {one['user_id']}, {one['duplicates']} duplicates and {one['bursts']} in bursts of {one['reactions']} reactions, {'love' if one['love'] > 0.5 else 'no love'} for {one['answer'][:60]!r}"
            for one in report["suspects"][:10]
        ),
        *(
            f"counts most: user {one['user_id']} moves {one['answer'][:60]!r} by {one['change']:+.2f} nats with {one['reactions']} reactions"
            for one in report["influence"][:3]
        ),
    ]
    for line in said:
        results.print(line, markup=False, soft_wrap=True)


def _offline_line(found: dict[str, Any]) -> str:
    if "not_computed" in found:
        return f"offline to online: not computed, {found['not_computed']}"
    return f"offline to online, {found['policies']} policies: r {_shown(found['r'])}, slope {_shown(found['slope'])}"


def _shown(value: list[float | None], sign: str = "") -> str:
    mean, low, high = value
    if mean is None:
        return "-"
    return f"{mean:{sign}.3f}" + ("" if low is None else f" [{low:{sign}.3f}, {high:{sign}.3f}]")
