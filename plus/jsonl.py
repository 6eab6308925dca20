"""JSON and JSON lines: atomic writing, reading, and the one reader of `user_id -> summary`."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from plus.errors import SourceError


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part."""
    _replace(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, whole or not at all."""
    _replace(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def append_jsonl(path: Path, row: Mapping[str, Any]) -> None:
    """Add one line at the end; a crash leaves at most this line cut, which `read_whole_lines` skips."""
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises SourceError when it is missing or no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SourceError(f"{path} is not JSON ({error}); restore it, or make it again") from error


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Read every line. Raises SourceError that names the first line that is no JSON object."""
    return [row for _, row in numbered(path)]


def read_whole_lines(path: Path) -> list[dict[str, Any]]:
    """Read the complete lines of a file that a crash may have cut short; [] when it does not exist."""
    rows: list[dict[str, Any]] = []
    # Not splitlines: a text may hold a line separator (U+2028) that JSON leaves as it is.
    for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else []:
        if not line:
            continue
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def keep_lines(path: Path, is_kept: Callable[[Mapping[str, Any]], bool]) -> None:
    """Leave the lines that are kept in a log that goes on, such as those up to a checkpoint; a cut last line goes."""
    write_jsonl(path, [row for row in read_whole_lines(path) if is_kept(row)])


def read_summaries(path: Path) -> dict[str, str]:
    """Read user_id -> summary from JSON lines, or from the summaries.jsonl of a run folder.

    Raises SourceError that names the first line without both texts.
    """
    if path.is_dir():
        path = path / "summaries.jsonl"
    found: dict[str, str] = {}
    for number, row in numbered(path):
        user, text = row.get("user_id"), row.get("summary")
        if not isinstance(user, str | int) or not isinstance(text, str):
            raise SourceError(
                f"{path} line {number} has no texts user_id and summary; "
                "give one {user_id, summary} a line, as a run's summaries.jsonl"
            )
        found[str(user)] = text
    return found


def numbered(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, object) for each line that is not blank, also of a .gz file.

    Raises SourceError naming the line.
    """
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _object(path, number, line)
    except (gzip.BadGzipFile, EOFError) as error:
        raise SourceError(f"{path} is cut short or no gzip file ({error}); copy it again") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 text (byte {error.start}); give JSON lines in UTF-8") from error


def _opened(path: Path) -> TextIO:
    # Lines end at "\n" alone: a text may hold other line separators.
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="\n")
    return path.open(encoding="utf-8", newline="\n")


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise SourceError(f"{path} line {number} is not JSON ({error}); mend the line") from error
    if not isinstance(row, dict):
        raise SourceError(f"{path} line {number} is {type(row).__name__}; each line needs to be one JSON object")
    return row


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
