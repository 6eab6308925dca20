"""`plus gate`: below which relevance a prompt should go without the summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from plus.cli.show import loading, notes, print_json, say
from plus.cli.stores import AsJson, RunFolder, StoreFile, load_run, open_store
from plus.types import Preference

if TYPE_CHECKING:
    from plus.profiles.store import Store
    from plus.serve.gate import Encode, Gate, HeldOut
    from plus.types import Scorer


def gate(
    keep: Annotated[
        float, typer.Option(help="Share of the summaries' gain that must not be given up.", min=0.5, max=1)
    ] = 0.95,
    run: RunFolder = None,
    store: StoreFile = None,
    as_json: AsJson = False,
) -> None:
    """Find the threshold for plus proxy --gate, on held-out choices scored by the run's reward model.

    One half of the users sets it, the other half shows what it does. Nothing is sent. Where summaries help with any prompt, as a
    liking for short answers does, the threshold is so low that nothing is held back.

    Example: plus gate --store runs/demo-0
    """
    from plus.serve.gate import Gate, calibrate, measure

    with open_store(store) as opened:
        scorer = load_run(opened, run)[0].reward_model
        measuring = Gate(sentence_model(), 0.0)
        with notes.status("scoring held-out choices"):
            halves = _held_out(opened, measuring, scorer)
    found = calibrate(halves[0], keep)
    checked = measure(halves[1], found.threshold)
    facts = {
        "threshold": found.threshold, "choices": len(halves[0]), "kept": found.kept, "gain_kept": found.gain_kept,
        "other_half": {"choices": len(halves[1]), "kept": checked.kept, "gain_kept": checked.gain_kept},
    }  # fmt: skip
    if as_json:
        print_json(facts)
        return
    print(f"--gate {found.threshold:.3f}")
    say(
        f"set on {len(halves[0]):,} held-out choices; on {len(halves[1]):,} of other users {checked.kept:.1%} of the "
        f"prompts keep the summary, and these hold {checked.gain_kept:.1%} of its gain"
    )


def sentence_model() -> Encode:
    """The sentence model of the `embed` extra. Raises ModelError where it is missing."""
    with loading("loading the sentence model"):
        from plus.models.embeddings import minilm
    encode = minilm()
    return lambda lines: encode(lines).tolist()


def _held_out(store: Store, gate: Gate, scorer: Scorer) -> tuple[list[HeldOut], list[HeldOut]]:
    """Relevance and gain of every held-out choice, users dealt to two halves."""
    from plus.serve.gate import HeldOut

    halves: tuple[list[HeldOut], list[HeldOut]] = ([], [])
    number = 0
    for user_id in store.users():
        summary = store.summary(user_id)
        pairs = [e.content for e in store.events(user_id, held_out=True) if isinstance(e.content, Preference)]
        if summary is None or not summary.text.strip() or not pairs:
            continue
        gains = zip(
            scorer.log_likelihood([summary.text] * len(pairs), pairs),
            scorer.log_likelihood([""] * len(pairs), pairs),
            strict=True,
        )
        halves[number % 2].extend(
            HeldOut(gate.relevance([pair.prompt], summary.text), with_it - without)
            for pair, (with_it, without) in zip(pairs, gains, strict=True)
        )
        number += 1
    return halves
