"""`plus forget` and `plus doctor`: take a user or a conversation out of everything, and check the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from plus.cli.show import notes, results, say
from plus.cli.stores import AsJson, Output, StoreFile, open_store, print_facts, print_rows, shape_of

Users = Annotated[list[str] | None, typer.Argument(help="The ids of users.")]
Conversation = Annotated[list[str] | None, typer.Option(help="A conversation's id (session_id); may be given again.")]
Runs = Annotated[list[Path] | None, typer.Option(help="A run folder to clean that the store does not know.")]
Lift = Annotated[bool, typer.Option("--lift", help="Nothing is forgotten: these forgotten ids may be used again.")]
CheckOnly = Annotated[bool, typer.Option("--check_only", help="Complete nothing that an interrupted forget left.")]


def forget(
    users: Users = None,
    conversation: Conversation = None,
    run: Runs = None,
    lift: Lift = False,
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Forget users or conversations: in the store, its log, and the run folders it knows; with a hashed receipt.

    What cannot be undone here is named: weights to train again, exported files. Jobs that began earlier are refused.

    Example: plus forget ann
    """
    from plus.errors import ProfileError
    from plus.profiles import forget as forgetting

    if not users and not conversation:
        raise ProfileError("nobody is named; give users' ids, or --conversation ID")
    # 1. Forget, or allow forgotten ids again.
    with open_store(store) as opened:
        if lift:
            for user in users or ():
                say(f"{user}: " + ("may be used again" if forgetting.lift(opened, user) else "was not forgotten"))
            return
        folders = list(run or ())
        with notes.status("forgetting"):
            receipts = [forgetting.forget_user(opened, user, folders) for user in users or ()]
            receipts += [forgetting.forget_conversation(opened, name, folders) for name in conversation or ()]
    # 2. A receipt each; a text that is still found is a fault.
    shape = shape_of(output, as_json)
    if shape == "table":
        for receipt in receipts:
            _print(receipt.as_dict())
    else:
        print_rows([receipt.as_dict() for receipt in receipts], shape, name="receipts")
    if any(receipt.found for receipt in receipts):
        raise typer.Exit(1)


def doctor(
    check_only: CheckOnly = False, store: StoreFile = None, output: Output = "table", as_json: AsJson = False
) -> None:
    """Check the store's file and every summary in it; complete an interrupted forget. Exit status 2 for a fault.

    Example: plus doctor
    """
    from plus.profiles.doctor import examine

    with open_store(store) as opened, notes.status("looking"):
        found = examine(opened, not check_only)
    shape = shape_of(output, as_json)
    if shape != "table":
        print_facts(found.as_dict(), shape)
    else:
        results.print(
            f"{found.path}: " + ", ".join(f"{count:,} {name}" for name, count in found.counts.items()), markup=False
        )
        for line in found.faults:
            results.print(f"FAULT: {line}", markup=False, style="bold red")
        for line in found.notes:
            results.print(f"note: {line}", markup=False)
        results.print("sound" if not found.faults else f"{len(found.faults)} faults")
    if found.faults:
        raise typer.Exit(2)


def _print(receipt: dict[str, Any]) -> None:
    removed = ", ".join(f"{count:,} {name}" for name, count in receipt["removed"].items())
    again = f"; {receipt['rebuilt']} summaries rebuilt from what is left" if receipt["rebuilt"] else ""
    lines = [f"forgotten ({receipt['kind']}): {removed or 'nothing was left in the store'}{again}"]
    # 1. What was cleaned, and what cannot be.
    lines += [
        f"run {folder}: " + ", ".join(f"{n} lines of {name}" for name, n in files.items())
        for folder, files in receipt["runs"].items()
    ]
    lines += [f"not found, so not cleaned: {folder}" for folder in receipt["runs_not_found"]]
    lines += [f"trained with it, train again: {folder}" for folder in receipt["retrain"]]
    lines += [f"exported, yours to delete: {path}" for path in receipt["exports"]]
    lines += [f"another store, forget there too with --store: {path}" for path in receipt["other_stores"]]
    lines += [
        f"open in {name}: it reads the store anew, and what it read before may be in its memory until it ends"
        for name in receipt["programs"]
    ]
    # 2. What the search found.
    searched, found = receipt["searched"], receipt["found"]
    lines.append(
        f"searched {searched['files']} files for {searched['texts']} texts "
        f"({searched['shared_with_others']} are other users' too): "
        + (f"STILL in {', '.join(found)}" if found else "0 found")
    )
    if not receipt["rewritten"]:
        lines.append("a reader still holds the old log open; plus doctor empties it when it has ended")
    lines.append(f"receipt {receipt['sha256']}")
    for line in lines:
        results.print(line, markup=False, soft_wrap=True)
