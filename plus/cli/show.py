"""Terminal output: results on stdout, everything else (progress, warnings) on stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console

from plus.errors import PlusError
from plus.progress import Screen

if TYPE_CHECKING:
    from rich.table import Table

# Context settings of every verb: both --output_dir and --output-dir.
EITHER = {"token_normalize_func": lambda name: name.replace("_", "-")}
_OTHER = os.environ.get("RANK", "0") != "0"  # One of several processes, of which the first speaks (torchrun).
# All but tab and line end; and marks that turn the direction of text around.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SIGNS = {**{chr(code): chr(0x2400 + code) for code in range(32)}, "\x7f": "\u2421"}
results = Console(highlight=False, quiet=_OTHER)
notes = Console(stderr=True, highlight=False, quiet=_OTHER)


def visible(text: str) -> str:
    """Show control characters as signs: a text about a user must not steer the terminal of who reads it."""
    return _CONTROL.sub(lambda m: _SIGNS.get(m.group(), f"\\u{ord(m.group()):04x}"), text)


def say(line: str) -> None:
    """Print a note or a warning on stderr; it stands in the JSON too."""
    reply.warnings.append(line)
    notes.print(visible(line), markup=False, soft_wrap=True)


def as_json(value: Any, indent: int | None = None) -> str:
    """Write a value as JSON that a terminal can show: JSON escapes control characters up to U+001F itself."""
    return _CONTROL.sub(lambda m: f"\\u{ord(m.group()):04x}", json.dumps(value, ensure_ascii=False, indent=indent))


@dataclass
class Reply:
    """Reply of this process as JSON: the lines that were said beside it, and whether it is printed."""

    warnings: list[str] = field(default_factory=list)
    is_printed: bool = False


reply = Reply()


def kind_of(error: BaseException) -> tuple[int, str]:
    """Return the exit status of an error and its kind, such as "unknown_user"."""
    if isinstance(error, PlusError):
        name = type(error).__name__.removesuffix("Error")
        return error.status, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted"
    return (2, "system") if isinstance(error, OSError) else (1, "fault")


def failure(status: int, kind: str, message: str) -> dict[str, Any]:
    """Describe an error as every verb does with --json."""
    return {"status": status, "kind": kind, "message": " ".join(message.split())}


def print_json(value: Mapping[str, Any] | None, error: Mapping[str, Any] | None = None) -> None:
    """Print one JSON object {ok, data, warnings, error} on stdout and nothing else. error: as `failure` makes it."""
    print(as_json({"ok": error is None, "data": value, "warnings": reply.warnings, "error": error}, 2))
    reply.is_printed = True


def print_json_rows(
    rows: Iterable[Mapping[str, Any]],
    name: str,
    facts: Callable[[], Mapping[str, Any]] = dict,
    error: Mapping[str, Any] | None = None,
) -> None:
    """Print the object of `print_json` row by row, as rows come: a million are never in memory at once.

    facts: what stands beside the rows, known when they are out. Nothing is printed before the first row is there; an
    error after it stands in the same object.
    """
    start = f'{{\n  "data": {{\n    {as_json(name)}: ['
    between, failed = f"{start}\n", None
    beside: Mapping[str, Any] = {}
    try:
        for row in rows:
            sys.stdout.write(between + "      " + as_json(row, 2).replace("\n", "\n      "))
            between = ",\n"
        beside = facts()
    except Exception as wrong:
        if between != ",\n":
            raise
        failed, error = wrong, failure(*kind_of(wrong), str(wrong))
    sys.stdout.write("\n    ]" if between == ",\n" else f"{start}]")
    for key, value in beside.items():
        sys.stdout.write(f",\n    {as_json(key)}: " + as_json(value, 2).replace("\n", "\n    "))
    rest = {"ok": error is None, "warnings": reply.warnings, "error": error}
    sys.stdout.write("\n  },\n" + as_json(rest, 2).removeprefix("{\n") + "\n")
    reply.is_printed = True
    if failed is not None:
        raise failed


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Show a spinner around heavy imports; transformers, where it was loaded, keeps its bars and warnings to itself."""
    with notes.status(what):
        yield
        if "transformers" in sys.modules:
            _quiet_transformers()


def _quiet_transformers() -> None:
    import warnings

    from huggingface_hub.utils.tqdm import enable_progress_bars
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    enable_progress_bars()  # Downloads still show theirs.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


@contextmanager
def bar(name: str) -> Iterator[Callable[[int, int, Mapping[str, Any]], None]]:
    """Show a progress bar with reward, accuracy and control; yields `show(step, total, metrics)`."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<14}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("eta"), TimeRemainingColumn(), TextColumn("{task.fields[metrics]}"),
    )  # fmt: skip
    progress = Progress(*columns, console=notes)
    task = progress.add_task(name, total=None, metrics="")

    def show(step: int, total: int, metrics: Mapping[str, Any]) -> None:
        progress.start()  # Only now: what is refused before the first step has no bar.
        known = {
            "reward": "reward",
            "accuracy": "own",
            "accuracy_other": "another's",
            "loss": "loss",
        }
        text = "  ".join(
            f"{label} {metrics[key]:.2f}"
            for key, label in known.items()
            if key in metrics and (key != "loss" or "reward" not in metrics)
        )
        progress.update(task, total=total, completed=step, metrics=text)

    try:
        yield show
    finally:
        if progress.live.is_started:
            progress.stop()


def accuracy_table(report: Mapping[str, Any]) -> Table:
    """Accuracies and controls of a report, each with what it means."""
    from rich.table import Table

    meaning = {
        "plus": "learned summary, greedy",
        "bradley_terry": "no summary: one taste for all",
        "majority": "what most training users chose",
        "untrained": "the language model as it came",
        "oracle": "the true persona",
        "shuffled": "another user's summary",
        "empty": "no summary",
        "opposite": "the summary of who chose the opposite",
        "summary_gain": "own minus another user's",
    }
    test = report["test"]
    table = Table(
        title=f"{report['dataset']}: {test['targets']:,} choices of {test['users']:,} users never met",
        title_justify="left",
    )
    table.add_column("what")
    table.add_column("accuracy", justify="right")
    table.add_column("meaning")
    for group in ("accuracy", "controls"):
        for name, value in report[group].items():
            table.add_row(name, "-" if value is None else f"{value:.3f}", meaning.get(name, ""))
        table.add_section()
    return table


def gains_table(report: Mapping[str, Any]) -> Table:
    """Differences between the summaries and what they have to beat, each with its 95 % interval over users."""
    from rich.table import Table

    table = Table(title="is it the summary? differences of accuracy on users never met", title_justify="left")
    for column in ("plus minus", "choices", "difference", "95 % interval", "users"):
        table.add_column(column, justify="left" if column in ("plus minus", "choices") else "right")
    for where, of_slice in report["gains"].items():
        for name, found in of_slice.items():
            interval = "-" if found["low"] is None else f"[{found['low']:+.3f}, {found['high']:+.3f}]"
            other = name.removeprefix("plus - ").replace("shuffled", "another user's summary")
            table.add_row(other, where, f"{found['mean']:+.3f}", interval, f"{found['users']:,}")
        table.add_section()
    return table


SCREEN = Screen(say, notes.status, loading, bar)
