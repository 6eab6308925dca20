"""`plus profile tell`: an edit in words, proposed by a model, written after a yes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plus.cli.dry_run import BaseUrl, DryRun, catcher, show_outgoing
from plus.cli.profile import print_version
from plus.cli.show import notes, results, say, visible
from plus.cli.stores import AsJson, Output, RunFolder, StoreFile, User, Who, load_run, open_store, print_facts, shape_of

if TYPE_CHECKING:
    from plus.profiles.store import Store
    from plus.profiles.tell import Proposal
    from plus.types import Scorer

Words = Annotated[str, typer.Argument(help="What has changed, or what is to be left out.")]
Model = Annotated[str, typer.Option(help="The model that proposes the edit.")]
Yes = Annotated[bool, typer.Option("--yes", help="Write the proposal without asking.")]


def tell(
    user: User,
    words: Words,
    model: Model = "gpt-5",
    base_url: BaseUrl = "https://api.openai.com/v1",
    yes: Yes = False,
    run: RunFolder = None,
    dry_run: DryRun = False,
    who: Who = "",
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Change a summary in words: a model proposes the edit, you see the difference, and nothing is written without yes.

    Where the store knows a run with a reward model, it says what the edit does to held-out choices. Sends the sentences
    in use and your words to --base_url with your OPENAI_API_KEY; no user id, and nothing that is paused.

    Example: plus profile tell ann "I moved to Oslo, and stop mentioning my diet" --model gpt-5
    """
    from plus.profiles import tell as telling
    from plus.recipes import edit_writer

    shape = shape_of(output, as_json)
    with open_store(store, who=who) as opened:
        # 1. What would be sent, or the model's proposal.
        caught = catcher() if dry_run else None
        writer = edit_writer(base_url, model, caught)
        if caught:
            writer.complete(telling.messages(opened, user, words))
            show_outgoing(caught.outgoing, as_json)
            return
        with notes.status("asking the model"):
            proposal = telling.propose(opened, user, words, writer, lambda: _reward_model(opened, run))
        # 2. A yes, and the edit.
        if shape == "table":
            _print(proposal)
        written = not proposal.told.is_empty and (yes or (shape == "table" and _said_yes()))
        saved = telling.accept(opened, proposal) if written else None
        if shape != "table":
            print_facts({**proposal.to_json(), "written": written}, shape)
        elif saved:
            print_version(opened, saved, shape)
        else:
            say("nothing was written" + ("" if proposal.told.is_empty else "; --yes writes it without asking"))


def _reward_model(store: Store, run: Path | None) -> Scorer | None:
    """The reward model of --run or of the store's run; None where the store knows no run."""
    if run is None and not any(folder.is_dir() for folder in store.runs()):
        return None
    return load_run(store, run)[0].reward_model


def _said_yes() -> bool:
    """Ask on the terminal; without one the answer is no."""
    if not sys.stdin.isatty():
        return False
    notes.print("write this? [y/N] ", end="", markup=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _print(proposal: Proposal) -> None:
    """The difference, reasons to look at it, and its effect."""
    results.print(visible(proposal.diff) or "the model proposes no change", markup=False, soft_wrap=True)
    for flag in proposal.flags:
        say(f"look at it: {flag.replace('_', ' ')} in the new words")
    if (effect := proposal.effect) is None:
        return
    before, after = effect.before, effect.after
    say(
        f"on {after.choices} held-out choices: accuracy {before.accuracy:.3f} -> {after.accuracy:.3f}, "
        f"log-likelihood {before.log_likelihood:.3f} -> {after.log_likelihood:.3f}"
    )
    for flip in effect.flipped:
        side, pair = "right" if flip.after > flip.before else "wrong", flip.pair
        say(f"flips to {side}: {pair.prompt} chose: {pair.chosen} over: {pair.rejected}")
