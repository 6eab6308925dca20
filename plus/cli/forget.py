"""`plus forget` and `plus doctor`: take a user or a conversation out of everything, and check the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from plus.cli.show import SCREEN, failure, notes, results, say
from plus.cli.stores import (
    IN_PART,
    AsJson,
    Output,
    Shape,
    StoreFile,
    User,
    Who,
    open_store,
    print_facts,
    print_rows,
    shape_of,
)

SentenceId = Annotated[str, typer.Argument(help="Its id, such as s2.")]
Users = Annotated[list[str] | None, typer.Argument(help="The ids of users.")]
Conversation = Annotated[list[str] | None, typer.Option(help="A conversation's id (session_id); may be given again.")]
Runs = Annotated[list[Path] | None, typer.Option(help="A run folder to clean that the store does not know.")]
UserId = Annotated[str | None, typer.Option(help="Whose --conversation it is, if several users have one of this id.")]
Lift = Annotated[bool, typer.Option("--lift", help="Nothing is forgotten: these forgotten ids may be used again.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List what would be taken out of the store and of each file.")]
BackupFile = Annotated[Path, typer.Argument(help="The backup's file.")]
CheckOnly = Annotated[bool, typer.Option("--check_only", help="Complete nothing that an interrupted forget left.")]


def forget(
    users: Users = None,
    conversation: Conversation = None,
    user_id: UserId = None,
    run: Runs = None,
    lift: Lift = False,
    dry_run: DryRun = False,
    who: Who = "",
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Forget users or conversations: in the store, its log, and the run folders it knows; with a hashed receipt each.

    What cannot be undone here is named: weights to train again, exported files. Jobs that began earlier are refused.
    Unknown ids are named and leave the others' receipts as they are (exit status 6, or 4 where nobody was known).

    Example: plus forget ann
    """
    from plus.errors import ProfileError
    from plus.profiles import forget as forgetting

    if not users and not conversation:
        raise ProfileError("nobody is named; give users' ids, or --conversation ID")
    if conversation and (lift or dry_run):
        raise ProfileError(f"{'--lift' if lift else '--dry-run'} takes users' ids, and no --conversation")
    shape, folders = shape_of(output, as_json), list(run or ())
    # 1. Allow forgotten ids again, list what would go, or forget.
    with open_store(store, who=who) as opened:
        if lift:
            lifted = [{"user_id": user, "lifted": forgetting.lift(opened, user)} for user in users or ()]
            print_rows(lifted, shape, name="users")
            return
        if dry_run:
            _print_plan(forgetting.planned(opened, users or (), folders), shape)
            return
        with notes.status("forgetting"):
            receipts, unknown = forgetting.forget_users(opened, users or (), folders)
            receipts += [forgetting.forget_conversation(opened, one, folders, user_id) for one in conversation or ()]
        if unknown and not receipts:
            opened.user(unknown[0])  # Raises, with the nearest ids.
    # 2. A receipt each; a text that is still found is a fault.
    error = _still_found([receipt.as_dict() for receipt in receipts])
    if unknown:
        line = f"in part: the store holds no user {', '.join(map(repr, unknown))}; the others are forgotten"
        say(line)
        error = error or failure(IN_PART, "in_part", line)
    if shape == "table":
        for receipt in receipts:
            _print(receipt.as_dict())
    else:
        print_rows([receipt.as_dict() for receipt in receipts], shape, name="receipts", error=error)
    if error:
        raise typer.Exit(error["status"])


def _still_found(receipts: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The error of receipts that found a forgotten text; None where nothing is left."""
    files = [path for receipt in receipts for path in receipt["found"]]
    return failure(1, "fault", f"forgotten texts are still in {', '.join(files)}") if files else None


def _print_plan(found: list[dict[str, Any]], shape: Shape) -> None:
    if shape != "table":
        print_rows(found, shape, name="users")
        return
    for one in found:
        counts = ", ".join(f"{count:,} {name}" for name, count in one["store"].items())
        results.print(f"{one['user_id']}: {counts}; nothing was changed", markup=False, soft_wrap=True)
        for folder, files in one["runs"].items():
            lines = ", ".join(f"{n} lines of {name}" for name, n in files.items())
            results.print(f"  run {folder}: {lines}", markup=False, soft_wrap=True)


def erase(
    user: User,
    sentence: SentenceId,
    run: Runs = None,
    who: Who = "",
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Erase a sentence out of every version, its wordings and rules; a hash keeps a model from writing it again.

    The choices it came from stay (plus forget --conversation takes those), and so does a backup.

    Example: plus profile erase ann s2
    """
    from plus.profiles.erase import erase_sentence

    with open_store(store, who=who) as opened, notes.status("erasing"):
        receipt = erase_sentence(opened, user, sentence, list(run or ())).as_dict()
    shape, error = shape_of(output, as_json), _still_found([receipt])
    if shape == "table":
        _print(receipt)
    else:
        print_facts(receipt, shape, error)
    if error:
        raise typer.Exit(error["status"])


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
    error = failure(2, "unsound", "; ".join(found.faults)) if found.faults else None
    if shape != "table":
        print_facts(found.as_dict(), shape, error)
    else:
        results.print(
            f"{found.path}: " + ", ".join(f"{count:,} {name}" for name, count in found.counts.items()), markup=False
        )
        for line in found.faults:
            results.print(f"FAULT: {line}", markup=False, style="bold red")
        for line in found.notes:
            results.print(f"note: {line}", markup=False)
        for receipt in found.receipts:
            _print(receipt)
        results.print("sound" if not found.faults else f"{len(found.faults)} faults")
    if error:
        raise typer.Exit(error["status"])


def backup(output: BackupFile, store: StoreFile = None, as_json: AsJson = False) -> None:
    """Copy the store to a new file while others use it; plus restore puts it back. A copy by cp may lack the newest.

    Example: plus backup profiles-2026-11-26.db
    """
    from plus import recipes

    with open_store(store) as opened, notes.status("copying"):
        size = recipes.backup(opened, output)
    if as_json:
        print_facts({"path": str(output), "bytes": size}, "json")
    else:
        say(f"{size:,} bytes in {output}; whoever is forgotten later is still in it, so delete old ones")


def restore(source: BackupFile, store: StoreFile = None, as_json: AsJson = False) -> None:
    """Restore a backup where there is no store. Users who were forgotten since are taken out again.

    Example: plus restore profiles-2026-11-26.db --store profiles.db
    """
    from plus import recipes

    with notes.status("checking"):
        users = recipes.restore(source, store, SCREEN)
    if as_json:
        print_facts({"users": users}, "json")
    else:
        say(f"{users:,} users are back")


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
    looked = f"searched {searched['files']} files for {searched['texts']} texts and ids"
    none = "none is left in rows of this one" if receipt["shared"] else "0 found"
    lines.append(f"{looked}: " + (f"STILL in {', '.join(found)}" if found else none))
    if receipt["shared"]:
        lines.append(f"the same words in rows of others, which stay: {', '.join(receipt['shared'])}")
    if searched["texts_too_short"] or searched["files_not_searched"]:
        lines.append(
            f"not searched: {searched['texts_too_short']} texts of less than 15 bytes, "
            f"{searched['files_not_searched']} files of weights and pictures"
        )
    if not receipt["rewritten"]:
        lines.append(f"still to be done: {receipt['not_rewritten']}; plus doctor does it")
    lines.append(f"receipt {receipt['sha256']}")
    for line in lines:
        results.print(line, markup=False, soft_wrap=True)
