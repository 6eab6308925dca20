"""`plus profile score` and `why`: what a summary is worth on its user's own choices."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from plus.cli.show import results, say
from plus.cli.stores import (
    AsJson,
    Output,
    RunFolder,
    Shape,
    StoreFile,
    User,
    load_run,
    open_store,
    print_facts,
    print_rows,
    shape_of,
)


def score(
    user: User,
    against: Annotated[int | None, typer.Option(help="A version to compare with. Default: the one before.")] = None,
    run: RunFolder = None,
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Accuracy and log-likelihood of the summary on the user's held-out choices; after an edit: before, after, what flipped.

    Example: plus profile score ann
    """
    from plus.profiles import attribution

    with open_store(store) as opened:
        found = attribution.compare(opened, user, lambda: load_run(opened, run)[0].reward_model, against).to_json()
    shape = shape_of(output, as_json)
    if shape in ("json", "jsonl"):
        print_facts(found, shape)
    else:
        _print(found, shape)


def why(
    user: User,
    run: RunFolder = None,
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Each sentence's worth: held-out log-likelihood with it minus without it, what it says alone, and the choices it came from.

    Example: plus profile why ann
    """
    from plus.profiles import attribution

    with open_store(store) as opened:
        found = attribution.explain(opened, user, lambda: load_run(opened, run)[0].reward_model)
    shape = shape_of(output, as_json)
    full = shape in ("json", "jsonl")
    rows = [
        {
            "id": one.id, "worth": round(one.worth, 4) if full else f"{one.worth:+.3f}", "sentence": one.text, "by": one.origin,
            "since": one.since, "from": [{"event": e, "gain": round(g, 4)} for e, g in one.events] if full else _from(one.events),
        }
        for one in found.sentences
    ]  # fmt: skip
    print_rows(
        rows,
        shape,
        f"{user}: log-likelihood of {found.choices} held-out choices, with the sentence minus without",
        "sentences",
    )
    if not found.reads_whole:
        say(
            "this reward model predicts worse from the whole summary than from one sentence of it: it was trained on shorter ones, so sentences are ranked by what each says alone"
        )
    if shape == "table" and (
        idle := [one.id for one in found.sentences if max(abs(one.worth), abs(one.alone)) < 0.001]
    ):
        say(f"{', '.join(idle)}: changes nothing that can be measured here")


def _from(events: tuple[tuple[str, float], ...]) -> str:
    return ", ".join(f"{name} ({gain:+.2f})" for name, gain in events[:3])


def _print(found: dict[str, Any], shape: Shape) -> None:
    before = found.get("before")
    rows = [] if before is None else [_row(before)]
    print_rows([*rows, _row(found)], shape, f"{found['user_id']}: {found['score']['choices']} held-out choices")
    for flip in found.get("flipped", ()):
        results.print(
            f"flipped to {'right' if flip['after'] > flip['before'] else 'wrong'}: {flip['prompt']} chose: {flip['chosen']} over: {flip['rejected']}",
            markup=False, soft_wrap=True,
        )  # fmt: skip


def _row(found: dict[str, Any]) -> dict[str, Any]:
    score = found["score"]
    low, high = score["accuracy_interval"]
    worst, best = score["log_likelihood_interval"]
    return {
        "version": found["version"], "accuracy": f"{score['accuracy']:.3f} [{low:.3f}, {high:.3f}]",
        "log-likelihood a choice": f"{score['log_likelihood']:.3f} [{worst:.3f}, {best:.3f}]",
    }  # fmt: skip
