"""UKPConvArg1: workers' choices of the more convincing of two arguments, with reasons (CC BY 4.0).

3,815 workers, 84,445 judgments with times; "equal" is no choice and is counted. The written reason
is a remark at the time of its choice, so it is read only with choices that are in the past.
Mostly shared taste: the longer argument wins 70 % of pairs, so compare with `majority`.
Source: https://github.com/UKPLab/acl2016-convincing-arguments
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from plus.errors import SourceError
from plus.sources.contexts import build, by_user
from plus.sources.fields import UnusableError, seconds
from plus.sources.splits import Plan
from plus.sources.tables import read_jsonl
from plus.types import Dropped, Event, Population, Preference

PROMPT = "{title} Argue: {stance}."
ARGUMENT = ("fold", "arg_id", "text")
JUDGMENT = ("user_id", "fold", "title", "stance", "pair_id", "arg1_id", "arg2_id", "value", "reason", "submit_time")


def load(data_dir: str | Path, seed: int = 0, context_share: float = 0.5) -> Population:
    """Load the workers of `data_dir`: arguments.jsonl.gz and judgments.jsonl.gz, or the same unpacked.

    Raises SourceError.
    """
    dropped = Dropped()
    events = judgments_of(data_dir, dropped)
    return build("ukpconvarg1", events, Plan(context_share=context_share, seed=seed), dropped)


def judgments_of(data_dir: str | Path, dropped: Dropped, crowdsample: bool = False) -> dict[str, list[Event]]:
    """Read each worker's decided judgments and their reasons.

    `crowdsample` keeps those of the published benchmark of personal preferences, one a pair. Raises
    SourceError.
    """
    folder = Path(data_dir)
    # Arguments by fold and id, then the judgments that name them.
    texts = {
        (row["fold"], row["arg_id"]): str(row["text"]).strip()
        for _, row in read_jsonl(_packed(folder, "arguments"), ARGUMENT)
    }
    events = by_user(
        (row["user_id"], event)
        for where, row in read_jsonl(_packed(folder, "judgments"), JUDGMENT)
        if not crowdsample or row.get("crowdsample")
        for event in _events(row, where, texts, dropped)
    )
    if not events:
        raise SourceError(f"{folder} holds no decided judgment; give --data_dir the UKPConvArg1 folder")
    return events


def first_won(data_dir: str | Path) -> dict[str, list[bool]]:
    """Read for each worker's decided `crowdsample` judgments if the first argument won (position habit).

    Raises SourceError.
    """
    found: dict[str, list[bool]] = defaultdict(list)
    for _, row in read_jsonl(_packed(Path(data_dir), "judgments"), ("user_id", "value")):
        if row.get("crowdsample") and row["value"] in ("a1", "a2"):
            found[row["user_id"]].append(row["value"] == "a1")
    return dict(found)


def _events(row: dict[str, Any], where: str, texts: dict[tuple[str, str], str], dropped: Dropped) -> list[Event]:
    """The choice, and the reason given for it."""
    one, two = (texts.get((row["fold"], row[name])) for name in ("arg1_id", "arg2_id"))
    # Only a decided judgment of two different arguments is a choice.
    if row["value"] not in ("a1", "a2"):
        dropped.add("judgments that call both arguments equal", where)
    elif not one or not two:
        dropped.add("judgments of an argument that the arguments file does not have", where)
    elif one == two:
        dropped.add("judgments whose chosen answer equals the rejected one", where)
    else:
        try:
            time, _ = seconds(row["submit_time"])
        except UnusableError:
            dropped.add("judgments whose submit_time cannot be read", where)
            return []
        # The reason is an event of its own, at the same time.
        pair = Preference(PROMPT.format(title=row["title"], stance=row["stance"]), one, two)
        pair = pair if row["value"] == "a1" else pair.swapped()
        name, reason = f"{row['user_id']}-{row['pair_id']}", str(row["reason"] or "").strip()
        choice = Event(name, "choice", pair, time, "ukpconvarg1")
        return [choice, Event(f"{name}-reason", "remark", reason, time, "ukpconvarg1")] if reason else [choice]
    return []


def _packed(folder: Path, name: str) -> Path:
    unpacked = folder / f"{name}.jsonl"
    return unpacked if unpacked.is_file() else folder / f"{name}.jsonl.gz"
