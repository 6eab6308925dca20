"""Chatbot Arena: choices between two anonymous models' answers to the judge's own prompt.

33,000 conversations of 13,383 judges; ties choose nothing and are counted. The two dialogues share
the prompt and part at the first answer, so a longer dialogue is judged by more than its first answer:
only conversations of one exchange are used, and the others are counted.
Licence: prompts CC BY 4.0, models' answers CC BY-NC 4.0.
Source: https://huggingface.co/datasets/lmsys/chatbot_arena_conversations
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plus.errors import SourceError
from plus.sources.contexts import build
from plus.sources.fields import UnusableError
from plus.sources.files import records
from plus.sources.rows import Row, read_row
from plus.sources.splits import Plan
from plus.types import Dropped, Event, Population

HUB_ID = "lmsys/chatbot_arena_conversations"


def load(data_dir: str | Path | None = None, seed: int = 0, context_share: float = 0.5) -> Population:
    """Load the judges of a file, a folder or the Hub's data set. Raises SourceError."""
    dropped = Dropped()
    events: dict[str, list[Event]] = {}
    for where, row, _ in records(data_dir or HUB_ID, dropped):
        try:
            read = choice(row)
        except UnusableError as error:
            dropped.add(str(error), where)
        else:
            events.setdefault(read.user_id, []).append(read.event)
    if not events:
        raise SourceError(
            f"{data_dir or HUB_ID} holds no decided conversation; "
            "each row needs judge, winner, conversation_a, conversation_b"
        )
    return build("arena", events, Plan(context_share=context_share, seed=seed), dropped)


def choice(row: Mapping[str, Any]) -> Row:
    """Read one decided conversation of one exchange. Raises UnusableError for any other."""
    # A tie chooses nothing.
    winner = row.get("winner")
    if winner not in ("model_a", "model_b"):
        raise UnusableError("rows that are ties or have no winner")
    # The winner's conversation comes first.
    sides = ("conversation_a", "conversation_b") if winner == "model_a" else ("conversation_b", "conversation_a")
    chosen, rejected = (row.get(side) for side in sides)
    if any(isinstance(side, list) and len(side) > 2 for side in (chosen, rejected)):
        raise UnusableError("conversations of more than one exchange")
    return read_row({"id": row.get("question_id"), "user_id": row.get("judge"), "chosen": chosen,
                     "rejected": rejected, "tstamp": row.get("tstamp"), "source": "arena"})  # fmt: skip
