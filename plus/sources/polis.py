"""Polis conversations: participants' votes on short statements (CC BY 4.0).

A vote is a reaction; a target pair is a statement the voter agreed with against one they disagreed
with, and its prompt is the conversation's topic. Where votes have times the context is a voter's
oldest 60 % and every target is strictly newer; elsewhere the order is a seeded shuffle. Passes
choose nothing and are counted. Most statements have a clear majority: compare with `majority`.
Source: https://github.com/compdemocracy/openData
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from plus.errors import SourceError
from plus.sources.contexts import context_and_later
from plus.sources.splits import USER_SPLITS, UserSplit
from plus.sources.tables import read_csv
from plus.types import Context, Dropped, Event, Population, Preference, Reaction, UserHistory

MIN_VOTES = 2


def load(
    data_dir: str | Path,
    seed: int = 0,
    context_share: float = 0.6,
    pairs_per_user: int = 16,
    user_split: UserSplit = "hash",
) -> Population:
    """Load the voters of one conversation, with at most `pairs_per_user` target pairs each.

    The folder holds summary.csv, comments.csv and votes.csv or participants-votes.csv. Raises SourceError.
    """
    dropped = Dropped()
    events = votes_of(data_dir, dropped)
    topic = _topic(Path(data_dir))
    splits = USER_SPLITS[user_split](events, seed)
    rows: list[Context] = []
    histories: dict[str, UserHistory] = {}
    for voter, votes in sorted(events.items()):
        # Past votes, and pairs of an agreed and a disagreed later statement.
        context, later = context_and_later(votes, seed, context_share)
        histories[voter] = UserHistory(voter, tuple(context))
        if len(votes) < MIN_VOTES:
            dropped.add("users with a single vote, which leaves nothing to predict", f"voter {voter}")
        pairs = target_pairs(topic, [event.content for event in later if isinstance(event.content, Reaction)])
        if not pairs and len(votes) >= MIN_VOTES:
            dropped.add("users whose later votes never both agree and disagree", f"voter {voter}")
        # A statement of the context is no target.
        seen = {event.content.completion for event in context if isinstance(event.content, Reaction)}
        leaky = [pair for pair in pairs if {pair.chosen, pair.rejected} & seen]
        if leaky:
            dropped.add("targets whose statement stands in their own context", f"voter {voter}", len(leaky))
        pairs = [pair for pair in pairs if pair not in leaky]
        if pairs:
            kept = Random(f"pairs-{seed}-{voter}").sample(pairs, min(pairs_per_user, len(pairs)))
            rows.append(Context(histories[voter], tuple(kept), splits[voter]))
    name, whole = f"polis/{Path(data_dir).resolve().name}", {voter: tuple(votes) for voter, votes in events.items()}
    return Population(name, tuple(rows), histories, {}, dropped, events=whole)


def votes_of(data_dir: str | Path, dropped: Dropped) -> dict[str, list[Event]]:
    """Read each voter's last vote on each statement, as reactions. Raises SourceError."""
    folder = Path(data_dir)
    topic = _topic(folder)
    statements = {
        row["comment-id"]: row["comment-body"].strip()
        for _, row in read_csv(folder / "comments.csv", ["comment-id", "comment-body"])
    }
    events: dict[str, dict[str, Event]] = {}
    for where, voter, comment, vote, time in _votes(folder):
        text = statements.get(comment, "")
        # Votes without a statement and passes are counted.
        if not text:
            dropped.add("votes on a statement that comments.csv does not have", where)
        elif vote == 0:
            dropped.add("passes, which neither agree nor disagree", where)
        else:
            # A later vote on the same statement replaces the earlier one.
            known = events.setdefault(voter, {}).get(comment)
            if known is not None:
                dropped.add("votes replaced by a later one of the same voter", where)
            if known is None or known.time is None or time is None or known.time <= time:
                events[voter][comment] = Event(
                    f"{voter}-{comment}", "reaction", Reaction(topic, text, vote > 0), time, "polis"
                )
    if not events:
        raise SourceError(f"{folder} holds no vote that agrees or disagrees; give --data_dir one Polis conversation")
    return {voter: list(votes.values()) for voter, votes in events.items()}


def target_pairs(topic: str, reactions: Iterable[Reaction]) -> list[Preference]:
    """List every (agreed, disagreed) combination of statements."""
    reactions = list(reactions)
    # Every agreed statement is better than every disagreed one.
    agreed = [r.completion for r in reactions if r.label]
    disagreed = [r.completion for r in reactions if not r.label]
    return [Preference(topic, a, d) for a in agreed for d in disagreed if a != d]


def _topic(folder: Path) -> str:
    conversations = sorted(path.parent.name for path in folder.glob("*/summary.csv"))
    if conversations and not (folder / "summary.csv").exists():
        raise SourceError(
            f"{folder} holds {len(conversations)} conversations; give --data_dir one of them, "
            f"such as {folder / conversations[0]}"
        )
    if not (folder / "summary.csv").exists():
        next(read_csv(folder / "summary.csv", []), None)  # Raises, naming what is there instead.
    with (folder / "summary.csv").open(encoding="utf-8", newline="") as file:
        fields = dict(row[:2] for row in csv.reader(file) if len(row) >= 2)
    if not fields.get("topic", "").strip():
        raise SourceError(f"{folder / 'summary.csv'} has no line 'topic'; it is the prompt of every pair, so add one")
    return fields["topic"].strip()


def _votes(folder: Path) -> Iterator[tuple[str, str, str, int, float | None]]:
    """(where, voter, comment, vote in -1 / 0 / 1, time in seconds or None), from either file."""
    if (folder / "votes.csv").exists() or not (folder / "participants-votes.csv").exists():
        for where, row in read_csv(folder / "votes.csv", ["timestamp", "comment-id", "voter-id", "vote"]):
            yield (
                where,
                row["voter-id"],
                row["comment-id"],
                _vote(row["vote"], where),
                _seconds(row["timestamp"], where),
            )
    else:
        for where, row in read_csv(folder / "participants-votes.csv", ["participant"]):
            for column, value in row.items():
                if column.isdigit() and value:
                    yield f"{where}, statement {column}", row["participant"], column, _vote(value, where), None


def _vote(value: str, where: str) -> int:
    try:
        return {-1: -1, 0: 0, 1: 1}[round(float(value))]
    except (ValueError, KeyError) as error:
        raise SourceError(f"{where}: vote is {value!r}; it must be -1, 0 or 1") from error


def _seconds(value: str, where: str) -> float:
    try:
        return float(value) / 1000
    except ValueError as error:
        raise SourceError(f"{where}: timestamp is {value!r}; it must be milliseconds since 1970") from error
