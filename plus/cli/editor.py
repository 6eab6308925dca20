"""A text on its way through a person's editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from plus.errors import ProfileError


def edit(text: str, name: str) -> tuple[str, Path]:
    """Open `text` in $VISUAL or $EDITOR; returns the new text and the file that holds it, which the caller removes.

    Raises ProfileError when there is no editor, or it failed; the file is then kept and named.
    """
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not command:
        raise ProfileError("no editor is set; set EDITOR, or give --set, --add, --remove or --from FILE")
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
    return read(Path(path)), Path(path)


def read(path: Path) -> str:
    """The text of a file, or of stdin for "-"; the line end of the last line is the file's. Raises ProfileError."""
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
