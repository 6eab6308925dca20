"""UltraFeedback as VPL's UF-P-2 and UF-P-4: simulated users, each with one preferred quality of an answer.

A user prefers the answer that GPT-4 rated higher on their quality: helpfulness and honesty (UF-P-2),
or also instruction following and truthfulness (UF-P-4). Only *controversial* rows, on which the
users differ, are used. The published builder decides ties by a coin, so no method can predict them;
`ties="drop"` leaves such rows out instead. A pool of training rows is the survey that every context
is drawn from, and unlike as published its rows are never targets.
Sources: https://huggingface.co/datasets/openbmb/UltraFeedback (MIT),
https://huggingface.co/datasets/argilla/ultrafeedback-binarized-preferences-cleaned (MIT); the
builder is described at https://github.com/WEIRDLabUW/vpl_llm
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, Literal

from plus.errors import SourceError
from plus.sources.files import Record, records
from plus.sources.splits import split_users
from plus.types import Context, Dropped, Event, Population, Preference, UserHistory

RATED, BINARIZED = "openbmb/UltraFeedback", "argilla/ultrafeedback-binarized-preferences-cleaned"
QUALITIES = ("helpfulness", "honesty", "instruction_following", "truthfulness")
PERSONA = "The user prefers the answer with more {quality}."
Ties = Literal["coin", "drop"]


@dataclass(frozen=True)
class Labelled:
    """One prompt with two answers, and the answer that each user prefers."""

    id: str
    pairs: dict[str, Preference]  # quality -> the pair as that user labels it


def load_p2(data_dir: str | Path | None = None, seed: int = 42, ties: Ties = "coin") -> Population:
    """Load UF-P-2: two users, contexts of 8 survey rows, training rows eight times with fresh contexts."""
    return build("uf_p_2", data_dir, QUALITIES[:2], seed, ties, past_events=(8, 8), copies=8)


def load_p4(data_dir: str | Path | None = None, seed: int = 42, ties: Ties = "coin") -> Population:
    """Load UF-P-4: four users, contexts of 2 to 8 rows that only this user agrees with, four times."""
    return build("uf_p_4", data_dir, QUALITIES, seed, ties, past_events=(2, 8), copies=4, unique=True)


def build(
    name: str,
    data_dir: str | Path | None,
    users: Sequence[str],
    seed: int,
    ties: Ties = "coin",
    past_events: tuple[int, int] = (8, 8),
    copies: int = 1,
    pool: int = 100,
    unique: bool = False,
) -> Population:
    """Build a population of one user per (quality, target, context).

    Splits are by prompt, 10 % test; contexts hold `past_events` of the `pool`, which is drawn from
    training rows. `unique` redraws a context until no other user agrees with all of it. Raises
    SourceError when the pool is smaller than a context, or no context can be unique.
    """
    # The survey is a pool of training rows that every context is drawn from.
    dropped = Dropped()
    rows = _controversial(_joined(data_dir, dropped), users, seed, ties, dropped)
    splits = split_users((row.id for row in rows), seed, validation=0.0, test=0.1)
    training = [row for row in rows if splits[row.id] == "train"]
    survey = Random(f"pool-{seed}").sample(training, min(pool, len(training)))
    surveyed = {row.id for row in survey}
    if len(survey) < past_events[1]:
        raise SourceError(
            f"{name} has {len(survey)} controversial training rows for its survey and a context holds up to "
            f"{past_events[1]}; give more UltraFeedback rows"
        )
    # Every other row is a target of each user, in several copies where it is trained on.
    rng = Random(f"contexts-{seed}")
    found: list[Context] = []
    for row in rows:
        if row.id in surveyed:
            dropped.add("survey rows, which are context and no target", row.id)
            continue
        for user in users:
            for copy in range(copies if splits[row.id] == "train" else 1):
                context = _context(survey, user, users, past_events, unique, rng)
                history = UserHistory(f"{user}-{row.id}-{copy}", tuple(_choice(known, user) for known in context))
                found.append(Context(history, (row.pairs[user],), splits[row.id]))
    histories = {context.history.user_id: context.history for context in found}
    personas = {user_id: PERSONA.format(quality=user_id.split("-")[0].replace("_", " ")) for user_id in histories}
    return Population(name, tuple(found), histories, personas, dropped)


def _choice(row: Labelled, user: str) -> Event:
    return Event(f"{user}-{row.id}", "choice", row.pairs[user], None, "ultrafeedback")


def _context(
    survey: Sequence[Labelled], user: str, users: Sequence[str], past_events: tuple[int, int], unique: bool, rng: Random
) -> list[Labelled]:
    """Survey rows for one context; with `unique`, rows that together tell this user from the others."""
    for _ in range(1000):
        # Drawn again until no other user agrees with all rows.
        drawn = rng.sample(survey, rng.randint(*past_events))
        agree = [other for other in users if all(row.pairs[other] == row.pairs[user] for row in drawn)]
        if not unique or agree == [user]:
            return drawn
    raise SourceError(
        f"no context of {past_events[1]} survey rows tells {user} from the other users; give more UltraFeedback rows"
    )


def _controversial(
    rows: Iterable[tuple[str, Preference, dict[str, int]]],
    users: Sequence[str],
    seed: int,
    ties: Ties,
    dropped: Dropped,
) -> list[Labelled]:
    """The rows on which the users differ, labelled by each; sorted, so the order of files is irrelevant."""
    kept = []
    for row_id, pair, ahead in sorted(rows, key=lambda row: row[0]):
        # Equal ratings are left out or decided by a coin.
        if ties == "drop" and not all(ahead[user] for user in users):
            dropped.add("rows with equal ratings", row_id)
            continue
        # Each user's label; a row that all label alike tells nothing.
        labels = {user: _prefers(pair, ahead[user], f"tie-{seed}-{row_id}-{user}") for user in users}
        if len(set(labels.values())) == 1:
            dropped.add("rows that all users agree on", row_id)
        else:
            kept.append(Labelled(row_id, labels))
    return kept


def _prefers(pair: Preference, ahead: int, coin: str) -> Preference:
    """The pair as a user labels it whose quality puts the chosen answer `ahead`; 0 is decided by a coin."""
    keep = ahead > 0 if ahead else Random(coin).random() < 0.5
    return pair if keep else pair.swapped()


def _joined(data_dir: str | Path | None, dropped: Dropped) -> list[tuple[str, Preference, dict[str, int]]]:
    """(an id made of the prompt, the binarized pair, rating of chosen minus rejected by quality)."""
    # Ratings by prompt, and the binarized pairs.
    rated: dict[str, list[dict[str, Any]]] = {}
    binarized: list[Record] = []
    sources = [records(data_dir, dropped)] if data_dir else [records(RATED, dropped), records(BINARIZED, dropped)]
    for record in chain(*sources):
        if "completions" in record.row:
            rated.setdefault(str(record.row.get("instruction")), []).extend(record.row["completions"])
        elif "chosen" in record.row:
            binarized.append(record)
        else:
            dropped.add("rows of neither UltraFeedback nor its binarized set", record.where)
    if not rated or not binarized:
        missing = (
            f"rows with instruction and completions ({RATED})"
            if not rated
            else f"rows with chosen and rejected ({BINARIZED})"
        )
        raise SourceError(f"{data_dir or 'the Hub'} holds no {missing}; UF-P needs both sets in one folder")
    # Both answers of a pair need four whole-number ratings.
    found: dict[str, tuple[str, Preference, dict[str, int]]] = {}
    for where, row, _ in binarized:
        try:
            prompt, chosen, rejected = str(row["prompt"]), _last(row["chosen"]), _last(row["rejected"])
            good, bad = (_ratings(rated[prompt], text) for text in (chosen, rejected))
        except (KeyError, TypeError, IndexError, ValueError):
            dropped.add("rows whose answers lack a whole-number rating of each quality", where)
            continue
        if not chosen.strip() or not rejected.strip() or chosen == rejected or prompt in found:
            dropped.add("rows with an empty or equal answer, or a prompt met before", where)
        else:
            found[prompt] = (
                sha256(prompt.encode()).hexdigest()[:12],
                Preference(prompt, chosen, rejected),
                {q: good[q] - bad[q] for q in QUALITIES},
            )
    return list(found.values())


def _last(dialogue: list[dict[str, str]]) -> str:
    return dialogue[-1]["content"]


def _ratings(completions: list[dict[str, Any]], text: str) -> dict[str, int]:
    """The four ratings of an answer; "N/A" and a missing answer raise ValueError or IndexError."""
    found = [completion for completion in completions if completion["response"] == text]
    return {quality: int(found[0]["annotations"][quality]["Rating"]) for quality in QUALITIES}
