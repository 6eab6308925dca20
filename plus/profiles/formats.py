"""Formats of profiles by name, and those of JSON lines: our own, and rows for OpenAI and TRL.

`jsonl`, `full` and `markdown` come back without loss, text to the last character; the others are for reading by
programs and models, and have role markers escaped (`prompts.escape`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator

from plus.profiles.markdown_files import write_markdown
from plus.profiles.memory_files import write_honcho, write_letta, write_mem0, write_memory, write_pam
from plus.profiles.rows import FORGOTTEN, Profile
from plus.profiles.store import Store
from plus.profiles.tables import write_csv, write_parquet
from plus.profiles.target import Target, Write
from plus.profiles.transfer import as_json
from plus.prompts import profile_message
from plus.sources.rows import as_row
from plus.types import Preference

_encode = json.JSONEncoder(ensure_ascii=False).encode


def _jsonl(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    def lines() -> Iterator[str]:
        for profile in profiles:
            yield _encode(target.row(profile)) + "\n"
        # A feed of changes tells whose row to delete, by the hash that the receipt has.
        gone = store.sql.forgotten_since
        for fingerprint, moment in store.rows(gone, (target.since,)) if target.since is not None else ():
            yield _encode({"forgotten": fingerprint, "time": moment, "format": FORGOTTEN}) + "\n"

    target.write(lines())


def _full(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    """Everything that is stored about each user, with versions and events."""

    def lines() -> Iterator[str]:
        for profile in profiles:
            target.rows += 1
            yield as_json(store, profile.version.user_id) + "\n"

    target.write(lines())


def _openai(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    def lines() -> Iterator[str]:
        for profile in profiles:
            target.row(profile)
            message = {"role": "developer", "content": profile_message(profile.version.text)}
            yield _encode({"user_id": profile.version.user_id, "messages": [message]}) + "\n"

    target.write(lines())


def _trl(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    """The users' choices as TRL's preference rows, each opened by the summary."""

    def lines() -> Iterator[str]:
        for profile in profiles:
            target.row(profile)
            target.rows -= 1  # A row here is a choice.
            user_id = profile.version.user_id
            for event in store.events(user_id):
                if not isinstance(event.content, Preference):
                    target.left_out["events that are no choice between two answers"] += 1
                    continue
                row = as_row(user_id, event, None)
                row["prompt"] = [{"role": "system", "content": profile_message(profile.version.text)}, *row["prompt"]]
                target.rows += 1
                yield _encode(row) + "\n"

    target.write(lines())


LOSSLESS = frozenset(("jsonl", "full", "markdown"))  # for moving and editing: what is paused is in them, and said to be


def used_by(form: str, profiles: Iterable[Profile], left_out: Counter[str]) -> Iterator[Profile]:
    """Yield what a format takes: all of it, or what programs may use, without users who have paused and without paused
    sentences; both are counted."""
    for profile in profiles:
        if form in LOSSLESS:
            yield profile
            continue
        if profile.paused:
            left_out["users who have paused"] += 1
            continue
        used = profile.in_use()
        if used is not profile:
            left_out["paused sentences"] += len(profile.version.spans) - len(used.version.spans)
        yield used


FORMATS: dict[str, Write] = {
    "jsonl": _jsonl, "full": _full, "parquet": write_parquet, "csv": write_csv, "markdown": write_markdown,
    "openai": _openai, "trl": _trl, "memory": write_memory, "pam": write_pam, "mem0": write_mem0, "letta": write_letta,
    "honcho": write_honcho,
}  # fmt: skip
