"""LLMFAO: crowd workers' choices between two LLM answers (Ustalov 2023, CC BY 4.0).

124 workers, 13 prompts, 8,931 judgments without timestamps; ties are no choices and are counted. Some answers are
empty, and workers judged them too: 531 of 5,460 decided judgments, of which the empty answer won 71.
A worker's judgments are shuffled by the seed: the first half is the context, the rest are targets.
Source: https://github.com/dustalov/llmfao
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from plus.errors import SourceError
from plus.sources.contexts import build
from plus.sources.splits import Plan, UserSplit
from plus.sources.tables import read_csv, read_jsonl
from plus.types import Dropped, Event, Population, Preference


def load(data_dir: str | Path, seed: int = 0, context_share: float = 0.5, user_split: UserSplit = "hash") -> Population:
    """Load the workers of `data_dir` (crowd-comparisons.csv and pairs-crowd.jsonl). Raises SourceError."""
    dropped = Dropped()
    events = judgments_of(data_dir, dropped)
    return build("llmfao", events, Plan(context_share=context_share, seed=seed, user_split=user_split), dropped)


def judgments_of(data_dir: str | Path, dropped: Dropped) -> dict[str, list[Event]]:
    """Read each worker's decided judgments. Raises SourceError."""
    folder = Path(data_dir)
    # Judgments name a pair; its texts stand in another file.
    judgments = list(read_csv(folder / "crowd-comparisons.csv", ["id", "worker", "winner"]))
    pairs = {
        str(row["id"]): row
        for _, row in read_jsonl(folder / "pairs-crowd.jsonl", ["id", "text", "result_x", "result_y"])
    }
    events: dict[str, list[Event]] = defaultdict(list)
    for where, row in judgments:
        # Only a decided judgment of two different answers is a choice.
        if (pair := pairs.get(row["id"])) is None:
            dropped.add("judgments of a pair that pairs-crowd.jsonl does not have", where)
        elif row["winner"] == "tie":
            dropped.add("ties, which choose neither answer", where)
        elif row["winner"] not in ("left", "right"):
            dropped.add("judgments whose winner is neither left, right nor tie", where)
        elif pair["result_x"] == pair["result_y"]:
            dropped.add("judgments whose chosen answer equals the rejected one", where)
        else:
            choice = Preference(pair["text"], pair["result_x"], pair["result_y"])
            content = choice if row["winner"] == "left" else choice.swapped()
            events[row["worker"]].append(Event(f"{row['worker']}-{row['id']}", "choice", content, None, "llmfao"))
    if not events:
        raise SourceError(f"{folder} holds no decided judgment; give --data_dir the LLMFAO folder")
    return dict(events)


def first_won(data_dir: str | Path) -> dict[str, list[bool]]:
    """Read for each worker's decided judgments if the left answer won (position habit). Raises SourceError."""
    found: dict[str, list[bool]] = defaultdict(list)
    for _, row in read_csv(Path(data_dir) / "crowd-comparisons.csv", ["worker", "winner"]):
        if row["winner"] in ("left", "right"):
            found[row["worker"]].append(row["winner"] == "left")
    return dict(found)
