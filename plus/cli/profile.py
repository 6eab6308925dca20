"""`plus profile`: read and change what is stored about a user."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plus.cli.show import results, say
from plus.cli.stores import (
    STATUSES,
    AsJson,
    Output,
    Shape,
    StoreFile,
    User,
    open_store,
    print_facts,
    print_rows,
    shape_of,
)

if TYPE_CHECKING:
    from plus.profiles.store import Store
    from plus.profiles.versions import Version

app = typer.Typer(
    no_args_is_help=True, help=f"Read, edit, prove and undo the summaries about users. {STATUSES}", epilog=STATUSES
)
Number = Annotated[int | None, typer.Option("--version", help="A version's number. Default: the current one.")]


@app.command("list")
def list_users(
    store: StoreFile = None,
    limit: Annotated[int, typer.Option(help="How many users a table shows; jsonl has them all.", min=1)] = 50,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Every user with a summary: its version, who wrote it, how much was read, and its text.

    Example: plus profile list --store runs/demo-0
    """
    from itertools import islice

    from plus.profiles.rows import profiles

    with open_store(store) as opened:
        shape = shape_of(output, as_json)
        rows = (_line(profile.version) for profile in profiles(opened))
        print_rows(rows if shape in ("json", "jsonl") else islice(rows, limit), shape, name="users")
        more = opened.row("SELECT count(*) FROM users WHERE current > 0")
        if more and more[0] > limit and shape not in ("json", "jsonl"):
            say(f"{limit} of {more[0]:,} users; --limit shows more, -o jsonl all")


def show(
    user: User, version: Number = None, store: StoreFile = None, output: Output = "table", as_json: AsJson = False
) -> None:
    """A summary, sentence by sentence, with the ids that the other verbs take.

    Example: plus profile show ann
    """
    with open_store(store) as opened:
        found = _version(opened, user, version)
        _changed(opened, found, shape_of(output, as_json))


def history(user: User, store: StoreFile = None, output: Output = "table", as_json: AsJson = False) -> None:
    """Every version of a summary, oldest first: who wrote it, when, from how much, its score.

    Example: plus profile history ann
    """
    with open_store(store) as opened:
        rows = [{**_line(found), "note": found.note} for found in opened.history(user)]
        print_rows(
            [{k: v for k, v in row.items() if k != "user_id"} for row in rows],
            shape_of(output, as_json),
            user,
            "versions",
        )


def diff(
    user: User,
    older: Annotated[int | None, typer.Argument(help="Default: the version before.")] = None,
    newer: Annotated[int | None, typer.Argument(help="Default: the current version.")] = None,
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """What changed between two versions, a sentence a line.

    Example: plus profile diff ann 1 3
    """
    from plus.profiles import versions

    with open_store(store) as opened:
        two = _version(opened, user, newer)
        before = [found for found in opened.history(user) if found.version < two.version]
        one = opened.version(user, older) if older is not None else before[-1] if before else None
        text = versions.diff(one, two.text, f"version {two.version}")
    shape = shape_of(output, as_json)
    if shape in ("json", "jsonl"):
        print_facts({"user_id": user, "older": one.version if one else 0, "newer": two.version, "diff": text}, shape)
    elif shape == "md":
        print(f"```diff\n{text}\n```")
    else:
        results.print(text or "no difference", markup=False, soft_wrap=True)


def restore(
    user: User,
    version: Annotated[int, typer.Argument(help="The version to show again.")],
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Show an older version again, as a new one; nothing is taken out of the history.

    Example: plus profile restore ann 1
    """
    from plus.profiles import saving

    with open_store(store) as opened:
        _changed(opened, saving.restore(opened, user, version), shape_of(output, as_json))


def lock(
    user: User,
    sentence: Annotated[str, typer.Argument(help="Its id, such as s2.")],
    off: Annotated[bool, typer.Option("--off", help="Lift the lock.")] = False,
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Keep a sentence word for word, whatever a model writes later.

    Example: plus profile lock ann s2
    """
    from plus.profiles import saving, versions

    with open_store(store) as opened:
        with opened.transaction():
            current = _version(opened, user, None)
            saving.set_rule(opened, user, "lock", versions.find(current, sentence).text, not off)
        _changed(opened, current, shape_of(output, as_json))


def forbid(
    user: User,
    statement: Annotated[str, typer.Argument(help="A sentence's id, or the statement in words.")],
    off: Annotated[bool, typer.Option("--off", help="Allow it again.")] = False,
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Ban a statement: it is taken out, and no model writes it again (nor a close rewording, where `embed` is installed).

    Example: plus profile forbid ann "The user likes fish best."
    """
    from plus.errors import ProfileError
    from plus.profiles import saving
    from plus.profiles.sentences import normalized

    with open_store(store) as opened:
        current = opened.current(user)
        text = next((s.text for s in current.sentences if s.id == statement), statement) if current else statement
        if not off:
            current = saving.forbid(opened, user, text)
        else:
            banned = [ban for ban in opened.rules(user).forbid if normalized(ban) == normalized(text)]
            if not banned:
                raise ProfileError(
                    f"that statement is not forbidden for {user!r}; plus profile show {user} lists what is"
                )
            for ban in banned:
                saving.set_rule(opened, user, "forbid", ban, False)
        _changed(opened, current, shape_of(output, as_json))


def edit(
    user: User,
    replaced: Annotated[list[str] | None, typer.Option("--set", help="s2=NEW WORDS; may be given again.")] = None,
    added: Annotated[
        list[str] | None, typer.Option("--add", help="A sentence for the end; may be given again.")
    ] = None,
    removed: Annotated[list[str] | None, typer.Option("--remove", help="s2; may be given again.")] = None,
    from_file: Annotated[Path | None, typer.Option("--from", help="A file with the whole text; - reads stdin.")] = None,
    base: Annotated[
        int | None, typer.Option(help="The version that your text was made from. Default: the current.")
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="The store may not know the user yet.")] = False,
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Change a summary: by sentence, from a file, or, without an option, in $EDITOR. `plus profile score` says what it does.

    Example: plus profile edit ann --set "s1=The user likes cats best." --remove s3
    """
    from plus.cli import editor
    from plus.errors import ConflictError, ProfileError, UnknownUserError
    from plus.profiles import saving, versions

    with open_store(store, create=new) as opened:
        try:
            current = opened.current(user)
        except UnknownUserError:
            if not new:
                raise
            current = None
        kept = None
        if from_file is not None:
            if replaced or added or removed:
                raise ProfileError("--from holds the whole text; leave out --set, --add and --remove")
            change = versions.Edit(editor.read(from_file), {}, ())
        elif replaced or added or removed:
            pairs = [item.partition("=") for item in replaced or ()]
            if wrong := next((name for name, equals, _ in pairs if not equals), None):
                raise ProfileError(f'--set {wrong!r} has no new words; write --set "s2=The new words."')
            change = versions.edit(current, {name: words for name, _, words in pairs}, added or (), removed or ())
        else:
            text, kept = editor.edit(current.text if current else "", user)
            change = versions.Edit(text, {}, ())
        number = base if base is not None else current.version if current else 0
        try:
            saved = saving.save_user(opened, user, change.text, number, change.keep, change.gone)
        except ConflictError as error:
            say(error.diff)
            raise ConflictError(f"{error}{f'; your text is in {kept}' if kept else ''}", error.diff) from None
        except ProfileError as error:
            raise type(error)(f"{error}{f'; your text is in {kept}' if kept else ''}") from None
        if kept is not None:
            kept.unlink()
        _changed(opened, saved, shape_of(output, as_json))


def _version(store: Store, user: str, number: int | None) -> Version:
    from plus.errors import UnknownUserError

    found = store.version(user, number) if number is not None else store.current(user)
    if found is None:
        raise UnknownUserError(
            f"{user!r} has no summary yet; plus summarize RUN --update writes one, or plus profile edit"
        )
    return found


def _changed(store: Store, version: Version | None, shape: Shape) -> None:
    if version is None:
        say("done; there is no summary yet")
    elif shape == "table":
        _print_profile(store, version)
    elif shape == "md":
        print(version.text)
    else:
        print_facts(_facts(store, version), shape)


def _facts(store: Store, version: Version) -> dict[str, Any]:
    from plus.profiles.rows import Profile, to_row

    user = store.user(version.user_id)
    return to_row(Profile(version, store.rules(version.user_id), user.next_sentence))


def _line(version: Version) -> dict[str, Any]:
    return {
        "user_id": version.user_id, "version": version.version, "by": version.origin, "when": _when(version.created),
        "events": len(version.evidence), "accuracy": version.score and version.score.get("accuracy"), "text": version.text,
    }  # fmt: skip


def _print_profile(store: Store, version: Version) -> None:
    from plus.profiles.text_filters import flags

    rules, user = store.rules(version.user_id), store.user(version.user_id)
    rows = [
        {"id": s.id, "sentence": s.text, "by": s.origin, "since": f"version {s.since}", "locked": "yes" if s.text in rules.lock else ""}
        for s in version.sentences
    ]  # fmt: skip
    title = f"{version.user_id}, version {version.version}, {_when(version.created)}"
    print_rows(rows, "table", title) if rows else results.print(f"{title}: empty", markup=False)
    for kind, texts in (("forbidden", rules.forbid), ("removed by hand", rules.removed)):
        for text in texts:
            results.print(f"{kind}: {text}", markup=False, soft_wrap=True)
    if user.last_event > user.read_upto:
        say("there are events that this summary has not read; plus summarize RUN --update")
    for flag in flags(version.text):
        say(f"look at it: {flag.replace('_', ' ')} in the text (kept as text, escaped where a model reads it)")


def _when(created: float) -> str:
    return datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%d %H:%M") if created else ""


# Both --output_dir and --output-dir.
EITHER = {"token_normalize_func": lambda name: name.replace("_", "-")}
for verb in (show, history, diff, restore, edit, lock, forbid):
    app.command(context_settings=EITHER)(verb)
