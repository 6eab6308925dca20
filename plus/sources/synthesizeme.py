"""SynthesizeMe rows and PersonalRewardBench, which is made of them: {context, chosen, rejected}.

Answers are one message of role "model". The benchmark's files split users into train, validation and
test; inside each user a `split` column marks the context (train, val) and the targets (test). Rows
without it get a context like any other log.
PersonalRewardBench: 131 users of Chatbot Arena, 720 of PRISM. Licence: as of those two.
Source: https://github.com/SALT-NLP/SynthesizeMe
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from plus.errors import SourceError
from plus.sources.contexts import build, newer
from plus.sources.fields import UnusableError
from plus.sources.files import records
from plus.sources.rows import content_id, read_row, split_name
from plus.sources.splits import Plan, Revealed, split_users
from plus.types import Context, Dropped, Event, Population, Preference, Split, UserHistory

ARENA = "MichaelR207/chatbot_arena_personalized_0125"
PRISM = "MichaelR207/prism_personalized_0125"


def load_arena(data_dir: str | Path | None = None, seed: int = 0) -> Population:
    """Load PersonalRewardBench, Chatbot Arena, from a local copy or the Hub. Raises SourceError."""
    return load(data_dir or ARENA, seed, "personalrewardbench_arena")


def load_prism(data_dir: str | Path | None = None, seed: int = 0) -> Population:
    """Load PersonalRewardBench, PRISM, from a local copy or the Hub. Raises SourceError."""
    return load(data_dir or PRISM, seed, "personalrewardbench_prism")


def load(source: str | Path, seed: int = 0, name: str = "synthesizeme") -> Population:
    """Load the users of SynthesizeMe rows from a file, a folder or a Hub id. Raises SourceError."""
    dropped = Dropped()
    known: dict[str, list[Event]] = {}
    asked: dict[str, list[Event]] = {}
    of_file: dict[str, Split] = {}
    for where, row, file_split in records(source, dropped):
        columns = {"user_id": row.get("user_id"), "prompt": row.get("context")}
        pair = {"chosen": row.get("chosen"), "rejected": row.get("rejected")}
        try:
            read = read_row({**columns, **pair, "source": name})
        except UnusableError as error:
            dropped.add(str(error).replace("'prompt'", "'context'"), where)
            continue
        # The row's split is of this choice, the file's split of the user.
        side = asked if split_name(row.get("split")) == "test" else known
        event = replace(read.event, id=content_id(read.user_id, read.event))
        side.setdefault(read.user_id, []).append(event)
        if split := split_name(file_split):
            of_file[read.user_id] = split
    if not known:
        raise SourceError(f"{source} holds no SynthesizeMe row; each needs user_id, context, chosen, rejected")
    # Rows that state no targets are a log like any other.
    if not asked:
        return build(name, known, Plan(seed=seed), dropped)
    return _stated(name, known, asked, of_file or split_users(known, seed), dropped)


def _stated(
    name: str,
    known: dict[str, list[Event]],
    asked: dict[str, list[Event]],
    splits: dict[str, Split],
    dropped: Dropped,
) -> Population:
    """Contexts and targets as the rows state them, less the targets that a context gives away."""
    rows: list[Context] = []
    histories = {user: UserHistory(user, tuple(past)) for user, past in sorted(known.items())}
    for user in sorted(asked):
        if user not in histories:
            dropped.add("targets of users without past events to read", f"user {user}", len(asked[user]))
            continue
        revealed = Revealed(histories[user].events)
        targets: list[Preference] = []
        for event in newer(histories[user].events, asked[user], dropped):
            assert isinstance(event.content, Preference)
            if revealed.holds(event.id, event.content):
                dropped.add("targets that stand in their own context", event.id)
            else:
                targets.append(event.content)
        if targets:
            rows.append(Context(histories[user], tuple(targets), splits[user]))
    return Population(name, tuple(rows), histories, {}, dropped)
