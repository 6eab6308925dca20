"""Profiles as memories of other assistants: dated lines, PAM, Mem0, Letta's memory blocks, Honcho's peer cards.

They hold plain sentences: what else a profile has is counted, and so are sentences that come back in other words, such
as those of several lines.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from plus.errors import ProfileError
from plus.profiles.memories import iso, memories_of_text, one_line
from plus.profiles.rows import Profile
from plus.profiles.store import Store
from plus.profiles.target import Target
from plus.types import Dropped

LETTA_LIMIT = 20_000  # characters of a block; a longer text states its own


def write_memory(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    """Write dated lines, as ChatGPT, Claude and Gemini take them; a file is one person's."""
    found = _only_one(profiles, "a memory file")
    created = found.version.created
    date = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%d") if created else "no date"
    lines = [f"[{date}] - {one_line(text)}\n" for text in _texts(found)]
    _count(found, target, lines)
    target.write(lines)


def write_pam(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    """Write a document of Portable AI Memory 1.0; it is one person's."""
    found = _only_one(profiles, "a PAM document")
    _count(found, target)
    user_id, now = found.version.user_id, time.time()
    moment = iso(found.version.created or now)
    _write_document(target, {
        "schema": "portable-ai-memory", "schema_version": "1.0", "export_type": "full", "export_date": iso(now),
        "export_id": hashlib.sha256(f"{user_id}\0{now}".encode()).hexdigest()[:32], "owner": {"id": user_id},
        "memories": [
            {
                "id": f"m{number}", "type": "preference", "content": text,
                "content_hash": f"sha256:{hashlib.sha256(text.strip().lower().encode()).hexdigest()}",
                "temporal": {"created_at": moment},
                "provenance": {"platform": "plus", "extraction_method": "explicit_user_input"},
            }
            for number, text in enumerate(_texts(found), start=1)
        ],
    })  # fmt: skip


def write_mem0(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    """Write Mem0's results, of any number of users."""

    def rows() -> Iterator[str]:
        between = '{"results": [\n'
        for profile in profiles:
            _count(profile, target)
            user_id, created = profile.version.user_id, profile.version.created
            for text in _texts(profile):
                row: dict[str, Any] = {
                    "id": hashlib.sha256(f"{user_id}\0{text}".encode()).hexdigest()[:32], "memory": text,
                    "user_id": user_id, "created_at": iso(created) if created else None, "updated_at": None,
                    "metadata": None, "categories": [],
                }  # fmt: skip
                yield between + json.dumps(row, ensure_ascii=False)
                between = ",\n"
        yield "]}\n" if between == ",\n" else '{"results": []}\n'

    target.write(rows())


def write_letta(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    """Write Letta's memory block "human", a sentence a line; it is one person's."""
    found = _only_one(profiles, "a memory block")
    lines = [f"- {one_line(text)}" for text in _texts(found)]
    _count(found, target, lines)
    target.left_out["dates and the user's id (not of this format)"] += 1
    value = "\n".join(lines)
    block = {"label": "human", "value": value, "limit": max(LETTA_LIMIT, len(value)), "read_only": False}
    _write_document(target, {"blocks": [{**block, "description": "What is known about the user."}]})


def write_honcho(store: Store, profiles: Iterable[Profile], target: Target) -> None:
    """Write Honcho's peer card: the user's id, and a list of facts."""
    found = _only_one(profiles, "a peer card")
    _count(found, target)
    target.left_out["dates (not of this format)"] += 1
    _write_document(target, {"peer_id": found.version.user_id, "peer_card": _texts(found)})


def _only_one(profiles: Iterable[Profile], what: str) -> Profile:
    found = list(islice(profiles, 2))
    if not found:
        raise ProfileError(f"{what} would be empty: there is no summary, or it is paused")
    if len(found) != 1:
        raise ProfileError(f"{what} is one person's; name the user with --users")
    return found[0]


def _texts(profile: Profile) -> list[str]:
    return [sentence.text for sentence in profile.version.sentences]


def _write_document(target: Target, document: dict[str, Any]) -> None:
    target.write([json.dumps(document, ensure_ascii=False, indent=1) + "\n"])


def _count(profile: Profile, target: Target, lines: Sequence[str] | None = None) -> None:
    """Count a profile, what a format of plain sentences cannot hold of it, and sentences that come back otherwise."""
    row = target.row(profile)
    for name in ("locked", "forbidden", "removed", "evidence"):
        target.left_out[f"{name} (not of this format)"] += len(row[name])
    texts = _texts(profile)
    target.left_out["sentences of several lines, written as one"] += sum(one_line(text) != text for text in texts)
    target.left_out["sentences that stand there twice, read back as one"] += len(texts) - len(set(texts))
    # A line that reads as a heading, or as another date, is not what it was.
    read = [memories_of_text(line, "", Dropped()) for line in lines or ()]
    changed = sum([one.text for one in found] != [one_line(text)] for found, text in zip(read, texts, strict=False))
    target.left_out["sentences that look like marks of Markdown, which are not read back as they are"] += changed
    target.left_out += Counter()  # Without those that are 0.
