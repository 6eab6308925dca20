"""Rows in the one format that every `plus` data set has: TRL's preference columns as messages, plus
`id`, `user_id`, `session_id`, `timestamp`, `source` and `split`. `trl reward` trains on the choices as they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from plus.errors import SourceError
from plus.types import Event, Example, Message, Population, Preference, Prompt, Reaction, Split, Turn

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
OTHER = "events"  # What is no choice lies in a file that no trainer takes for a split.


def as_row(user_id: str, event: Event, split: Split | None, session_id: str = "") -> dict[str, Any]:
    """One event as a row; every text is a message, so that one column has one type."""
    shared = {
        "id": event.id, "user_id": user_id, "session_id": session_id, "timestamp": event.time,
        "source": event.source, "split": split,
    }  # fmt: skip
    match event.content:
        case Preference(_, chosen, rejected):
            asked = _messages(event.content.conversation)
            return {"prompt": asked, "chosen": _said(chosen), "rejected": _said(rejected), **shared}
        case Reaction(prompt, completion, label, earlier):
            asked = _messages((*earlier, Turn("user", prompt)))
            return {"prompt": asked, "completion": _said(completion), "label": label, **shared}
        case content:
            return {"messages": _messages(content), **shared}


def population_rows(population: Population) -> Iterator[dict[str, Any]]:
    """Contexts and targets of a population as rows, in sessions "context" and "target".

    Targets have no time of their own: where the context has times, they are numbered on from its newest.
    """
    targets: dict[str, list[Example]] = {}
    for example in population.examples:
        targets.setdefault(example.history.user_id, []).append(example)
    for user_id, history in population.histories.items():
        own = targets.get(user_id, [])
        split: Split = own[0].split if own and len({example.split for example in own}) == 1 else "train"
        for event in history.events:
            yield as_row(user_id, event, split, "context")
        times = [event.time for event in history.events if event.time is not None]
        timed = bool(times) and len(times) == len(history.events)
        for number, example in enumerate(own, start=1):
            time = max(times) + number if timed else None
            event = Event(f"{user_id}-target-{number}", "choice", example.target, time, population.name)
            yield as_row(user_id, event, example.split, "target")


def write(rows: Iterable[Mapping[str, Any]], folder: Path) -> dict[str, int]:
    """Write train, validation, test and events .jsonl into a new folder; returns rows by file.

    Raises SourceError when the folder holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SourceError(f"{folder} exists and nothing is overwritten; give a new --output_dir")
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    files: dict[str, TextIO] = {}
    with ExitStack() as stack:
        for row in rows:
            name = row["split"] if "chosen" in row else OTHER
            if name not in files:
                files[name] = stack.enter_context((folder / f"{name}.jsonl").open("w", encoding="utf-8"))
            files[name].write(json.dumps(row, ensure_ascii=False) + "\n")
            counts[name] = counts.get(name, 0) + 1
    return {name: counts[name] for name in (*SPLITS, OTHER) if name in counts}


def _messages(content: Prompt) -> list[Message]:
    turns = (Turn("user", content),) if isinstance(content, str) else content
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _said(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]
