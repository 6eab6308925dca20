"""`plus profile pause`, `resume`, `rules` and `actions`: keep without using, rules for all users, who changed what."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

import typer

from plus.cli.profile import print_version
from plus.cli.show import say
from plus.cli.stores import AsJson, Output, StoreFile, User, Who, open_store, print_facts, print_rows, shape_of

SentenceId = Annotated[str, typer.Argument(help="A sentence's id, such as s2. Default: all that is known.")]
AnyUser = Annotated[str, typer.Argument(help="A user's id, also one who was forgotten. Default: all users.")]
Add = Annotated[list[str] | None, typer.Option("--add", help='"health", "diabet*" (any ending); may be given again.')]
Remove = Annotated[list[str] | None, typer.Option("--remove", help="Words to allow again; may be given again.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count what --add would take out, and change nothing.")]
Limit = Annotated[int | None, typer.Option(help="How many actions at most. Default: 50 in a table, else all.", min=1)]


def pause(
    user: User,
    sentence: SentenceId = "",
    who: Who = "",
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Keep everything about a user, or one sentence, and use it nowhere: no program gets it, no update changes it.

    Example: plus profile pause ann s2
    """
    from plus.profiles import decisions

    with open_store(store, who=who) as opened:
        decisions.pause(opened, user, sentence)
        print_version(opened, opened.current(user), shape_of(output, as_json))


def resume(
    user: User,
    sentence: SentenceId = "",
    who: Who = "",
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Use what was paused again: everything about a user, or one sentence.

    Example: plus profile resume ann s2
    """
    from plus.profiles import decisions

    with open_store(store, who=who) as opened:
        decisions.resume(opened, user, sentence)
        print_version(opened, opened.current(user), shape_of(output, as_json))


def rules(
    add: Add = None,
    remove: Remove = None,
    dry_run: DryRun = False,
    who: Who = "",
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """List or change the rules for all users: words that no summary may hold.

    They are found as whole words, in any case; a topic has to be named word by word. Sentences that hold them are taken
    out of the current summaries, locked ones and people's own too; older versions keep them until plus profile erase.

    Example: plus profile rules --add health --add "diabet*" --dry-run
    """
    from plus.errors import ProfileError
    from plus.profiles import bans

    if dry_run and not add:
        raise ProfileError("--dry-run counts what --add would take out; give --add WORDS")
    facts: dict[str, Any] = {}
    with open_store(store, who=who) as opened:
        if remove and not dry_run:
            bans.lift(opened, remove)
        if add:
            found = bans.planned(opened, add) if dry_run else bans.ban(opened, add)
            facts = {**found.to_json(), "written": not dry_run}
        facts = {"rules": list(opened.bans()), **facts}
    _print_rules(facts, output, as_json)


def actions(
    user: AnyUser = "",
    limit: Limit = None,
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """List who changed what, the newest first: the verb, the user (a hash once forgotten), ids and counts, no texts.

    Who is what --as says. Summaries that a model wrote stand in plus profile history.

    Example: plus profile actions ann
    """
    from plus.profiles import actions

    shape = shape_of(output, as_json)
    with open_store(store) as opened:
        found = islice(actions.listed(opened, user), limit or (50 if shape == "table" else None))
        print_rows(found if shape in ("json", "jsonl") else map(_line, found), shape, name="actions")


def _print_rules(facts: dict[str, Any], output: Output, as_json: bool) -> None:
    shape = shape_of(output, as_json)
    if shape != "table":
        print_facts(facts, shape)
        return
    print_rows([{"no summary holds": words} for words in facts["rules"]], shape)
    if "users" in facts:
        done = "taken out" if facts["written"] else "would be taken out; nothing was changed"
        say(
            f"{facts['sentences']:,} sentences of {facts['users']:,} users {done} "
            f"({facts['own']:,} people's own, {facts['locked']:,} locked)"
        )


def _line(row: dict[str, Any]) -> dict[str, Any]:
    when = datetime.fromtimestamp(row["time"], UTC).strftime("%Y-%m-%d %H:%M:%S")
    user = row["user_id"] or (f"forgotten {row['subject'][:12]}" if row["subject"] else "")
    return {"when": when, "who": row["who"], "what": f"{row['verb']} {row['what']}".strip(), "user": user}
