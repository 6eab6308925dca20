"""`plus profile edit`, `restore`, `lock` and `forbid`: change what is stored about a user."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plus.cli.profile import print_version, version_of
from plus.cli.show import say
from plus.cli.stores import AsJson, Output, StoreFile, User, Who, open_store, shape_of
from plus.errors import ConflictError, ProfileError, UnknownUserError

if TYPE_CHECKING:
    from plus.profiles.versions import Edit, Version

Restored = Annotated[int, typer.Argument(help="The version to show again.")]
SentenceId = Annotated[str, typer.Argument(help="Its id, such as s2.")]
Unlock = Annotated[bool, typer.Option("--off", help="Lift the lock.")]
Statement = Annotated[str, typer.Argument(help="A sentence's id, or the statement in words.")]
Allow = Annotated[bool, typer.Option("--off", help="Allow it again.")]
Replaced = Annotated[list[str] | None, typer.Option("--set", help="s2=NEW WORDS; may be given again.")]
Added = Annotated[list[str] | None, typer.Option("--add", help="A sentence for the end; may be given again.")]
Removed = Annotated[list[str] | None, typer.Option("--remove", help="s2; may be given again.")]
FromFile = Annotated[
    Path | None,
    typer.Option("--from", help="A file with the whole text, as plus profile show -o md writes it; - reads stdin."),
]
Base = Annotated[int | None, typer.Option(help="The version that your text was made from. Default: the current.")]
New = Annotated[bool, typer.Option("--new", help="The store may not know the user yet.")]


def restore(
    user: User,
    version: Restored,
    who: Who = "",
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Show an older version again, as a new one; nothing is taken out of the history.

    Example: plus profile restore ann 1
    """
    from plus.profiles import saving

    with open_store(store, who=who) as opened:
        print_version(opened, saving.restore(opened, user, version), shape_of(output, as_json))


def lock(
    user: User,
    sentence: SentenceId,
    off: Unlock = False,
    who: Who = "",
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Keep a sentence word for word in every later summary.

    Example: plus profile lock ann s2
    """
    from plus.profiles import decisions, versions

    with open_store(store, who=who) as opened:
        with opened.transaction():
            current = version_of(opened, user, None)
            decisions.lock(opened, user, versions.find(current, sentence), not off)
        print_version(opened, current, shape_of(output, as_json))


def forbid(
    user: User,
    statement: Statement,
    off: Allow = False,
    who: Who = "",
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Ban a statement: it is taken out, and no model writes it again.

    Nor does one write a close rewording, where the extra `embed` is installed.

    Example: plus profile forbid ann "The user likes fish best."
    """
    from plus.profiles import decisions, versions
    from plus.profiles.sentences import number_of

    with open_store(store, who=who) as opened:
        current = opened.current(user)
        is_id = number_of(statement) > 0
        text = versions.find(current, statement).text if is_id else statement
        if off:
            decisions.allow(opened, user, text)
        else:
            current = decisions.forbid(opened, user, text)
        print_version(opened, current, shape_of(output, as_json))


def edit(
    user: User,
    replaced: Replaced = None,
    added: Added = None,
    removed: Removed = None,
    from_file: FromFile = None,
    base: Base = None,
    new: New = False,
    who: Who = "",
    store: StoreFile = None,
    output: Output = "table",
    as_json: AsJson = False,
) -> None:
    """Change a summary by sentence, from a file, or in $EDITOR. `plus profile score` says what the change does.

    Example: plus profile edit ann --set "s1=The user likes cats best." --remove s3
    """
    from plus.profiles import saving

    with open_store(store, new, who) as opened:
        # 1. The version that is edited; none for a new user.
        try:
            current = opened.current(user)
        except UnknownUserError:
            if not new:
                raise
            current = None
        # 2. The edit; a text that cannot be saved stays in the editor's file.
        change, kept, started = _change(current, replaced or [], added or [], removed or [], from_file)
        number = next((n for n in (base, started) if n is not None), current.version if current else 0)
        place = f"; your text is in {kept}" if kept else ""
        # 3. Save it, unless someone else was faster.
        try:
            saved = saving.save_user(opened, user, change.text, number, change.keep, change.gone)
        except ConflictError as error:
            say(error.diff)
            raise ConflictError(f"{error}{place}", error.diff) from None
        except ProfileError as error:
            raise type(error)(f"{error}{place}") from None
        if kept is not None:
            kept.unlink()
        print_version(opened, saved, shape_of(output, as_json))


def _change(
    current: Version | None,
    replaced: list[str],
    added: list[str],
    removed: list[str],
    from_file: Path | None,
) -> tuple[Edit, Path | None, int | None]:
    """The edit that the options ask for, the file of an editor's text, which is kept until it is saved, and the version
    that a file says it was made from.
    """
    from plus.profiles import versions

    # From a file, by sentence, or in an editor.
    by_sentence = bool(replaced or added or removed)
    if from_file is not None:
        if by_sentence:
            raise ProfileError("--from holds the whole text; leave out --set, --add and --remove")
        text, started = versions.unmarked(_read(from_file))
        return versions.Edit(text), None, started
    if by_sentence:
        pairs = [item.partition("=") for item in replaced]
        if wrong := next((name for name, equals, _ in pairs if not equals), None):
            raise ProfileError(f'--set {wrong!r} has no new words; write --set "s2=The new words."')
        return versions.edit(current, {name: words for name, _, words in pairs}, added, removed), None, None
    text, kept = _in_editor(current.text if current else "")
    return versions.Edit(text), kept, None


def _in_editor(text: str) -> tuple[str, Path]:
    """Open `text` in $VISUAL or $EDITOR; returns the new text and the file that holds it, which the caller removes.

    Raises ProfileError when there is no editor, or it failed; the file is then kept and named.
    """
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not command:
        raise ProfileError("no editor is set; set EDITOR, or give --set, --add, --remove or --from FILE")
    # The text waits in a file, so that nothing is lost when the editor or the store fails.
    number, path = tempfile.mkstemp(prefix="plus-", suffix=".md")  # Readable by its owner only.
    with os.fdopen(number, "wb") as file:
        file.write(f"{text}\n".encode())
    try:
        status = subprocess.run([*shlex.split(command), path]).returncode
    except OSError as error:
        raise ProfileError(
            f"the editor {command!r} does not start ({error.strerror}); set EDITOR. Your text is in {path}"
        ) from None
    if status:
        raise ProfileError(f"the editor ended with status {status} and nothing was written; your text is in {path}")
    return _read(Path(path)), Path(path)


def _read(path: Path) -> str:
    """The text of a file, or of stdin for "-", without the line end of its last line."""
    if str(path) == "-":
        content, where = sys.stdin.buffer.read(), "stdin"
    elif path.is_file():
        content, where = path.read_bytes(), str(path)
    else:
        raise ProfileError(f"there is no file {path}; give --from a text file, or - for stdin")
    try:
        return content.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise ProfileError(f"{where} is no UTF-8 at byte {error.start}; save it as UTF-8") from None
