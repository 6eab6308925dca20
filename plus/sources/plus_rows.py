"""Rows of the public PLUS code: a rendered context, and pairs for the reward, training and evaluation.

A row's `context` is one text, so it is read as one message; a prompt of several turns is one text
with "User:" and "Assistant:" in it, and stays one: splitting it again would let any text that
contains these words forge a turn. Rows name no user; equal contexts are one user.
Source: https://github.com/nam630/pluralistic_user_summary_public
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from plus.errors import SourceError
from plus.sources.contexts import grouped
from plus.sources.fields import UnusableError, turns_of
from plus.sources.files import records
from plus.sources.rows import read_content
from plus.sources.splits import PairKey, pair_key, split_users
from plus.types import Context, Dropped, Event, Population, Preference, Split, UserHistory

# (prompt, chosen, rejected) columns: the summarizer's reward, the reward model's loss, the evaluation.
REWARD = ("reward_prompt", "chosen", "rejected")
TRAIN = ("train_prompt", "train_chosen", "train_rejected")
EVAL = ("eval_prompt", "eval_chosen", "eval_rejected")
Found = tuple[str, Preference, str, str]  # user, pair, its columns, split of its file
# The end of the authors' instruction; ours is added when the summarizer is asked.
_INSTRUCTION = re.compile(r"\s*(?:please )?start your response with\s*[\"']?##\s*summary\W*$", re.IGNORECASE)


def load(data_dir: str | Path, seed: int = 0) -> Population:
    """Load the rows of a file, a folder (train.json(l) and test.json(l)) or a Hub id. Raises SourceError.

    In test rows the evaluation pair is the target; in training rows it is held out for validation.
    Where no file is called test, contexts are split at random.
    """
    dropped = Dropped()
    histories: dict[str, UserHistory] = {}
    found: list[Found] = []
    for where, row, file_split in records(data_dir, dropped):
        try:
            history = _history(row)
            pairs = [(_pair(row, columns), columns[0]) for columns in (REWARD, TRAIN, EVAL) if columns[1] in row]
        except UnusableError as error:
            dropped.add(str(error), where)
            continue
        # Equal contexts are one user.
        histories[history.user_id] = history
        found += [(history.user_id, pair, columns, file_split) for pair, columns in pairs if pair]
    if not found:
        raise SourceError(f"{data_dir} holds no PLUS row; each needs context_messages, reward_prompt, chosen, rejected")
    of_user = {} if any(file_split == "test" for *_, file_split in found) else split_users(histories, seed)
    return Population("plus_rows", tuple(_rows(histories, found, of_user, dropped)), histories, {}, dropped)


def _rows(
    histories: Mapping[str, UserHistory], found: Iterable[Found], of_user: Mapping[str, Split], dropped: Dropped
) -> list[Context]:
    """Each pair of a context once; a training pair is never evaluated on."""
    kept: dict[str, dict[PairKey, tuple[Preference, Split]]] = {}
    for user_id, pair, columns, file_split in sorted(found, key=lambda item: item[2] == EVAL[0]):
        split: Split = of_user.get(user_id) or ("test" if file_split == "test" else "train")
        # Rows to be tested on give their evaluation pair alone.
        if split == "test" and file_split == "test" and columns != EVAL[0]:
            dropped.add("training pairs in rows to be tested on", user_id)
        elif pair_key(pair) in kept.setdefault(user_id, {}):
            dropped.add("pairs that stand twice beside one context", user_id)
        else:
            held_out: Split = "validation" if split == "train" and columns == EVAL[0] else split
            kept[user_id][pair_key(pair)] = pair, held_out
    return [row for user_id, targets in kept.items() for row in grouped(histories[user_id], targets.values())]


def _history(row: dict[str, Any]) -> UserHistory:
    value = row.get("context_messages") or row.get("context")
    turns = turns_of(value, "context_messages")
    text = _INSTRUCTION.sub("", "\n".join(turn.content for turn in turns)).strip()
    if not text:
        raise UnusableError("rows with an empty context")
    user_id = hashlib.sha256(text.encode()).hexdigest()[:12]
    return UserHistory(user_id, (Event(f"{user_id}-context", "message", text, None, "plus_rows"),))


def _pair(row: dict[str, Any], columns: tuple[str, str, str]) -> Preference | None:
    prompt, chosen, rejected = (row.get(column) for column in columns)
    if prompt is None and chosen is None:
        return None
    _, pair = read_content({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    assert isinstance(pair, Preference)
    return pair
